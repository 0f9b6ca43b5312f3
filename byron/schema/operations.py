"""What a component does, as schema.yaml declares it: commands, handlers, and what they do without Python."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from byron.schema.declaration import (
    Declaration,
    Description,
    Emits,
    EventName,
    FieldName,
    Flag,
    Given,
    NullableValue,
    OrderName,
    Roles,
    TypeName,
    exactly_one,
)
from byron.schema.names import snake_case
from byron.schema.shapes import MOST_ATTRIBUTES, Member
from byron.schema.type_ref import TypeRef

#: What the type of a list in pages is called, after the type of its entities: `StudentConnection`.
CONNECTION = "Connection"


class Parameter(Member):
    """One argument of a command."""


class Hooks(Declaration):
    """Functions of `hooks/` that run around a command or a handler, in the order given."""

    before: tuple[FieldName, ...] = ()
    after: tuple[FieldName, ...] = ()


class Read(Declaration):
    """What a query reads from the Cache, with no Python: `{list: Student}`, `{get: Student}` or `{count: Student}`."""

    model_config = ConfigDict(json_schema_extra=exactly_one("list", "get", "count"))

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
        max_length=MOST_ATTRIBUTES,
        description="Attributes that become optional arguments of the query, and conditions of `where:`.",
    )
    order: tuple[OrderName, ...] = Field(
        (),
        max_length=MOST_ATTRIBUTES,
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

    model_config = ConfigDict(json_schema_extra=exactly_one("create", "update", "upsert", "delete"))

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
