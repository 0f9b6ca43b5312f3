"""Keys that sort and equal as the decimals do that they are made of."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from byron.cache.decimals import of_sort_key, sort_key

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda number: abs(number.adjusted()) < 1000)


@given(NUMBERS, NUMBERS)
@example(Decimal("1.1"), Decimal("1.10"))
@example(Decimal("-1.1"), Decimal("-1.12"))
@example(Decimal("-9"), Decimal("-10"))
@example(Decimal("0"), Decimal("-0.00"))
@example(Decimal("1E-500"), Decimal("0"))
def test_keys_compare_as_their_numbers_do(one: Decimal, other: Decimal) -> None:
    keys = sort_key(one), sort_key(other)
    assert (keys[0] < keys[1], keys[0] == keys[1]) == (one < other, one == other)


@given(NUMBERS)
def test_a_key_tells_its_number(number: Decimal) -> None:
    assert of_sort_key(sort_key(number)) == number


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1E+60000"])
def test_what_cannot_be_stored_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="cannot be stored exactly"):
        sort_key(Decimal(number))
