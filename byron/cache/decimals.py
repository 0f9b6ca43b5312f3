"""Exact decimals as text that sorts and equals as the numbers do, for databases whose own numbers have few digits."""

from __future__ import annotations

import decimal

#: Half of the exponents that a key has room for; the API takes far smaller ones.
_HALF = 50_000
_WIDTH = 5

#: Sorts after every digit, so that of two negative numbers the one with more digits comes first.
_END = "~"

_COMPLEMENT = str.maketrans("0123456789", "9876543210")


def sort_key(number: decimal.Decimal) -> str:
    """Return a text for a number: two texts compare as their numbers do, and are the same for equal ones.

    Raises ValueError for a number that is none, or whose exponent is out of bounds.
    """
    if not number.is_finite() or (number and abs(number.adjusted()) >= _HALF):
        raise ValueError(f"{number!s:.80} cannot be stored exactly.")
    if not number:
        return "1"
    exponent = f"{number.adjusted() + _HALF:0{_WIDTH}}"
    digits = "".join(map(str, number.as_tuple().digits)).lstrip("0").rstrip("0")
    if number < 0:
        return "0" + (exponent + digits).translate(_COMPLEMENT) + _END
    return "2" + exponent + digits


def of_sort_key(key: str) -> decimal.Decimal:
    """Return the number that a key was made of, without the zeros at its end."""
    sign, rest = key[0], key[1:]
    if sign == "1":
        return decimal.Decimal(0)
    if sign == "0":
        rest = rest.removesuffix(_END).translate(_COMPLEMENT)
    exponent, digits = int(rest[:_WIDTH]) - _HALF, rest[_WIDTH:]
    return decimal.Decimal((int(sign == "0"), tuple(map(int, digits)), exponent - len(digits) + 1))
