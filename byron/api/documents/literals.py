"""What is wrong with a value in a GraphQL document's text, said with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from graphql import (
    ArgumentNode,
    GraphQLError,
    Node,
    ObjectFieldNode,
    ObjectValueNode,
    ValidationContext,
    ValuesOfCorrectTypeRule,
    VariableDefinitionNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
)


def null_variables(node: Node, variables: Mapping[str, Any]) -> list[str]:
    """Return the variables in a value that are null: GraphQL says of the whole value that it is invalid."""
    if isinstance(node, VariableNode):
        name = node.name.value
        return [name] if name in variables and variables[name] is None else []
    inner = [field.value for field in node.fields] if isinstance(node, ObjectValueNode) else getattr(node, "values", ())
    return [name for each in inner for name in null_variables(each, variables)]


#: Python's words in messages of graphql-core, and those of GraphQL.
_WORDS = (
    (re.compile(r"(?<=got invalid value )None\b|(?<=not to be )None\b|(?<=value: )None\b"), "null"),
    (re.compile(r"(?<=got invalid value )True\b|(?<=value: )True\b"), "true"),
    (re.compile(r"(?<=got invalid value )False\b|(?<=value: )False\b"), "false"),
    (re.compile(r"to be a mapping(?=\.$)"), "to be an object"),
    (re.compile(r"int too large to convert to float$"), "The number is too large."),
)


def in_graphql_words(message: str) -> str:
    """Return what graphql-core says of a variable's value, in the words of whoever sent it."""
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return message


class PlacedValuesRule(ValuesOfCorrectTypeRule):
    """GraphQL's own rule, which also names the argument whose value a scalar or an enum refuses: `'data.price'`."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._place: list[str] = []

    def enter_argument(self, node: ArgumentNode, *_: Any) -> None:
        self._place = [f"Argument '{node.name.value}"]

    def enter_variable_definition(self, node: VariableDefinitionNode, *_: Any) -> None:
        self._place = [f"Variable '${node.variable.name.value}"]

    def enter_object_field(self, node: ObjectFieldNode, *args: Any) -> None:
        super().enter_object_field(node, *args)
        self._place.append(node.name.value)

    def leave_object_field(self, *_: Any) -> None:
        self._place.pop()

    def report_error(self, error: GraphQLError) -> None:
        # What is wrong with an object names the field already.
        is_leaf = is_leaf_type(get_named_type(self.context.get_input_type()))
        if self._place and error.nodes and is_leaf:
            error = GraphQLError(f"{'.'.join(self._place)}': {error.message}", error.nodes)
        super().report_error(error)
