"""How large a GraphQL document may be, and how dear: what it is refused for before a command runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    visit,
)

from byron.api.documents.fragments import fragments_of
from byron.conf import ByronSettings
from byron.schema.federation import ENTITIES
from byron.schema.model import Component
from byron.schema.reads import entity_name
from byron.schema.type_ref import TypeRef

CODE = "LIMIT_EXCEEDED"

#: Entities that a list of references, and what a function returns, is taken to have: nothing tells how many.
_LIST_OF_REFERENCES = 10
_LIST_OF_FUNCTION = 100

#: Costs are not added up beyond this: fragments in fragments would make them astronomical.
_ENOUGH = 10**9

#: The fields by which a schema describes itself. graphql-core limits their depth by a rule of its own.
_INTROSPECTION = frozenset({"__schema", "__type"})


def check_document(document: DocumentNode, settings: ByronSettings) -> None:
    """Refuse a document that is too large in some way, whatever it asks for. Raises GraphQLError."""
    counter = _Counter()
    visit(document, counter)
    for number, most, what in (
        (counter.aliases, settings.api_max_aliases, "aliases"),
        (counter.directives, settings.api_max_directives, "directives"),
        (_Depth(document).deepest, settings.api_max_depth, "levels of fields"),
    ):
        if number > most:
            raise refusal(f"The document has {number} {what}; {most} are allowed.")


def check_cost(
    component: Component,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    settings: ByronSettings,
) -> None:
    """Refuse an operation whose answer could be too large. Raises GraphQLError.

    Each field costs 1, and what is below a list as often as the list may have entities: `first`, or the read's
    `limit`; 10 for a list of references and 100 for a function's; what a gateway asks for, once for each
    representation. Fields count once where there is nothing that they would be asked of: they are looked at. The
    document must be valid.
    """
    cost = _Cost(component, document, variables).of_operation(operation)
    if cost > settings.api_max_cost:
        shown = f"{cost:,}" if cost < _ENOUGH else "far more"
        raise refusal(
            f"The operation costs {shown}; {settings.api_max_cost:,} is allowed. Ask for fewer entities or fields."
        )


def refusal(message: str) -> GraphQLError:
    """Return the error of a document or operation that is beyond a limit."""
    return GraphQLError(message, extensions={"code": CODE})


class _Counter(Visitor):
    """Count what is cheap to write and dear to execute."""

    def __init__(self) -> None:
        super().__init__()
        self.aliases = 0
        self.directives = 0

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self.aliases += node.alias is not None

    def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
        self.directives += 1


class _Depth:
    """How deep a document's fields are nested, through fragments; those that contain themselves count once."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = fragments_of(document)
        self._known: dict[str, int] = {}
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self.deepest = max((self._of(operation.selection_set) for operation in operations), default=0)

    def _of(self, selected: SelectionSetNode | None) -> int:
        deepest = 0
        for node in selected.selections if selected is not None else ():
            if isinstance(node, FieldNode):
                depth = 1 if node.name.value in _INTROSPECTION else 1 + self._of(node.selection_set)
            elif isinstance(node, InlineFragmentNode):
                depth = self._of(node.selection_set)
            else:
                depth = self._of_fragment(node)
            deepest = max(deepest, depth)
        return deepest

    def _of_fragment(self, node: Any) -> int:
        name = node.name.value
        if name not in self._known and name in self._fragments:
            self._known[name] = 0
            self._known[name] = self._of(self._fragments[name].selection_set)
        return self._known.get(name, 0)


class _Cost:
    """What an operation costs. Types are followed by their names in schema.yaml; each fragment is added up once."""

    def __init__(self, component: Component, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._component = component
        self._fragments = fragments_of(document)
        self._variables = variables
        self._defaults: dict[str, Any] = {}
        self._known: dict[tuple[str, str], int] = {}

    def of_operation(self, operation: OperationDefinitionNode) -> int:
        self._defaults = {each.variable.name.value: each.default_value for each in operation.variable_definitions}
        return self._of_commands(operation.selection_set)

    def _of_commands(self, selected: SelectionSetNode) -> int:
        total = 0
        for node in selected.selections:
            if isinstance(node, FieldNode):
                total += self._of_command(node)
            elif isinstance(node, InlineFragmentNode):
                total += self._of_commands(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                total += self._once(node.name.value, "", self._of_commands)
        return min(total, _ENOUGH)

    def _of_command(self, node: FieldNode) -> int:
        if node.name.value == ENTITIES:
            return 1 + max(1, self._representations(node)) * max(1, self._of_type(node.selection_set, ""))
        command = self._component.commands.get(node.name.value)
        if command is None:
            return 1
        kind = entity_name(command)
        if command.read is not None and command.read.list:
            # What is asked of a page itself is paid for as if it were of each entity: that is little.
            times = self._first(node, command.read.limit)
        else:
            times = _LIST_OF_FUNCTION if command.return_type.is_list else 1
        return 1 + max(1, times) * self._of_type(node.selection_set, kind)

    def _of_type(self, selected: SelectionSetNode | None, kind: str) -> int:
        total = 0
        for node in selected.selections if selected is not None else ():
            if isinstance(node, FieldNode):
                reference = self._reference(kind, node.name.value)
                times = _LIST_OF_REFERENCES if reference.is_list else 1
                total += 1 + times * self._of_type(node.selection_set, reference.name)
            elif isinstance(node, InlineFragmentNode):
                total += self._of_type(node.selection_set, kind or _condition(node))
            elif isinstance(node, FragmentSpreadNode):
                inner = kind or _condition(self._fragments.get(node.name.value))
                total += self._once(node.name.value, inner, partial(self._of_type, kind=inner))
        return min(total, _ENOUGH)

    def _reference(self, kind: str, field: str) -> TypeRef:
        found = self._component.types.get(kind)
        attribute = found.attribute.get(field) if found is not None else None
        # `nodes`, `edges` and `node` of a page lead to the entities themselves.
        return attribute.type if attribute is not None else TypeRef(name=kind)

    def _once(self, fragment: str, kind: str, cost: Any) -> int:
        key = (fragment, kind)
        if key not in self._known and fragment in self._fragments:
            self._known[key] = 0
            self._known[key] = cost(self._fragments[fragment].selection_set)
        return self._known.get(key, 0)

    def _representations(self, node: FieldNode) -> int:
        """Return how many entities a gateway asks for: the length of a list."""
        for argument in node.arguments:
            value: Any = argument.value
            if isinstance(value, VariableNode):
                name = value.name.value
                if name in self._variables:
                    given = self._variables[name]
                    return len(given) if isinstance(given, list | tuple) else 1
                value = self._defaults.get(name)
            if isinstance(value, ListValueNode):
                return len(value.values)
        return 1

    def _first(self, node: FieldNode, limit: int) -> int:
        for argument in node.arguments:
            if argument.name.value == "first":
                given: Any = None
                if isinstance(argument.value, IntValueNode):
                    given = int(argument.value.value)
                elif isinstance(argument.value, VariableNode):
                    given = self._variables.get(argument.value.name.value)
                if isinstance(given, int):
                    return min(max(given, 0), limit)
        return limit


def _condition(fragment: InlineFragmentNode | FragmentDefinitionNode | None) -> str:
    """Return the type that a fragment is on; empty when it does not say."""
    condition = fragment.type_condition if fragment is not None else None
    return condition.name.value if condition is not None else ""
