"""Byron's errors that developers raise themselves."""

from __future__ import annotations

import pytest

from byron.exceptions import CommandError


@pytest.mark.parametrize("code", ["not upper", "X\nFAKE", "", "NOT-FOUND", "1ST", "Ä"])
def test_a_code_is_an_upper_case_word(code):
    with pytest.raises(ValueError, match="is no code of a CommandError: write an upper-case word such as NOT_FOUND"):
        CommandError("no", code=code)


def test_codes_have_digits_and_underscores():
    assert CommandError("no", code="E_2").code == "E_2"
