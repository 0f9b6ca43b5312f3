"""What a value must be besides being of its type, so that every Cache holds it and gives it back as it was."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Callable, Mapping
from typing import Any

#: Bytes of UTF-8 of a text that is unique or has an index. PostgreSQL's have room for 2,692 that do not compress.
LONGEST_INDEXED = 2600

#: Digits after the point, at most, and before it but for one: far within what PostgreSQL's numeric stores.
LARGEST_EXPONENT = 1000

#: Digits of a decimal, at most: as many as 1e1000 has when it is written out.
MOST_DIGITS = LARGEST_EXPONENT + 1

#: Integers within JSON that the log and every Cache hold exactly.
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1

#: Levels of objects and lists within JSON.
DEEPEST = 100


def check_moment(moment: datetime.datetime) -> None:
    """Raise ValueError for a moment that the calendar has no place for in UTC, in which Caches keep it."""
    if 1 < moment.year < datetime.MAXYEAR:
        return
    try:
        moment.astimezone(datetime.UTC)
    except OverflowError as error:
        raise ValueError(f"{moment.isoformat()} is outside of the years 1 to 9999 in UTC.") from error


def check_text(text: str) -> None:
    """Raise ValueError for a text that not every Cache can hold, or that is none."""
    if "\0" in text:
        raise ValueError("the character U+0000, which cannot be stored")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("half of a surrogate pair, which is no character") from error


def check_indexed(text: str) -> None:
    """Raise ValueError for a text that not every Cache can put into an index."""
    # Of four bytes a character at most, most texts need not be encoded.
    if len(text) * 4 > LONGEST_INDEXED and (size := len(text.encode())) > LONGEST_INDEXED:
        raise ValueError(
            f"A text that is unique or has an index takes {LONGEST_INDEXED} bytes of UTF-8 at most, not {size}."
        )


def check_int(number: int) -> None:
    """Raise ValueError for a whole number beyond 32 bits."""
    if not -(2**31) <= number < 2**31:
        raise ValueError(f"{number} is outside of the integers from -2147483648 to 2147483647.")


def check_decimal(number: decimal.Decimal) -> None:
    """Raise ValueError for a decimal that is no number, or has more digits than every Cache stores."""
    if not number.is_finite():
        raise ValueError(f"{number} is no number.")
    if len(number.as_tuple().digits) > MOST_DIGITS or abs(number.adjusted()) > LARGEST_EXPONENT:
        raise ValueError(f"Decimals have {MOST_DIGITS} digits and exponents to {LARGEST_EXPONENT} at most.")


def plain_decimal(number: decimal.Decimal) -> decimal.Decimal:
    """Return a number as every Cache gives it back: zero has no sign, and no exponent is above zero.

    One that no Cache takes stays as it is: written out, a few characters would become gigabytes.
    """
    if not number:
        number = number.copy_abs()
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent <= 0:
        return number
    if not number:
        return decimal.Decimal(0)
    return decimal.Decimal(f"{number:f}") if number.adjusted() <= LARGEST_EXPONENT else number


def plain_float(number: float) -> float:
    """Return a number as every Cache gives it back: zero has no sign."""
    return number + 0.0


def check_finite(value: Any, place: str = "") -> None:
    """Raise ValueError, which says where it is, for a number that JSON cannot hold, at any depth."""
    # A Decimal tells by itself: as a float it might be too large.
    if (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, decimal.Decimal) and not value.is_finite()
    ):
        raise ValueError(f"{place or 'it'} is {value}, which JSON cannot hold.")
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_finite(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_finite(item, f"{place}[{index}]")


def check_json(value: Any, level: int = 0) -> None:
    """Raise ValueError for what is no JSON value, or would not come back as it is from every Cache."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("JSON takes no character U+0000, which not every Cache can store.")
    elif isinstance(value, dict | list | tuple):
        if level >= DEEPEST:
            raise ValueError(f"JSON takes {DEEPEST} levels at most.")
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise ValueError(f"JSON has names that are text, not {key!r}.")
                check_json(key)
        for item in value.values() if isinstance(value, dict) else value:
            check_json(item, level + 1)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("JSON takes finite numbers.")
    elif isinstance(value, int):
        if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
            raise ValueError("JSON takes integers of 64 bits; write larger ones as strings.")
    elif value is not None:
        raise ValueError(f"JSON has nothing like {value!r}.")


#: By the names of the scalars whose types alone let too much pass.
CHECKS: dict[str, Callable[[Any], None]] = {"DateTime": check_moment, "Decimal": check_decimal, "JSON": check_json}
