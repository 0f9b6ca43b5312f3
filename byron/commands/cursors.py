"""The values in a cursor: as an entity has them, as JSON, and as a client sends them back."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from byron.schema.forms import FORMS
from byron.schema.values import LARGEST_EXPONENT, check_int, check_json, check_text

#: The scalars that are written as text, by what Django calls their columns.
_SCALARS = {
    "DateTimeField": "DateTime",
    "DateField": "Date",
    "TimeField": "Time",
    "UUIDField": "UUID",
    "ByronDecimalField": "Decimal",
}


def written(value: Any) -> Any:
    """Return a value as a cursor has it."""
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def read(field: Any, value: Any) -> Any:
    """Return the value of a column that a cursor names, held to what an argument is held to.

    Raises ValueError or TypeError for what no cursor of this column says.
    """
    if value is None:
        return None
    kind = (field.target_field if field.is_relation else field).get_internal_type()
    if kind in ("CharField", "TextField"):
        _require(value, str)
        check_text(value)
    elif kind == "IntegerField":
        _require(value, int)
        check_int(value)
    elif kind == "FloatField":
        _require(value, int | float)
        # An integer may be beyond every double.
        if not math.isfinite(float(value)):
            raise ValueError("no number")
    elif kind == "BooleanField" and not isinstance(value, bool):
        raise TypeError("no Boolean")
    elif kind == "ByronDecimalField":
        return _decimal(value)
    elif kind in _SCALARS:
        _require(value, str)
        return FORMS[_SCALARS[kind]].value(value)
    else:
        check_json(value)
    return value


def _require(value: Any, kind: Any) -> None:
    # True is an integer to Python.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError("of another type")


def _decimal(text: Any) -> Decimal:
    """Return a decimal. It may have more digits than an argument: a large one is written out when it is stored."""
    _require(text, str)
    if len(text) > 3 * LARGEST_EXPONENT or not FORMS["Decimal"].pattern.fullmatch(text):
        raise ValueError("no decimal")
    number = Decimal(text)
    if abs(number.adjusted()) > LARGEST_EXPONENT:
        raise ValueError("beyond every decimal that is stored")
    return number
