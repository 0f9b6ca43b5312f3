"""What an operation passes on of its variables: one that is used several times is multiplied."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from graphql import (
    SKIP,
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    VisitorAction,
    visit,
)

from byron.api.documents.fragments import fragments_of
from byron.api.documents.limits import refusal
from byron.conf import ByronSettings


def repeated_variables(document: DocumentNode, operation: OperationDefinitionNode) -> Mapping[str, int]:
    """Return the variables that an operation uses more than once, and how often: what is in a fragment for each spread.

    The document must be valid.
    """
    if not operation.variable_definitions:
        return {}
    uses = _Uses(document).of(operation)
    return {name: times for name, times in uses.items() if times > 1}


def check_repeated(
    operation: OperationDefinitionNode,
    repeated: Mapping[str, int],
    variables: Mapping[str, Any],
    settings: ByronSettings,
) -> None:
    """Refuse an operation whose repeated variables come to more than a request may hold. Raises GraphQLError."""
    size = values = 0
    for definition in operation.variable_definitions if repeated else ():
        name = definition.variable.name.value
        if name in repeated:
            own_size, own_values = _measures(definition, variables, settings.api_max_values)
            size += own_size * repeated[name]
            values += own_values * repeated[name]
    for number, most, what in (
        (size, settings.api_max_body_bytes, "bytes"),
        (values, settings.api_max_values, "values"),
    ):
        if number > most:
            raise refusal(
                f"Variables that are used several times come to more than {most:,} {what} in this operation. "
                "Use them less often, or send less in them."
            )


def count_values(value: Any, most: int) -> int:
    """Return how many values a JSON value holds, itself and those in lists and objects, not far beyond `most`."""
    waiting, number = [value], 0
    while waiting and number <= most:
        each = waiting.pop()
        number += 1
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return number


def _measures(definition: VariableDefinitionNode, variables: Mapping[str, Any], most: int) -> tuple[int, int]:
    """Return the bytes and the values of what a variable holds."""
    name, default = definition.variable.name.value, definition.default_value
    if name in variables:
        return _size_of(variables[name]), count_values(variables[name], most)
    if default is None or default.loc is None:
        return 0, 0
    return default.loc.end - default.loc.start, _values_of_literal(default)


def _size_of(value: Any) -> int:
    # What is no JSON, or no Unicode, can only come from Python, in tests.
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=repr)
    return len(text.encode(errors="surrogatepass"))


def _values_of_literal(node: ValueNode) -> int:
    if isinstance(node, ListValueNode):
        return 1 + sum(map(_values_of_literal, node.values))
    if isinstance(node, ObjectValueNode):
        return 1 + sum(_values_of_literal(field.value) for field in node.fields)
    return 1


class _Uses:
    """How often variables are used; each fragment is added up once."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = fragments_of(document)
        self._known: dict[str, Counter[str]] = {}

    def of(self, definition: OperationDefinitionNode | FragmentDefinitionNode) -> Counter[str]:
        found = _Found()
        visit(definition, found)
        uses = Counter(found.variables)
        for name, times in Counter(found.spreads).items():
            if name not in self._known:
                self._known[name] = self.of(self._fragments[name])
            for variable, inner in self._known[name].items():
                uses[variable] += inner * times
        return uses


class _Found(Visitor):
    """The variables and the fragments that a definition uses, as often as it does."""

    def __init__(self) -> None:
        super().__init__()
        self.variables: list[str] = []
        self.spreads: list[str] = []

    def enter_variable_definition(self, *_: Any) -> VisitorAction:
        return SKIP

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.variables.append(node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        self.spreads.append(node.name.value)
