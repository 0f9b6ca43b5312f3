"""A component's GraphQL schema as a subgraph of Apollo Federation 2 tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphql import (
    ConstDirectiveNode,
    DefinitionNode,
    DocumentNode,
    InputObjectTypeDefinitionNode,
    NamedTypeNode,
    ObjectTypeDefinitionNode,
    TypeDefinitionNode,
    TypeNode,
    parse,
    print_ast,
)

from byron.schema.federation import entity_reads
from byron.schema.model import Component

#: The oldest version with all that is used here: what composes newer ones takes it too.
VERSION = "v2.3"

_LINK = f'extend schema @link(url: "https://specs.apollo.dev/federation/{VERSION}", import: ["@key", "@shareable"])\n\n'
_ROOTS = ("Query", "Mutation")
#: What the root of a component without queries has, because GraphQL requires something. A supergraph does not.
_PLACEHOLDER = "component"


def subgraph_source(component: Component, source: str) -> str:
    """Return a component's GraphQL schema, given as text, with the directives of a subgraph.

    Types are entities with the key `id`. All their fields are shareable: components that have a type of one name
    mean the same entities, and each Cache has its copy of what their events say. What the API does not use, such as
    inputs that are payloads alone, is left out: a supergraph would have to unite it with others of that name.
    """
    types = {node.name.value: node for node in parse(source).definitions if isinstance(node, TypeDefinitionNode)}
    _remove_placeholder(component, types)
    used = _used(types, (*(name for name in _ROOTS if name in types), *component.types))
    resolvable = entity_reads(component)
    for name, node in types.items():
        if isinstance(node, ObjectTypeDefinitionNode) and name not in _ROOTS:
            is_entity = name in component.types
            node.directives = _directives(key=is_entity, resolvable=name in resolvable)
    kept: list[DefinitionNode] = [node for name, node in types.items() if name in used]
    return _LINK + print_ast(DocumentNode(definitions=tuple(kept))) + "\n"


def _remove_placeholder(component: Component, types: dict[str, TypeDefinitionNode]) -> None:
    query = types.get("Query")
    if isinstance(query, ObjectTypeDefinitionNode) and not any(
        command.type == "query" for command in component.content.commands
    ):
        query.fields = tuple(field for field in query.fields if field.name.value != _PLACEHOLDER)
        if not query.fields:
            del types["Query"]


def _directives(*, key: bool, resolvable: bool) -> tuple[ConstDirectiveNode, ...]:
    not_by_id = "" if resolvable else ", resolvable: false"
    text = f'@key(fields: "id"{not_by_id}) @shareable' if key else "@shareable"
    [node] = parse(f"extend type T {text}").definitions
    return tuple(getattr(node, "directives", ()))


def _used(types: dict[str, TypeDefinitionNode], first: Iterable[str]) -> set[str]:
    """Return the names of these types and of all that their fields lead to."""
    waiting, found = list(first), set[str]()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        if name in types:
            waiting.extend(_mentioned(types[name]))
    return found


def _mentioned(node: TypeDefinitionNode) -> Iterator[str]:
    if isinstance(node, ObjectTypeDefinitionNode | InputObjectTypeDefinitionNode):
        for field in node.fields:
            yield _name(field.type)
            yield from (_name(argument.type) for argument in getattr(field, "arguments", ()))


def _name(node: TypeNode) -> str:
    while not isinstance(node, NamedTypeNode):
        node = node.type  # type: ignore[attr-defined]
    return str(node.name.value)
