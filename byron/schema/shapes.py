"""The shapes of a component's data, as schema.yaml declares them: types, inputs, enums and payloads of events."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from byron.schema.declaration import (
    Declaration,
    Description,
    EnumValue,
    EventName,
    FieldName,
    Flag,
    Given,
    OldFieldNames,
    OldTypeNames,
    TypeName,
    Value,
    exactly_one,
)
from byron.schema.names import snake_case
from byron.schema.type_ref import TypeRef

#: SQLite's tables have 2,000 columns at most, PostgreSQL's 1,600.
MOST_ATTRIBUTES = 1000

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
    attributes: tuple[Attribute, ...] = Field(min_length=1, max_length=MOST_ATTRIBUTES)
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
    attributes: tuple[InputAttribute, ...] = Field(min_length=1, max_length=MOST_ATTRIBUTES)
    description: Annotated[Description | None, Given()] = None

    @cached_property
    def attribute(self) -> dict[str, InputAttribute]:
        return {attribute.name: attribute for attribute in self.attributes}


class EnumType(Declaration):
    """A closed list of values."""

    name: TypeName
    values: tuple[EnumValue, ...] = Field(min_length=1)
    description: Annotated[Description | None, Given()] = None


#: What tells an event's payload: one of these.
_PAYLOAD = ("payload", "attributes")


class EventType(Declaration):
    """The shape of an event's payload, checked when it is emitted and when it is received."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*_PAYLOAD))

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
        max_length=MOST_ATTRIBUTES,
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
