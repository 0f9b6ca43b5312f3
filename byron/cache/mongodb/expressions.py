"""How Django's expressions say values and the time, where a Cache on MongoDB stores them in ways of its own.

The backend gives Django's expression classes a method each, for want of a better way; so does this module, and leaves
other connections what they had.
"""

from __future__ import annotations

import datetime
import decimal
from typing import Any

from django.db import NotSupportedError
from django.db.models import Value
from django.db.models.functions import Now

#: MongoDB's time has milliseconds.
_NOW = {"$dateToString": {"date": "$$NOW", "format": "%Y-%m-%dT%H:%M:%S.%L000Z"}}

_value: Any = Value.as_mql  # type: ignore[attr-defined]
_now: Any = Now.as_mql_expr  # type: ignore[attr-defined]


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


def register_expressions() -> None:
    """Have Django's expressions know this engine; called once, when it is imported."""
    Value.as_mql = _as_stored  # type: ignore[attr-defined]
    Now.as_mql_expr = _time_as_stored  # type: ignore[attr-defined]
