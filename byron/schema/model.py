"""A component, as schema.yaml declares it: one model for the parser, the generators and the editors' JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from byron.schema.declaration import (
    ComponentName,
    Declaration,
    Description,
    Emits,
    EnumValue,
    EventName,
    FieldName,
    Flag,
    Given,
    NullableValue,
    OldFieldNames,
    OldTypeNames,
    OrderName,
    Roles,
    TypeName,
    Value,
)
from byron.schema.names import snake_case
from byron.schema.type_ref import TypeRef

#: SQLite's tables have 2,000 columns at most, PostgreSQL's 1,600.
_MOST_ATTRIBUTES = 1000


#: What the type of a list in pages is called, after the type of its entities: `StudentConnection`.
CONNECTION = "Connection"


_RENAMED_FROM = "The name it had before, or a list of names, the last one first: what has that name is kept."


class Member(Declaration):
    """Something with a name and a type."""

    name: FieldName
    type: TypeRef
    description: Annotated[Description | None, Given()] = None
    #: As YAML has it; `byron.schema.defaults` reads it. Null is none.
    default: Value = Field(None, description="The value when none is given, also in older events.")

    @property
    def python_name(self) -> str:
        return snake_case(self.name)

    @property
    def needs_value(self) -> bool:
        """Whether a value must be given: it cannot be null, and nothing stands in for it."""
        return self.type.required and self.default is None


class Attribute(Member):
    """One attribute of a type."""

    unique: Flag = Field(False, description="No two entities may have the same value.")
    index: Flag = Field(False, description="Queries filter or order by this attribute: keep an index.")
    renamed_from: OldFieldNames = Field((), description=_RENAMED_FROM)


class ObjectType(Declaration):
    """An entity: a Django model and a GraphQL type. Each gets `id: ID!`."""

    name: TypeName
    attributes: tuple[Attribute, ...] = Field(min_length=1, max_length=_MOST_ATTRIBUTES)
    description: Annotated[Description | None, Given()] = None
    renamed_from: OldTypeNames = Field((), description=_RENAMED_FROM)

    @cached_property
    def attribute(self) -> dict[str, Attribute]:
        return {attribute.name: attribute for attribute in self.attributes}


class InputAttribute(Member):
    """One attribute of an input."""

    renamed_from: OldFieldNames = Field((), description=_RENAMED_FROM)


class InputType(Declaration):
    """A GraphQL input: a group of arguments."""

    name: TypeName
    attributes: tuple[InputAttribute, ...] = Field(min_length=1, max_length=_MOST_ATTRIBUTES)
    description: Annotated[Description | None, Given()] = None

    @cached_property
    def attribute(self) -> dict[str, InputAttribute]:
        return {attribute.name: attribute for attribute in self.attributes}


class EnumType(Declaration):
    """A closed list of values."""

    name: TypeName
    values: tuple[EnumValue, ...] = Field(min_length=1)
    description: Annotated[Description | None, Given()] = None


def _exactly_one(*keys: str) -> Callable[[dict[str, Any]], None]:
    def extend(schema: dict[str, Any]) -> None:
        schema["oneOf"] = [{"required": [key]} for key in keys]

    return extend


#: What tells an event's payload: one of these.
_PAYLOAD = ("payload", "attributes")


class EventType(Declaration):
    """The shape of an event's payload, checked when it is emitted and when it is received."""

    model_config = ConfigDict(json_schema_extra=_exactly_one(*_PAYLOAD))

    name: EventName
    version: Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)] = Field(
        1, description="Raised when the payload's shape changes."
    )
    key: FieldName = Field(
        "id", description="The payload's attribute that names what the event is about: events of one key stay in order."
    )
    payload: Annotated[TypeName | None, Given()] = Field(None, description="A type or an input of this file.")
    attributes: tuple[InputAttribute, ...] = Field(
        (),
        min_length=1,
        max_length=_MOST_ATTRIBUTES,
        description="What the payload holds, in place of payload:. `id: ID!` comes by itself, but with key:.",
    )
    description: Annotated[Description | None, Given()] = None

    @model_validator(mode="after")
    def _one_payload(self) -> EventType:
        if self.payload is None and not self.attributes:
            raise PydanticCustomError("lacks_one", "", {"keys": _PAYLOAD})
        if self.payload is not None and self.attributes:
            raise PydanticCustomError("exactly_one", "", {"keys": _PAYLOAD})
        return self

    @cached_property
    def inline(self) -> InputType | None:
        """The payload's shape when the event says it itself; it is called as the event is."""
        if not self.attributes:
            return None
        named = [each.name for each in self.attributes]
        identity = InputAttribute.model_construct(name="id", type=TypeRef(name="ID", required=True))
        own = (identity,) if self.key == "id" and "id" not in named else ()
        return InputType.model_construct(name=self.name, attributes=(*own, *self.attributes))


class Parameter(Member):
    """One argument of a command."""


class Hooks(Declaration):
    """Functions of `hooks/` that run around a command or a handler, in the order given."""

    before: tuple[FieldName, ...] = ()
    after: tuple[FieldName, ...] = ()


class Read(Declaration):
    """What a query reads from the Cache, with no Python: `{list: Student}`, `{get: Student}` or `{count: Student}`."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("list", "get", "count"))

    list: Annotated[TypeName | None, Given()] = Field(None, description="Return entities of this type.")
    get: Annotated[TypeName | None, Given()] = Field(
        None, description="Return the entity of this type with the id given, or null."
    )
    count: Annotated[TypeName | None, Given()] = Field(
        None, description="Return how many entities of this type there are."
    )
    by: Annotated[FieldName | None, Given()] = Field(
        None, description="A unique attribute that `get:` takes instead of the id."
    )
    filter: tuple[FieldName, ...] = Field(
        (),
        max_length=_MOST_ATTRIBUTES,
        description="Attributes that become optional arguments of the query, and conditions of `where:`.",
    )
    order: tuple[OrderName, ...] = Field(
        (),
        max_length=_MOST_ATTRIBUTES,
        description="Attributes to order by when the client does not say; `-name` for descending.",
    )
    limit: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Field(
        100, description="Entities returned at once, at most."
    )

    @model_validator(mode="after")
    def _one_target(self) -> Read:
        if [self.list, self.get, self.count].count(None) != 2:
            raise PydanticCustomError("exactly_one", "", {"keys": ("list", "get", "count")})
        return self

    @property
    def target(self) -> str:
        return self.list or self.get or self.count or ""

    @property
    def kind(self) -> Literal["list", "get", "count"]:
        return "list" if self.list else "get" if self.get else "count"


class Emit(Declaration):
    """What a mutation emits, with no Python: a new entity, what changes of one, or that one is gone."""

    event: EventName
    update: Annotated[TypeName | None, Given()] = Field(
        None, description="Emit what changes of the entity of this type with the id given."
    )
    delete: Annotated[TypeName | None, Given()] = Field(
        None, description="Emit that the entity of this type with the id given is gone."
    )
    set: dict[FieldName, NullableValue] = Field(
        {},
        description="Values of attributes that are always the same, and that no client gives.",
        json_schema_extra={"additionalProperties": False},
    )

    @model_validator(mode="after")
    def _one_operation(self) -> Emit:
        if self.update is not None and self.delete is not None:
            raise PydanticCustomError("at_most_one", "", {"keys": ("update", "delete")})
        return self

    @property
    def operation(self) -> Literal["create", "update", "delete"]:
        return "update" if self.update else "delete" if self.delete else "create"

    @property
    def target(self) -> str:
        """The type whose entity is updated or deleted; empty for a new one, which is what the command returns."""
        return self.update or self.delete or ""


class Apply(Declaration):
    """What a handler does to the Cache, with no Python: `{create: Student}`."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("create", "update", "upsert", "delete"))

    create: Annotated[TypeName | None, Given()] = Field(None, description="Store a whole entity.")
    update: Annotated[TypeName | None, Given()] = Field(
        None, description="Change the attributes given of an entity that is there."
    )
    upsert: Annotated[TypeName | None, Given()] = Field(
        None, description="Change the attributes given, or store the entity when it is not there."
    )
    delete: Annotated[TypeName | None, Given()] = Field(None, description="Remove the entity with the payload's id.")

    @model_validator(mode="after")
    def _one_target(self) -> Apply:
        if len(self.model_fields_set) != 1 or not self.target:
            raise PydanticCustomError("exactly_one", "", {"keys": ("create", "update", "upsert", "delete")})
        return self

    @property
    def operation(self) -> str:
        return next(iter(self.model_fields_set))

    @property
    def target(self) -> str:
        return self.create or self.update or self.upsert or self.delete or ""


class Command(Declaration):
    """An operation of the API: a query reads, a mutation emits events."""

    name: FieldName
    type: Literal["query", "mutation"]
    return_type: TypeRef
    parameters: tuple[Parameter, ...] = ()
    read: Annotated[Read | None, Given()] = None
    emit: Annotated[Emit | None, Given()] = None
    version: Flag = Field(
        False,
        description="Take the version of the entity that the client has seen; refuse it unless it is the last.",
    )
    emits: Annotated[Emits | None, Given()] = Field(
        None, description="The events that its function and hooks emit, and no others; `[]` for none."
    )
    roles: Annotated[Roles | None, Given()] = Field(
        None,
        description="Who may use it: one of these roles, `[authenticated]` for any valid token, `[anyone]` for all.",
    )
    hooks: Hooks = Hooks()
    description: Annotated[Description | None, Given()] = None

    @property
    def python_name(self) -> str:
        return snake_case(self.name)

    @property
    def is_declared(self) -> bool:
        """Whether schema.yaml alone says what it does, with no Python file."""
        return self.read is not None or self.emit is not None

    @property
    def emitted(self) -> tuple[str, ...]:
        """The events that schema.yaml says it emits."""
        declared = (self.emit.event,) if self.emit is not None else ()
        return tuple(dict.fromkeys((*declared, *(self.emits or ()))))

    @property
    def returns_pages(self) -> bool:
        """Whether it is a declared list that comes as a GraphQL connection."""
        return self.read is not None and self.return_type.name == f"{self.read.list}{CONNECTION}"


class Handler(Declaration):
    """The Sink's reaction to one event."""

    name: FieldName
    event: EventName
    apply: Annotated[Apply | None, Given()] = None
    emits: Annotated[Emits | None, Given()] = Field(
        None, description="The events that its function and hooks emit, and no others; `[]` for none."
    )
    hooks: Hooks = Hooks()
    description: Annotated[Description | None, Given()] = None

    @property
    def python_name(self) -> str:
        return snake_case(self.name)


class Content(Declaration):
    """What the component consists of."""

    types: tuple[ObjectType, ...] = ()
    inputs: tuple[InputType, ...] = ()
    enums: tuple[EnumType, ...] = ()
    events: tuple[EventType, ...] = ()
    commands: tuple[Command, ...] = ()
    handlers: tuple[Handler, ...] = ()


class Component(Declaration):
    """One component: the whole of a schema.yaml."""

    name: ComponentName
    namespace: ComponentName
    content: Content
    description: Annotated[Description | None, Given()] = None

    @cached_property
    def types(self) -> dict[str, ObjectType]:
        return {declared.name: declared for declared in self.content.types}

    @cached_property
    def inputs(self) -> dict[str, InputType]:
        return {declared.name: declared for declared in self.content.inputs}

    @cached_property
    def enums(self) -> dict[str, EnumType]:
        return {declared.name: declared for declared in self.content.enums}

    @cached_property
    def events(self) -> dict[str, EventType]:
        return {declared.name: declared for declared in self.content.events}

    @cached_property
    def commands(self) -> dict[str, Command]:
        return {declared.name: declared for declared in self.content.commands}

    @cached_property
    def versioned(self) -> frozenset[str]:
        """The types whose entities have a version, because a command takes it."""
        return frozenset(command.return_type.name for command in self.content.commands if command.version)

    @cached_property
    def handlers(self) -> dict[str, tuple[Handler, ...]]:
        """Handlers by the event they react to, each event's in the order of the file."""
        by_event: dict[str, list[Handler]] = {}
        for handler in self.content.handlers:
            by_event.setdefault(handler.event, []).append(handler)
        return {event: tuple(handlers) for event, handlers in by_event.items()}

    @cached_property
    def emitted_by_commands(self) -> tuple[str, ...]:
        """The events that its API emits, as far as schema.yaml says so."""
        return tuple(dict.fromkeys(event for command in self.content.commands for event in command.emitted))

    @cached_property
    def emitted_by_handlers(self) -> tuple[str, ...]:
        """The events that its Sink emits, as far as schema.yaml says so."""
        return tuple(dict.fromkeys(event for handler in self.content.handlers for event in handler.emits or ()))

    @property
    def silent_mutations(self) -> tuple[str, ...]:
        """The mutations of which schema.yaml does not say what they emit."""
        written = (c for c in self.content.commands if c.type == "mutation" and not c.is_declared)
        return tuple(command.name for command in written if command.emits is None)

    def payload_type(self, event: str) -> ObjectType | InputType | None:
        """Return the shape of an event's payload, or None when nothing here tells it.

        Declared under `events:`, or else what the event's declared `emit:` returns or its declared
        `apply:` stores.
        """
        if event in self.events:
            declared = self.events[event]
            name = declared.payload or ""
            return declared.inline or self.types.get(name) or self.inputs.get(name)
        for command in self.content.commands:
            if command.emit is not None and command.emit.event == event:
                return self.types.get(command.return_type.name)
        for handler in self.handlers.get(event, ()):
            if handler.apply is not None:
                return self.types.get(handler.apply.target)
        return None

    def carries_whole(self, event: str) -> bool:
        """Whether an event's payload must be complete: it is declared, emitted or stored as a whole."""
        emits = [command.emit for command in self.content.commands if command.emit is not None]
        emitted = any(emit.event == event and emit.operation == "create" for emit in emits)
        stored = any(handler.apply is not None and handler.apply.create for handler in self.handlers.get(event, ()))
        return event in self.events or emitted or stored

    def carries_part(self, event: str) -> bool:
        """Whether an event's payload may leave out what it likes, and what it holds is stored as it is."""
        applied = [handler.apply for handler in self.handlers.get(event, ()) if handler.apply is not None]
        stored = {apply.target for apply in applied if apply.operation in ("update", "upsert")}
        shape = self.payload_type(event)
        return not self.carries_whole(event) and shape is not None and stored == {shape.name}
