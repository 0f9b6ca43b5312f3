"""A type expression, as GraphQL writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_TYPE_EXPRESSION = r"^(?:[A-Za-z][A-Za-z0-9]*!?|\[[A-Za-z][A-Za-z0-9]*!?\]!?)$"
_TYPE_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9]*)(!?)|\[([A-Za-z][A-Za-z0-9]*)(!?)\](!?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeRef:
    """A type expression as GraphQL writes it: `Int`, `Int!`, `[Int!]!`."""

    name: str
    is_list: bool = False
    required: bool = False
    items_required: bool = False

    @classmethod
    def parse(cls, text: str) -> TypeRef:
        """Return the parts of an expression. Raises ValueError when it is not one."""
        match = _TYPE_PARTS.fullmatch(text)
        if match is None:
            raise ValueError(text)
        name, required, item, item_required, list_required = match.groups()
        if item:
            return cls(name=item, is_list=True, required=bool(list_required), items_required=bool(item_required))
        return cls(name=name, required=bool(required))

    def __str__(self) -> str:
        if self.is_list:
            return f"[{self.name}{'!' * self.items_required}]{'!' * self.required}"
        return f"{self.name}{'!' * self.required}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(text: str) -> TypeRef:
            try:
                return cls.parse(text)
            except ValueError as error:
                raise PydanticCustomError("type_expression", "not a type expression") from error

        return core_schema.no_info_after_validator_function(validate, core_schema.str_schema(strict=True))

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": _TYPE_EXPRESSION, "examples": ["String!", "[Student!]!"]}
