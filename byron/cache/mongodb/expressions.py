"""How Django's expressions say values and the time, where a Cache on MongoDB stores them in ways of its own.

The backend gives Django's expression classes a method each, for want of a better way; so does this module, and leaves
other connections what they had.
"""

from __future__ import annotations

import datetime
import decimal
from typing import Any

from django.db import NotSupportedError
from django.db.models import DateField, DateTimeField, Func, TimeField, Value
from django.db.models.functions import Extract, Now, TruncDate, TruncTime
from django.db.models.functions.datetime import TruncBase

#: MongoDB's time has milliseconds.
_NOW = {"$dateToString": {"date": "$$NOW", "format": "%Y-%m-%dT%H:%M:%S.%L000Z"}}

_value: Any = Value.as_mql  # type: ignore[attr-defined]
_now: Any = Now.as_mql_expr  # type: ignore[attr-defined]
_extract: Any = Extract.as_mql_expr  # type: ignore[attr-defined]
_truncate: Any = TruncBase.as_mql_expr  # type: ignore[attr-defined]
_date: Any = TruncDate.as_mql_expr  # type: ignore[attr-defined]
_time: Any = TruncTime.as_mql_expr  # type: ignore[attr-defined]

#: What each is written as here, when MongoDB has computed it as one of its dates.
_WRITTEN = (
    (DateTimeField, "%Y-%m-%dT%H:%M:%S.%L000Z"),
    (DateField, "%Y-%m-%d"),
    (TimeField, "%H:%M:%S.%L000"),
)


def _as_stored(self: Any, compiler: Any, connection: Any, as_expr: bool = False) -> Any:
    if not getattr(connection, "is_cache", False):
        return _value(self, compiler, connection, as_expr=as_expr)
    value = self.value
    if isinstance(value, decimal.Decimal):
        raise NotSupportedError(
            "On MongoDB a Decimal is no part of an expression: hold the row with select_for_update(), compute the "
            "new value in Python, and save it."
        )
    if isinstance(value, datetime.datetime):
        value = connection.ops.adapt_datetimefield_value(value)
    elif isinstance(value, datetime.date):
        value = connection.ops.adapt_datefield_value(value)
    elif isinstance(value, datetime.time):
        value = connection.ops.adapt_timefield_value(value)
    else:
        return _value(self, compiler, connection, as_expr=as_expr)
    return {"$literal": value} if as_expr else value


def _time_as_stored(self: Any, compiler: Any, connection: Any) -> Any:
    return _NOW if getattr(connection, "is_cache", False) else _now(self, compiler, connection)


class _AsDate(Func):
    """An expression whose value is text here, as one of MongoDB's dates, which is what it computes with."""

    def as_mql(self, compiler: Any, connection: Any, as_expr: bool = False) -> Any:
        [source] = self.get_source_expressions()
        written = source.as_mql(compiler, connection, as_expr=True)
        text = written
        # MongoDB reads milliseconds, and wants a day with each time.
        if isinstance(source.output_field, DateTimeField):
            text = {"$concat": [{"$substrBytes": [written, 0, 23]}, "Z"]}
        elif isinstance(source.output_field, TimeField):
            text = {"$concat": ["2000-01-01T", {"$substrBytes": [written, 0, 12]}, "Z"]}
        return {"$cond": [{"$gt": [written, None]}, {"$dateFromString": {"dateString": text}}, None]}


def _of_date(expression: Any) -> Any:
    """Return an expression of dates with its sources as MongoDB's own dates."""
    clone = expression.copy()
    clone.set_source_expressions([_AsDate(each) for each in expression.get_source_expressions()])
    return clone


def _extracted(self: Any, compiler: Any, connection: Any) -> Any:
    if not getattr(connection, "is_cache", False):
        return _extract(self, compiler, connection)
    if self.lookup_name == "quarter":
        month = {"$month": _AsDate(self.lhs).as_mql(compiler, connection, as_expr=True)}
        return {"$ceil": {"$divide": [month, 3]}}
    return _extract(_of_date(self), compiler, connection)


def _truncated(self: Any, compiler: Any, connection: Any) -> Any:
    if not getattr(connection, "is_cache", False):
        return _truncate(self, compiler, connection)
    written = next(text for kind, text in _WRITTEN if isinstance(self.output_field, kind))
    zone = None if isinstance(self.output_field, DateTimeField) else self.get_tzname()
    return _text(_truncate(_of_date(self), compiler, connection), written, zone)


def _day(self: Any, compiler: Any, connection: Any) -> Any:
    if not getattr(connection, "is_cache", False):
        return _date(self, compiler, connection)
    return _text(_AsDate(self.lhs).as_mql(compiler, connection), "%Y-%m-%d", self.get_tzname())


def _hour(self: Any, compiler: Any, connection: Any) -> Any:
    if not getattr(connection, "is_cache", False):
        return _time(self, compiler, connection)
    moment = _text(_AsDate(self.lhs).as_mql(compiler, connection), "%H:%M:%S.%L", self.get_tzname())
    written = self.lhs.as_mql(compiler, connection, as_expr=True)
    return {"$concat": [moment, {"$substrBytes": [written, 23, 3]}]}


def _text(date: Any, written: str, zone: str | None) -> Any:
    return {"$dateToString": {"date": date, "format": written, "timezone": zone or "UTC"}}


def register_expressions() -> None:
    """Have Django's expressions know this engine; called once, when it is imported."""
    Extract.as_mql_expr = _extracted  # type: ignore[attr-defined]
    TruncBase.as_mql_expr = _truncated  # type: ignore[attr-defined]
    TruncDate.as_mql_expr = _day  # type: ignore[attr-defined]
    TruncTime.as_mql_expr = _hour  # type: ignore[attr-defined]
    Value.as_mql = _as_stored  # type: ignore[attr-defined]
    Now.as_mql_expr = _time_as_stored  # type: ignore[attr-defined]
