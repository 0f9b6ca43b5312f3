"""Model fields for what schema.yaml declares and Django has no field for.

All of them store the same values on every engine.
"""

from __future__ import annotations

import copy
import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.core import exceptions
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import lookups
from django.db.models.expressions import Col
from django.db.models.fields.related_descriptors import ForwardManyToOneDescriptor
from django.utils.dateparse import parse_date, parse_datetime, parse_time
from django.utils.functional import cached_property

from byron.cache.decimals import of_sort_key, sort_key
from byron.schema.forms import FORMS
from byron.schema.values import LARGEST_EXPONENT, check_indexed, check_int, plain_decimal, plain_float

#: SQLite compares exact decimals by this collation; `byron.cache.connections` registers it.
DECIMAL_COLLATION = "byron_decimal"

#: PostgreSQL compares texts by this collation: by their bytes, which in UTF-8 is by code point.
TEXT_COLLATION = "C"


if TYPE_CHECKING:
    # Django's classes take type parameters for the type checker only.
    _Field = models.Field[Any, Any]
    _ForeignKey = models.ForeignKey[Any, Any]
    _Descriptor = ForwardManyToOneDescriptor[Any]
else:
    _Field, _ForeignKey, _Descriptor = models.Field, models.ForeignKey, ForwardManyToOneDescriptor


class _PlainTextMixin:
    """Text in the order of its code points, short enough for an index where it has one, on every engine.

    SQLite and MongoDB compare so by themselves; PostgreSQL would by the locale that its database was made with.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        parameters = super().db_parameters(connection)  # type: ignore[misc]
        if connection.vendor == "postgresql" and not parameters["collation"]:
            parameters["collation"] = TEXT_COLLATION
        return parameters

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Raise ValueError for a text that PostgreSQL has no room for in an index."""
        field: Any = self
        if isinstance(value, str) and (field.unique or field.db_index):
            check_indexed(value)
        return super().get_db_prep_save(value, connection)  # type: ignore[misc]


class CharField(_PlainTextMixin, models.CharField):  # type: ignore[type-arg]
    """A text of limited length: an id, or an enum's value."""


class TextField(_PlainTextMixin, models.TextField):  # type: ignore[type-arg]
    """A text."""


class IntegerField(models.IntegerField):  # type: ignore[type-arg]
    """A whole number of 32 bits, on every engine: PostgreSQL and GraphQL have no others."""

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        """Raise ValueError for a number beyond 32 bits."""
        if isinstance(value, int):
            check_int(value)
        return super().get_db_prep_save(value, connection)


class _InsensitiveMixin:
    """A lookup without regard to case, in which both sides are folded alike.

    PostgreSQL would fold the column by its own collation, and what is looked for by the database's.
    """

    def get_rhs_op(self, connection: BaseDatabaseWrapper, rhs: str) -> str:
        lookup: Any = super()
        if connection.vendor == "postgresql":
            rhs = f'{rhs} COLLATE "{TEXT_COLLATION}"'
        return str(lookup.get_rhs_op(connection, rhs))


for _lookup in (lookups.IExact, lookups.IContains, lookups.IStartsWith, lookups.IEndsWith):
    for _text in (CharField, TextField):
        _text.register_lookup(type(_lookup.__name__, (_InsensitiveMixin, _lookup), {}))


class DecimalField(_Field):
    """An exact decimal of any size, read back with the digits it was written with.

    PostgreSQL's `numeric`; text with a numeric collation on SQLite, whose own numbers are doubles. On MongoDB, whose
    own have 34 digits, a document: its `text` is the number, its `key` what it is compared by.
    """

    description = "Exact decimal"
    empty_strings_allowed = False

    def get_internal_type(self) -> str:
        # Not "DecimalField": Django's backends would round to that one's digits.
        return "ByronDecimalField"

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        if connection.vendor == "sqlite":
            return f"text COLLATE {DECIMAL_COLLATION}"
        return "object" if connection.vendor == "mongodb" else "numeric"

    def get_col(self, alias: Any, output_field: Any = None) -> Any:
        if alias == self.model._meta.db_table and output_field in (None, self):
            return self.cached_col
        return _DecimalCol(alias, self, output_field)

    @cached_property
    def cached_col(self) -> Any:
        return _DecimalCol(self.model._meta.db_table, self)

    def to_python(self, value: Any) -> decimal.Decimal | None:
        if value is None or isinstance(value, decimal.Decimal):
            return value
        try:
            return decimal.Decimal(str(value))
        except decimal.InvalidOperation as error:
            raise exceptions.ValidationError(f"{value!r} is not a decimal number.", code="invalid") from error

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        if hasattr(value, "resolve_expression"):
            return value
        number = self.to_python(value)
        return None if number is None else _as_numeric(number)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        value = value if prepared else self.get_prep_value(value)
        if value is None or connection.vendor not in ("sqlite", "mongodb"):
            return value
        return sort_key(value) if connection.vendor == "mongodb" else str(value)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        if connection.vendor != "mongodb" or value is None or hasattr(value, "as_sql"):
            return super().get_db_prep_save(value, connection)
        number = self.get_prep_value(value)
        return {"key": sort_key(number), "text": str(number)}

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> decimal.Decimal | None:
        if connection.vendor == "mongodb" and value is not None:
            return decimal.Decimal(value["text"]) if isinstance(value, dict) else of_sort_key(value)
        return self.to_python(value)


class FloatField(models.FloatField):  # type: ignore[type-arg]
    """A double. Zero has no sign: SQLite does not keep it, PostgreSQL and MongoDB do."""

    def from_db_value(self, value: float | None, expression: Any, connection: BaseDatabaseWrapper) -> float | None:
        # When it is read, since databases also compute.
        return None if value is None else plain_float(value)


class VersionField(models.BigIntegerField):  # type: ignore[type-arg]
    """An entity's version: the position of the last event about it that the Cache has applied; 0 without one.

    The Sink sets it, by itself. It is no attribute: no payload has it.
    """

    description = "Version"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.update(default=0, editable=False)
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        for implied in ("default", "editable"):
            kwargs.pop(implied, None)
        return name, path, args, kwargs


def _as_numeric(number: decimal.Decimal) -> decimal.Decimal:
    """Return a number as PostgreSQL's numeric gives it back. Raises ValueError for one that is too large."""
    number = plain_decimal(number)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent > 0:
        raise ValueError(f"{number!s:.80} has an exponent beyond {LARGEST_EXPONENT}.")
    return number


class _DecimalCol(Col):
    """A decimal's column. On MongoDB it is compared by its key, wherever it is not just read."""

    def as_mql(self, compiler: Any, connection: Any, as_expr: bool = False) -> str:
        # The backend gives it to Django's class when it is imported.
        return f"{super().as_mql(compiler, connection, as_expr=as_expr)}.key"  # type: ignore[misc]


_READERS: dict[str, Callable[[str], Any]] = {
    # "t" and "z" are as good as "T" and "Z" where payloads are read.
    "DateTime": lambda value: parse_datetime(value.upper()),
    "Date": parse_date,
    "Time": parse_time,
    # By its shortest text, as a number that is no item of a list: a JSON number is a float here.
    "Decimal": lambda value: decimal.Decimal(str(value)),
    "UUID": uuid.UUID,
}


def scalar(name: str, text: str) -> Any:
    """Return the value of a scalar that is written as text, for a generated model's defaults."""
    return FORMS[name].value(text)


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    return value


class JSONField(models.JSONField):
    """JSON, read back as it was written: each number with its kind and digits, each object with its order.

    PostgreSQL's `json`, which keeps the text; Django's own field has `jsonb`, where 1e300 becomes an integer and a text
    with a NUL an error. It is still compared and looked into as `jsonb`.
    """

    def db_type(self, connection: BaseDatabaseWrapper) -> str | None:
        return "json" if connection.vendor == "postgresql" else super().db_type(connection)

    def get_col(self, alias: Any, output_field: Any = None) -> Any:
        if alias == self.model._meta.db_table and output_field in (None, self):
            return self.cached_col
        return _JSONCol(alias, self, output_field)

    @cached_property
    def cached_col(self) -> Any:
        return _JSONCol(self.model._meta.db_table, self)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        if connection.vendor != "postgresql" or value is None or hasattr(value, "as_sql"):
            return super().get_db_prep_save(value, connection)
        return json.dumps(self.get_prep_value(value), cls=self.encoder)

    def get_default(self) -> Any:
        # Each entity has its own: one may be changed.
        return copy.deepcopy(super().get_default())

    def _check_default(self) -> list[Any]:
        """Let a default be a list or an object, and no function."""
        return []


class _JSONCol(Col):
    """A column of JSON. PostgreSQL's `json` has no operators: its text is read, and for all else it is `jsonb`."""

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        sql, parameters = self.as_sql(compiler, connection)
        return f"({sql})::jsonb", parameters

    def select_format(self, compiler: Any, sql: str, params: Any) -> tuple[str, Any]:
        if compiler.connection.vendor != "postgresql":
            return super().select_format(compiler, sql, params)
        sql, params = self.as_sql(compiler, compiler.connection)
        return f"({sql})::text", params


class ListField(JSONField):
    """A list of one scalar or enum, in order; `base` is the scalar's name in schema.yaml."""

    description = "List"

    def __init__(self, *args: Any, base: str, **kwargs: Any) -> None:
        self.base = base
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, {**kwargs, "base": self.base}

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return [_plain(item) for item in value] if isinstance(value, list | tuple) else value

    def from_db_value(self, value: Any, expression: Any, connection: BaseDatabaseWrapper) -> Any:
        return self._read(super().from_db_value(value, expression, connection))

    def get_default(self) -> Any:
        return self._read(super().get_default())

    def _read(self, items: Any) -> Any:
        read = _READERS.get(self.base)
        if read is None or not isinstance(items, list):
            return items
        return [None if item is None else read(item) for item in items]


class ReferenceListField(ListField):
    """A list of references, stored as their ids in order; `to` is the type they refer to."""

    description = "List of references"
    # The type that is referred to may be renamed: no column changes.
    non_db_attrs = (*ListField.non_db_attrs, "to")

    def __init__(self, *args: Any, to: str, **kwargs: Any) -> None:
        self.to = to
        super().__init__(*args, base="ID", **kwargs)

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["base"]
        return name, path, args, {**kwargs, "to": self.to}


class _ReferenceDescriptor(_Descriptor):
    """Let a reference be set to an id as well as to an instance."""

    def __set__(self, instance: Any, value: Any) -> None:
        if isinstance(value, str):
            setattr(instance, self.field.attname, value)
        else:
            super().__set__(instance, value)


class ReferenceField(_ForeignKey):
    """A reference to another type's entity: its id, with no constraint in the database.

    The entity may come later, or not at all: events of different keys have no order between them.
    """

    forward_related_accessor_class = _ReferenceDescriptor

    def __init__(self, to: Any, *, on_delete: Any = models.DO_NOTHING, **kwargs: Any) -> None:
        kwargs.update(db_constraint=False, related_name="+")
        super().__init__(to, on_delete=on_delete, **kwargs)

    def _check_unique(self, **kwargs: Any) -> list[Any]:
        """Let a reference be unique: what Django proposes instead differs in the way back only, which there is not."""
        return []

    def deconstruct(self) -> tuple[str, str, Any, Any]:
        name, path, args, kwargs = super().deconstruct()
        for implied in ("on_delete", "db_constraint", "related_name"):
            kwargs.pop(implied, None)
        return name, path, args, kwargs
