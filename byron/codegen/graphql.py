"""schema.yaml to schema.graphql: the text of the GraphQL schema that the API serves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from byron.schema.defaults import plain_default
from byron.schema.model import CONNECTION, Attribute, Command, Component, EnumType, InputType, Member, ObjectType
from byron.schema.reads import EDGE, PAGE_INFO, additions, arguments_of, version_field
from byron.schema.type_ref import TypeRef
from byron.schema.types import SCALARS

_BUILT_IN = frozenset({"ID", "String", "Int", "Float", "Boolean"})


def graphql_source(component: Component) -> str:
    """Return the component's GraphQL schema in GraphQL's own language."""
    return "\n\n".join(_definitions(component)) + "\n"


def _definitions(component: Component) -> Iterator[str]:
    content = component.content
    for name in sorted(_used_scalars(component)):
        yield f"scalar {name}"
    added = additions(component)
    for enum in (*content.enums, *added.enums):
        yield _enum(enum)
    for group in (*content.inputs, *added.inputs):
        yield _input(component, group)
    for kind in content.types:
        yield _object(kind, versioned=kind.name in component.versioned)
    for name in added.paged:
        yield from _connection(name)
    if added.paged:
        yield _block(f"type {PAGE_INFO}", _PAGE_INFO)
    yield _root(component, "Query", [command for command in content.commands if command.type == "query"])
    mutations = [command for command in content.commands if command.type == "mutation"]
    if mutations:
        yield _root(component, "Mutation", mutations)


def _used_scalars(component: Component) -> set[str]:
    content = component.content
    used = {attribute.type.name for kind in content.types for attribute in kind.attributes}
    used |= {attribute.type.name for group in content.inputs for attribute in group.attributes}
    for command in content.commands:
        used.add(command.return_type.name)
        used.update(argument.type.name for argument in arguments_of(component, command))
    return {name for name in used if name in SCALARS and name not in _BUILT_IN}


def _enum(enum: EnumType) -> str:
    return _described(enum.description) + _block(f"enum {enum.name}", enum.values)


def _input(component: Component, group: InputType) -> str:
    lines = [_described(member.description, "  ") + _given(component, member) for member in group.attributes]
    return _described(group.description) + _block(f"input {group.name}", lines)


def _object(kind: ObjectType, *, versioned: bool) -> str:
    identity = Attribute.model_construct(name="id", type=TypeRef(name="ID", required=True))
    own = (identity, version_field()) if versioned else (identity,)
    lines = [_field(member.name, member.type, member.description) for member in (*own, *kind.attributes)]
    return _described(kind.description) + _block(f"type {kind.name}", lines)


_PAGE_INFO = ("hasNextPage: Boolean!", "hasPreviousPage: Boolean!", "startCursor: String", "endCursor: String")


def _connection(name: str) -> Iterator[str]:
    fields = [f"edges: [{name}{EDGE}!]!", f"nodes: [{name}!]!", f"pageInfo: {PAGE_INFO}!", "totalCount: Int!"]
    yield _block(f"type {name}{CONNECTION}", fields)
    yield _block(f"type {name}{EDGE}", ["cursor: String!", f"node: {name}!"])


def _root(component: Component, name: str, commands: Sequence[Command]) -> str:
    lines = []
    for command in commands:
        head = f"{command.name}{_arguments(component, command)}: {command.return_type}"
        lines.append(_described(command.description, "  ") + head)
    return _block(f"type {name}", lines or ["component: String!"])


def _arguments(component: Component, command: Command) -> str:
    arguments = arguments_of(component, command)
    if not any(argument.description for argument in arguments):
        listed = ", ".join(_given(component, argument) for argument in arguments)
        return f"({listed})" if listed else ""
    lines = ("    " + _described(argument.description, "    ") + _given(component, argument) for argument in arguments)
    return "(\n" + "\n".join(lines) + "\n  )"


def _given(component: Component, member: Member) -> str:
    """Return what a client gives, with its default."""
    default = plain_default(component, member)
    shown = "" if default is None else f" = {_literal(default, is_enum=member.type.name in component.enums)}"
    return f"{member.name}: {member.type}{shown}"


def _literal(value: Any, *, is_enum: bool) -> str:
    """Return a plain value as GraphQL writes it: as JSON does, but for the values of enums."""
    if isinstance(value, list):
        return "[" + ", ".join(_literal(item, is_enum=is_enum) for item in value) + "]"
    return value if is_enum and value is not None else json.dumps(value, ensure_ascii=False)


def _field(name: str, reference: TypeRef, description: str | None) -> str:
    return _described(description, "  ") + f"{name}: {reference}"


def _block(head: str, lines: Sequence[str]) -> str:
    return f"{head} {{\n" + "\n".join(f"  {line}" for line in lines) + "\n}"


def _described(description: str | None, indent: str = "") -> str:
    if not description:
        return ""
    text = description.replace('"""', '\\"""')
    lines = "\n".join(f"{indent}{line}".rstrip() for line in text.splitlines())
    return f'"""\n{lines}\n{indent}"""\n{indent}'
