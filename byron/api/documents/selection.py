"""What a client asks for: the fields of an operation, fragments laid out and skipped fields left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLIncludeDirective,
    GraphQLSkipDirective,
    InlineFragmentNode,
    SelectionNode,
    SelectionSetNode,
    get_directive_values,
)

from byron.schema.federation import ENTITIES, ENTITY
from byron.schema.model import Component
from byron.schema.reads import VERSION, entity_name

#: The attributes that are asked for, by type, in their Python names.
Columns = dict[str, set[str]]


class Selection:
    """Some fields of an operation, by name, each with what is asked for below it."""

    def __init__(
        self,
        nodes: Iterable[SelectionSetNode | None],
        fragments: Mapping[str, FragmentDefinitionNode],
        variables: Mapping[str, Any],
        *,
        of: str = "",
    ) -> None:
        """Gather the fields of these nodes; with `of`, without those that are asked of other types than that."""
        self._of = of
        self._fragments = fragments
        self._variables = dict(variables)
        below: dict[str, list[SelectionSetNode | None]] = {}
        # A second visit to a fragment would add nothing, and visits would double with each level of fragments.
        seen: set[str] = set()
        for node in nodes:
            for field in self._fields(node, seen):
                below.setdefault(field.name.value, []).append(field.selection_set)
        self._below = below

    def __iter__(self) -> Iterator[str]:
        return iter(self._below)

    def __contains__(self, name: str) -> bool:
        return name in self._below

    def below(self, name: str, *, of: str = "") -> Selection:
        """Return what is asked for of a field, all its occurrences together; `of` one type when it may be several."""
        return Selection(self._below.get(name, ()), self._fragments, self._variables, of=of)

    def joined(self, other: Selection) -> Selection:
        """Return what this and another selection ask for together."""
        both = Selection((), self._fragments, self._variables)
        for each in (self, other):
            for name, nodes in each._below.items():
                both._below.setdefault(name, []).extend(nodes)
        return both

    def _fields(self, node: SelectionSetNode | None, seen: set[str]) -> Iterator[FieldNode]:
        for each in node.selections if node is not None else ():
            if not self._is_included(each):
                continue
            if isinstance(each, FieldNode):
                yield each
            elif isinstance(each, InlineFragmentNode):
                yield from self._fields_of(each, seen)
            elif isinstance(each, FragmentSpreadNode) and each.name.value not in seen:
                seen.add(each.name.value)
                if each.name.value in self._fragments:
                    yield from self._fields_of(self._fragments[each.name.value], seen)

    def _fields_of(self, fragment: InlineFragmentNode | FragmentDefinitionNode, seen: set[str]) -> Iterator[FieldNode]:
        condition = fragment.type_condition
        if not self._of or condition is None or condition.name.value in (self._of, ENTITY):
            yield from self._fields(fragment.selection_set, seen)

    def _is_included(self, node: SelectionNode) -> bool:
        if not node.directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, node, self._variables)
        include = get_directive_values(GraphQLIncludeDirective, node, self._variables)
        return not (skip and skip["if"]) and not (include and not include["if"])


def entities_of(selection: Selection, *, paged: bool) -> Selection:
    """Return what is asked for of each entity that a command returns."""
    if not paged:
        return selection
    nodes, edges = selection.below("nodes"), selection.below("edges").below("node")
    return nodes.joined(edges)


def columns_of(component: Component, operation: Selection) -> Columns:
    """Return every attribute that an operation asks for, so that an entity needs to be loaded only once."""
    found: Columns = {}
    for name in operation:
        command = component.commands.get(name)
        if name == ENTITIES:
            for kind in component.types:
                _collect(component, kind, operation.below(name, of=kind), found)
        elif command is not None:
            asked = entities_of(operation.below(name), paged=command.returns_pages)
            _collect(component, entity_name(command), asked, found)
    return found


def _collect(component: Component, name: str, selection: Selection, found: Columns) -> None:
    kind = component.types.get(name)
    if kind is None:
        return
    columns = found.setdefault(name, {"id"})
    if name in component.versioned and VERSION in selection:
        columns.add(VERSION)
    for field in selection:
        attribute = kind.attribute.get(field)
        if attribute is not None:
            columns.add(attribute.python_name)
            _collect(component, attribute.type.name, selection.below(field), found)
