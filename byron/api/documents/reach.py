"""Which commands have to do with a type of the GraphQL schema: they take it, return it, or lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_specified_scalar_type,
)


@lru_cache(maxsize=16)
def commands_by_type(schema: GraphQLSchema) -> Mapping[str, frozenset[str]]:
    """Return the names of commands by those of the types that they lead to; GraphQL's own scalars are nobody's."""
    roots = [root for root in (schema.query_type, schema.mutation_type) if root is not None]
    found: dict[str, set[str]] = {}
    for root in roots:
        for name, field in root.fields.items():
            # Federation's fields are no commands.
            for kind in _reached(field) if not name.startswith("_") else ():
                if kind not in roots and not is_specified_scalar_type(kind):
                    found.setdefault(kind.name, set()).add(name)
    return {kind: frozenset(names) for kind, names in found.items()}


def _reached(field: GraphQLField) -> set[GraphQLNamedType]:
    waiting = [get_named_type(field.type), *(get_named_type(argument.type) for argument in field.args.values())]
    found: set[GraphQLNamedType] = set()
    while waiting:
        kind = waiting.pop()
        if kind in found:
            continue
        found.add(kind)
        if isinstance(kind, GraphQLObjectType):
            for inner in kind.fields.values():
                waiting += [get_named_type(inner.type), *(get_named_type(each.type) for each in inner.args.values())]
        elif isinstance(kind, GraphQLInputObjectType):
            waiting += [get_named_type(inner.type) for inner in kind.fields.values()]
    return found
