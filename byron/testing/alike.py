"""Whether two values of events or answers say the same, one as Python has it and the other as JSON does."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from byron.schema.forms import FORMS


def alike(expected: Any, actual: Any) -> bool:
    """Whether two values of payloads say the same.

    A payload that nothing declares is plain JSON, a declared one has decimals, moments and so on: a text says the same
    as the value that schema.yaml would read it as, and a float the decimal that it is written as. True is no 1.
    """
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(alike(value, actual[key]) for key, value in expected.items())
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return len(expected) == len(actual) and all(map(alike, expected, actual))
    if isinstance(expected, _NUMBERS) and isinstance(actual, _NUMBERS):
        if isinstance(expected, Decimal) is not isinstance(actual, Decimal):
            expected, actual = _exact(expected), _exact(actual)
        return bool(expected == actual) and isinstance(expected, bool) == isinstance(actual, bool)
    return bool(expected == actual) or _says(expected, actual) or _says(actual, expected)


def _exact(number: int | float | Decimal) -> int | Decimal:
    """Return a number as JSON writes it and decimals are read: 0.1 as one tenth, not as what binary has next to it."""
    return Decimal(repr(float(number))) if isinstance(number, float) else number


def _says(text: Any, value: Any) -> bool:
    """Whether a text is one of those that are read as a value."""
    form = next((form for kind, form in _FORMS.items() if type(value) is kind), None)
    if form is None or not isinstance(text, str):
        return False
    try:
        return bool(form.value(text) == value)
    except ValueError:
        return False


_NUMBERS = (int, float, Decimal)

#: By the types of the values that they are read as.
_FORMS = {
    Decimal: FORMS["Decimal"],
    datetime.datetime: FORMS["DateTime"],
    datetime.date: FORMS["Date"],
    datetime.time: FORMS["Time"],
    UUID: FORMS["UUID"],
}
