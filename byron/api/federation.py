"""What a gateway of Apollo Federation 2 asks of a component: its subgraph, and entities by their ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    GraphQLUnionType,
    print_schema,
)

from byron.api.documents.selection import Selection
from byron.api.graphql import Execution, columns_of_operation
from byron.api.masking import BAD_USER_INPUT
from byron.api.references import ReferenceLoader
from byron.api.scalars import JSON
from byron.commands.access import check_any_access
from byron.commands.time_limit import TimeLimit
from byron.conf import byron_settings
from byron.exceptions import CommandError
from byron.schema.federation import ENTITIES, ENTITY, SERVICE, entity_reads
from byron.schema.installed import ComponentConfig
from byron.schema.subgraph import subgraph_source

_TYPENAME = "__typename"


def federated(schema: GraphQLSchema, config: ComponentConfig) -> GraphQLSchema:
    """Return a component's GraphQL schema with `_service`, and with `_entities` if any can be asked for by id."""
    query = schema.query_type
    if query is None:
        raise TypeError("a component's GraphQL schema has a query")
    fields = {**query.fields, SERVICE: _service_field(subgraph_source(config.component, print_schema(schema)))}
    kinds = [schema.type_map[name] for name in entity_reads(config.component)]
    if kinds:
        fields[ENTITIES] = _entities_field(kinds, config)
    given: dict[str, Any] = {**schema.to_kwargs()}
    root: dict[str, Any] = {**query.to_kwargs(), "fields": fields}
    others = [kind for kind in given["types"] if kind is not query]
    return GraphQLSchema(**{**given, "query": GraphQLObjectType(**root), "types": others})


def _service_field(source: str) -> GraphQLField:
    def resolve(root: Any, info: GraphQLResolveInfo) -> dict[str, str]:
        if not byron_settings().introspection_enabled:
            raise CommandError("The schema is not public here.", code="NOT_FOUND")
        return {"sdl": source}

    kind = GraphQLObjectType("_Service", {"sdl": GraphQLField(GraphQLNonNull(GraphQLString))})
    return GraphQLField(GraphQLNonNull(kind), resolve=resolve)


def _entities_field(kinds: list[Any], config: ComponentConfig) -> GraphQLField:
    # A union gets its source's type by name: a Cache's models have the names of schema.yaml.
    union = GraphQLUnionType(ENTITY, kinds, resolve_type=lambda entity, *_: type(entity).__name__)
    anything = GraphQLScalarType(
        "_Any", serialize=JSON.serialize, parse_value=JSON.parse_value, parse_literal=JSON.parse_literal
    )
    given = GraphQLNonNull(GraphQLList(GraphQLNonNull(anything)))
    return GraphQLField(
        GraphQLNonNull(GraphQLList(union)),
        args={"representations": GraphQLArgument(given)},
        resolve=_entities_resolver(config),
    )


def _entities_resolver(config: ComponentConfig) -> Callable[..., Any]:
    component = config.component
    reads = entity_reads(component)

    def resolve(root: Any, info: GraphQLResolveInfo, /, *, representations: list[Any]) -> list[Any]:
        wanted = [_identity(each) for each in representations]
        execution: Execution = info.context
        user = getattr(execution.request, "user", None)
        identities: dict[str, list[str]] = {}
        for name, identity in wanted:
            identities.setdefault(name, []).append(identity)
        for name in identities:
            if name not in reads:
                raise CommandError("A representation is of a type that cannot be had by its id.", code=BAD_USER_INPUT)
            check_any_access(reads[name], user)
        loader = ReferenceLoader(config, columns_of_operation(component, info), execution.loaded, execution.allowance)
        with TimeLimit(byron_settings().api_command_timeout, config.alias, ENTITIES):
            # All of them before their references, which may be among them.
            found = {name: loader.fetch(name, asked) for name, asked in identities.items()}
            for name, entities in found.items():
                nodes = [node.selection_set for node in info.field_nodes]
                below = Selection(nodes, info.fragments, info.variable_values, of=name)
                loader.load(entities, component.types[name], below)
        return [execution.loaded[each] for each in wanted]

    return resolve


def _identity(representation: Any) -> tuple[str, str]:
    """Return the type and the id that a gateway names. Raises CommandError for anything else."""
    given = representation if isinstance(representation, dict) else {}
    name, identity = given.get(_TYPENAME), given.get("id")
    # An ID may be written as an integer; True is one to Python.
    if isinstance(name, str) and isinstance(identity, str | int) and not isinstance(identity, bool):
        return name, str(identity)
    raise CommandError(f'A representation is a type and an id: {{"{_TYPENAME}": "…", "id": "…"}}.', code=BAD_USER_INPUT)
