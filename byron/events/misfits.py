"""Why a payload does not fit its shape, in the words of whoever gave the values."""

from __future__ import annotations

import re

import msgspec

#: What msgspec says of the limits that GraphQL's types do not know, and what it means.
_WORDS = (
    (re.compile(r"Expected `str` of length <= (\d+)"), r"takes \1 characters at most"),
    (re.compile(r"Expected `str` of length >= 1"), "must not be empty"),
    (re.compile(r"Expected `str` matching regex .*"), "must not have the character U+0000"),
)


def misfit(error: msgspec.ValidationError) -> str:
    """Return what is wrong as a sentence, with the attribute's place as GraphQL names it: `author takes …`."""
    text, _, path = str(error).partition(" - at `$")
    place = path.rstrip("`").lstrip(".")
    for pattern, words in _WORDS:
        if place and (found := pattern.fullmatch(text)):
            return f"{place} {found.expand(words)}."
    return f"{place}: {text.rstrip('.')}." if place else f"{text.rstrip('.')}."
