"""An attribute's Django field: one description, for the text of models.py and for migrations."""

from __future__ import annotations

import datetime
import decimal
import uuid
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.module_loading import import_string

from byron.schema import types
from byron.schema.defaults import default_value, plain_default
from byron.schema.model import Attribute, Component, ObjectType
from byron.schema.reads import VERSION

#: How models.py names the modules that fields come from.
_SHORT = {"django.db.models": "models", "byron.cache.fields": "fields"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldSpec:
    """A model field: its name, its class as a dotted path, and the class's keyword arguments."""

    name: str
    path: str
    options: dict[str, Any]

    def source(self) -> str:
        """Return the field as models.py has it: `models.TextField(unique=True)`."""
        module, _, name = self.path.rpartition(".")
        options = ", ".join(f"{key}={_source(value)}" for key, value in self.options.items())
        return f"{_SHORT[module]}.{name}({options})"

    def build(self, label: str) -> models.Field[Any, Any]:
        """Return the field itself, for a model of the app with this label."""
        options = dict(self.options)
        if self.path == types.REFERENCE_FIELD:
            options["to"] = f"{label}.{options['to']}"
        if options.get("primary_key"):
            # As Django itself marks a model's primary key once the model is there.
            options["serialize"] = False
        field: models.Field[Any, Any] = import_string(self.path)(**options)
        return field


def _source(value: Any) -> str:
    """Return an option's value as models.py has it, where an attribute may have the name of any module."""
    scalar = next((name for name, kind in _WRITTEN_AS_TEXT if isinstance(value, kind)), None)
    return repr(value) if scalar is None else f"fields.scalar({scalar!r}, {_text(value)!r})"


def _text(value: Any) -> str:
    return str(value.isoformat()) if isinstance(value, datetime.date | datetime.time) else str(value)


#: A DateTime is also a date, and so comes first.
_WRITTEN_AS_TEXT: tuple[tuple[str, type[Any]], ...] = (
    ("DateTime", datetime.datetime),
    ("Date", datetime.date),
    ("Time", datetime.time),
    ("Decimal", decimal.Decimal),
    ("UUID", uuid.UUID),
)


ID_FIELD = FieldSpec(
    name="id", path=types.SCALARS["ID"].model_field, options={**types.SCALARS["ID"].options, "primary_key": True}
)


VERSION_FIELD = FieldSpec(name=VERSION, path=types.VERSION_FIELD, options={})


def model_fields(kind: ObjectType, component: Component) -> list[FieldSpec]:
    """Return every field of a type's model: the id, the version where it has one, and its attributes."""
    own = [VERSION_FIELD] if kind.name in component.versioned else []
    return [ID_FIELD, *own, *(model_field(attribute, component) for attribute in kind.attributes)]


def model_field(attribute: Attribute, component: Component) -> FieldSpec:
    """Return the field that stores an attribute, by the type table."""
    path, options = _storage(attribute, component)
    if attribute.unique:
        options["unique"] = True
    elif attribute.index:
        options["db_index"] = True
    if not attribute.type.required:
        options["null"] = True
    if attribute.default is not None:
        # The items of a list stay as JSON has them: its field reads them, as it does from the database.
        options["default"] = (plain_default if attribute.type.is_list else default_value)(component, attribute)
    return FieldSpec(name=attribute.python_name, path=path, options=options)


def _storage(attribute: Attribute, component: Component) -> tuple[str, dict[str, Any]]:
    name, is_list = attribute.type.name, attribute.type.is_list
    if name in component.types:
        return (types.REFERENCE_LIST_FIELD if is_list else types.REFERENCE_FIELD), {"to": name}
    if is_list:
        return types.LIST_FIELD, {"base": "String" if name in component.enums else name}
    if name in component.enums:
        return types.ENUM_FIELD, dict(types.ENUM_OPTIONS)
    scalar = types.SCALARS[name]
    return scalar.model_field, dict(scalar.options)
