"""The scalars that are written as text: one form each, and nothing that a Cache would give back changed."""

from __future__ import annotations

import datetime
import decimal
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from byron.schema.values import check_decimal, check_moment, plain_decimal

# Python reads much more than these: spaces, other scripts' digits, further digits of a second, which it cuts off.
_DAY = r"\d{4}-\d{2}-\d{2}"
_HOUR = r"\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?"
_ZONE = r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_UUID = "-".join(f"[0-9A-Fa-f]{{{digits}}}" for digits in (8, 4, 4, 4, 12))


class FormError(ValueError):
    """A text that is not of its scalar's form."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a scalar's values are written; `read` makes the Python value of a text of this pattern."""

    example: str
    pattern: re.Pattern[str]
    read: Callable[[str], Any]

    def value(self, text: str) -> Any:
        """Return the value that a text stands for.

        Raises FormError when it is not of this form, and ValueError, saying why, when there is no such value.
        """
        if not self.pattern.fullmatch(text):
            raise FormError(text)
        try:
            return self.read(text)
        except ArithmeticError as error:
            raise FormError(text) from error


def _moment(text: str) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(text)
    check_moment(moment)
    return moment


def _exact(text: str) -> decimal.Decimal:
    number = decimal.Decimal(text)
    check_decimal(number)
    return plain_decimal(number)


def _form(example: str, pattern: str, read: Callable[[str], Any]) -> Form:
    return Form(example, re.compile(pattern, re.ASCII), read)


#: By the scalars' names in schema.yaml.
FORMS: Final = {
    "DateTime": _form("2024-02-29T12:30:00Z", f"{_DAY}T{_HOUR}{_ZONE}", _moment),
    "Date": _form("2024-02-29", _DAY, datetime.date.fromisoformat),
    "Time": _form("12:30:00", _HOUR, datetime.time.fromisoformat),
    "Decimal": _form("12.50", _NUMBER, _exact),
    "UUID": _form("0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f", _UUID, uuid.UUID),
}
