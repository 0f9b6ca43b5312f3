"""What declarations of schema.yaml have in common: how things are called, and what a key may hold."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from byron.schema import names


def _name(pattern: str) -> StringConstraints:
    return StringConstraints(strict=True, pattern=pattern, max_length=names.LONGEST_NAME)


ComponentName = Annotated[str, _name(names.COMPONENT_PATTERN)]
TypeName = Annotated[str, _name(names.TYPE_PATTERN)]
FieldName = Annotated[str, _name(names.FIELD_PATTERN)]
EnumValue = Annotated[str, _name(names.ENUM_VALUE_PATTERN)]
EventName = Annotated[str, _name(names.EVENT_PATTERN)]
ORDER_PATTERN = "^-?" + names.FIELD_PATTERN.removeprefix("^")
OrderName = Annotated[str, _name(ORDER_PATTERN)]
RoleName = Annotated[str, StringConstraints(strict=True, pattern=names.ROLE_PATTERN, max_length=names.LONGEST_ROLE)]
Roles = Annotated[tuple[RoleName, ...], Field(min_length=1, max_length=100)]
Emits = Annotated[tuple[EventName, ...], Field(max_length=100)]
Description = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, max_length=2000, pattern=names.DESCRIPTION_PATTERN),
]
Flag = Annotated[bool, Field(strict=True)]

#: An attribute or a type that was renamed more often than this is another one.
_MOST_OLD_NAMES = 20


def _one_or_several(written: Any) -> Any:
    return written if isinstance(written, list | tuple) else (written,)


FieldNames = Annotated[tuple[FieldName, ...], Field(min_length=1, max_length=_MOST_OLD_NAMES)]
TypeNames = Annotated[tuple[TypeName, ...], Field(min_length=1, max_length=_MOST_OLD_NAMES)]
OldFieldNames = Annotated[FieldNames, BeforeValidator(_one_or_several, json_schema_input_type=FieldName | FieldNames)]
OldTypeNames = Annotated[TypeNames, BeforeValidator(_one_or_several, json_schema_input_type=TypeName | TypeNames)]


class Given:
    """Marks a key that may be left out; when it is there, it has a value."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        nullable: Any = handler(source)
        inner: CoreSchema = nullable["schema"]
        return inner


class _Written:
    """Marks a value of whatever type: what it must be is told by the rest of the schema."""

    def __init__(self, *, nullable: bool = False) -> None:
        self._nullable = nullable

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: Any) -> Any:
            if value is None and not self._nullable:
                raise PydanticCustomError("no_value", "no value")
            return value

        return core_schema.no_info_plain_validator_function(validate)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        kinds = ["string", "number", "boolean", "array", "object"]
        return {"type": [*kinds, "null"] if self._nullable else kinds}


#: A value as YAML has it.
Value = Annotated[Any, _Written()]
NullableValue = Annotated[Any, _Written(nullable=True)]


class Declaration(BaseModel):
    """Anything that schema.yaml declares: its keys are known, and written in camelCase."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        ignored_types=(cached_property,),
        # Built when a schema is read, and only what is needed: at import it would slow every start.
        defer_build=True,
    )


def exactly_one(*keys: str) -> Callable[[dict[str, Any]], None]:
    """Return what tells editors that a declaration takes one of these keys."""

    def extend(schema: dict[str, Any]) -> None:
        schema["oneOf"] = [{"required": [key]} for key in keys]

    return extend
