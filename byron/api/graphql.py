"""A component's GraphQL schema, built with Graphene from schema.yaml; its fields run commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import graphene
from django.http import HttpRequest
from django.utils.module_loading import import_string
from graphql import GraphQLResolveInfo, Undefined

from byron.api.arguments import Arguments
from byron.api.connections import connection_type, edge_type, page_info_type
from byron.api.documents.selection import Columns, Selection, columns_of, entities_of
from byron.api.references import Allowance, Loaded, ReferenceLoader, attribute_value, is_entity
from byron.commands.idempotency import Attempt
from byron.commands.runner import CommandRunner
from byron.commands.time_limit import uninterrupted
from byron.commands.versions import OvertakenError, version_of
from byron.events.event import Event
from byron.exceptions import CommandError, OutcomeUnknownError
from byron.schema.defaults import default_value
from byron.schema.installed import ComponentConfig
from byron.schema.model import CONNECTION, Attribute, Command, Component, InputType, Member, ObjectType
from byron.schema.reads import EDGE, PAGE_INFO, VERSION, additions, arguments_of, entity_name, version_field
from byron.schema.type_ref import TypeRef
from byron.schema.types import SCALARS

Resolver = Callable[..., Any]

#: The code of an answer that would need an entity that the Cache does not know.
MISSING = "REFERENCE_MISSING"


@dataclass(slots=True)
class Execution:
    """What one request gathers while it is executed; resolvers find it as `info.context`."""

    request: HttpRequest | None = None
    #: The commands that were asked for, in order.
    commands: list[str] = field(default_factory=list)
    #: What the request's mutations published, and what overtook them: what its receipt is about.
    events: list[Event] = field(default_factory=list)
    #: Why it is not known what became of a publication, if it is not.
    unknown: OutcomeUnknownError | None = None
    #: The references loaded so far.
    loaded: Loaded = field(default_factory=dict)
    #: What lists of references may still hold.
    allowance: Allowance = field(default_factory=Allowance)
    #: The attributes that the operation asks for, by type; None until the first command.
    columns: Columns | None = None
    #: What the request's Idempotency-Key comes to, if it has one.
    attempt: Attempt | None = None


def build_schema(config: ComponentConfig) -> graphene.Schema:
    """Return the GraphQL schema of a component, with a resolver for each command."""
    return _Builder(config).build()


def columns_of_operation(component: Component, info: GraphQLResolveInfo) -> Columns:
    """Return the attributes that a request's operation asks for, by type."""
    execution: Execution = info.context
    if execution.columns is None:
        operation = Selection([info.operation.selection_set], info.fragments, info.variable_values)
        execution.columns = columns_of(component, operation)
    return execution.columns


class _Builder:
    """Build each GraphQL type once, by the name that schema.yaml gives it."""

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config
        self._component = config.component
        self._runner = CommandRunner(config)
        self._arguments = Arguments(config.component)
        self._types: dict[str, Any] = {name: import_string(scalar.graphql) for name, scalar in SCALARS.items()}

    def build(self) -> graphene.Schema:
        content, added = self._component.content, additions(self._component)
        for choice in (*content.enums, *added.enums):
            members = [(value, value) for value in choice.values]
            description = choice.description or _no_description
            self._types[choice.name] = graphene.Enum(choice.name, members, description=description)
        for group in (*content.inputs, *added.inputs):
            self._types[group.name] = self._input(group)
        for kind in content.types:
            self._types[kind.name] = self._object(kind)
        for name in added.paged:
            self._types[f"{name}{CONNECTION}"] = self._connection(name)
        declared = (*self._component.types, *self._component.inputs, *self._component.enums)
        queries = [command for command in content.commands if command.type == "query"]
        mutations = [command for command in content.commands if command.type == "mutation"]
        return graphene.Schema(
            query=self._root("Query", queries),
            mutation=self._root("Mutation", mutations) if mutations else None,
            types=[self._types[name] for name in declared],
            auto_camelcase=False,
        )

    def _root(self, name: str, commands: list[Command]) -> Any:
        fields: dict[str, Any] = {command.name: self._command(command) for command in commands}
        if not fields:
            # GraphQL requires a query: a component that declares none still says its name.
            component = self._component.name
            fields["component"] = graphene.Field(graphene.String, required=True, resolver=lambda *_: component)
        return type(name, (graphene.ObjectType,), fields)

    def _command(self, command: Command) -> graphene.Field:
        arguments = {
            argument.python_name: graphene.Argument(
                self._reference(argument.type),
                name=argument.name,
                description=argument.description,
                default_value=self._default(argument),
            )
            for argument in arguments_of(self._component, command)
        }
        return graphene.Field(
            self._reference(command.return_type),
            args=arguments,
            resolver=self._command_resolver(command),
            description=command.description,
        )

    def _command_resolver(self, command: Command) -> Resolver:
        kind = self._component.types.get(entity_name(command))
        members = arguments_of(self._component, command)

        def resolve(root: Any, info: GraphQLResolveInfo, /, **arguments: Any) -> Any:
            execution: Execution = info.context
            execution.commands.append(command.name)
            columns = columns_of_operation(self._component, info).get(kind.name, ()) if kind is not None else ()
            given = self._arguments.plain(members, arguments)
            # A command has a time limit of its own. A publication is not interrupted, nor what is noted of it.
            with uninterrupted():
                try:
                    outcome = self._runner.run(
                        command, given, execution.request, columns=columns, attempt=execution.attempt
                    )
                except OvertakenError as error:
                    execution.events.append(error.event)
                    raise
                except OutcomeUnknownError as error:
                    execution.unknown = error
                    raise
                execution.events.extend(outcome.events)
            if kind is not None:
                self._load_references(outcome.value, kind, info, execution, paged=command.returns_pages)
            return outcome.value

        return resolve

    def _load_references(
        self, value: Any, kind: ObjectType, info: GraphQLResolveInfo, execution: Execution, *, paged: bool
    ) -> None:
        asked = Selection([node.selection_set for node in info.field_nodes], info.fragments, info.variable_values)
        entities = entities_of(asked, paged=paged)
        if paged:
            # A client may ask for no more than the number.
            value = value.nodes if "nodes" in asked or "edges" in asked else []
        columns = columns_of_operation(self._component, info)
        loader = ReferenceLoader(self._config, columns, execution.loaded, execution.allowance)
        loader.load(value if isinstance(value, list | tuple) else [value], kind, entities)

    def _connection(self, name: str) -> Any:
        if PAGE_INFO not in self._types:
            self._types[PAGE_INFO] = page_info_type()
        self._types[f"{name}{EDGE}"] = edge_type(name, self._types[name])
        return connection_type(name, self._types[name], self._types[f"{name}{EDGE}"], self._types[PAGE_INFO])

    def _object(self, kind: ObjectType) -> Any:
        fields: dict[str, Any] = {"id": graphene.Field(graphene.ID, required=True, resolver=_resolve_id)}
        if kind.name in self._component.versioned:
            own = version_field()
            fields[VERSION] = graphene.Field(
                self._reference(own.type), resolver=_resolve_version, description=own.description
            )
        for attribute in kind.attributes:
            fields[attribute.name] = graphene.Field(
                self._reference(attribute.type),
                resolver=self._attribute_resolver(attribute),
                description=attribute.description,
            )
        return type(kind.name, (graphene.ObjectType,), fields | _meta(kind.description))

    def _attribute_resolver(self, attribute: Attribute) -> Resolver:
        target = attribute.type.name
        if target not in self._component.types:
            return lambda source, info: attribute_value(source, attribute)

        def entity(info: GraphQLResolveInfo, value: Any, *, required: bool) -> Any:
            if value is None or is_entity(value):
                return value
            loaded: Loaded = info.context.loaded
            found = loaded.get((target, value))
            if found is None and required:
                # Events of different keys have no order: it may come later.
                raise CommandError(f'{attribute.name} refers to {target} "{value}", which is not here.', code=MISSING)
            return found

        def resolve(source: Any, info: GraphQLResolveInfo) -> Any:
            value = attribute_value(source, attribute)
            if isinstance(value, list | tuple):
                return [entity(info, item, required=attribute.type.items_required) for item in value]
            return entity(info, value, required=attribute.type.required)

        return resolve

    def _input(self, group: InputType) -> Any:
        fields = {
            attribute.python_name: graphene.InputField(
                self._reference(attribute.type),
                name=attribute.name,
                description=attribute.description,
                default_value=self._default(attribute),
            )
            for attribute in group.attributes
        }
        # A plain dict: Graphene's own container has an attribute for each field, in place of a dict's methods.
        meta = type("Meta", (), {"description": group.description, "container": dict})
        return type(group.name, (graphene.InputObjectType,), {**fields, "Meta": meta})

    def _default(self, member: Member) -> Any:
        value = Undefined if member.default is None else default_value(self._component, member)
        if member.type.name not in self._component.enums or value is Undefined:
            return value
        # As Graphene gives values of enums, and only so shows them.
        members = self._types[member.type.name]._meta.enum
        if isinstance(value, list):
            return [None if item is None else members[item] for item in value]
        return members[value]

    def _reference(self, reference: TypeRef) -> Any:
        # By name and late: types refer to one another in any order.
        item: Any = partial(self._types.__getitem__, reference.name)
        if reference.name in SCALARS:
            item = self._types[reference.name]
        if reference.is_list:
            item = graphene.List(graphene.NonNull(item) if reference.items_required else item)
        return graphene.NonNull(item) if reference.required else item


def _no_description(value: Any) -> None:
    """Keep Graphene from describing an enum, and each of its values, as "An enumeration."."""


def _meta(description: str | None) -> dict[str, Any]:
    return {"Meta": type("Meta", (), {"description": description})} if description else {}


def _resolve_id(source: Any, info: GraphQLResolveInfo) -> Any:
    return source.get("id") if isinstance(source, Mapping) else source.pk


def _resolve_version(source: Any, info: GraphQLResolveInfo) -> str:
    return version_of(source)
