"""What is wrong with a value in a GraphQL document's text, said with its place."""

from __future__ import annotations

from typing import Any

from graphql import (
    ArgumentNode,
    GraphQLError,
    ObjectFieldNode,
    ValidationContext,
    ValuesOfCorrectTypeRule,
    VariableDefinitionNode,
    get_named_type,
    is_leaf_type,
)


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
