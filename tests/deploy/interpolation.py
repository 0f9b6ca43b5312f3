"""Compose's `${NAME}`, as its specification has it: defaults, requirements, nesting."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


class MissingError(Exception):
    """A variable that `${NAME:?message}` requires."""


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """Return a text with its variables replaced. Raises MissingError."""
    parts, at = [], 0
    while at < len(text):
        if text.startswith("$$", at):
            parts.append("$")
            at += 2
        elif text.startswith("${", at):
            value, at = _variable(text, at + 2, environment)
            parts.append(value)
        else:
            parts.append(text[at])
            at += 1
    return "".join(parts)


def _variable(text: str, at: int, environment: Mapping[str, str]) -> tuple[str, int]:
    name = _NAME.match(text, at)
    assert name, text[at : at + 20]
    value, at = environment.get(name[0], ""), name.end()
    sign = text[at : at + 2]
    if sign in (":-", ":?"):
        end = _end(text, at + 2)
        if not value and sign == ":?":
            raise MissingError(f"{name[0]}: {text[at + 2 : end]}")
        # Looked at only where it counts: what it requires need not be there otherwise.
        value, at = value or interpolated(text[at + 2 : end], environment), end
    assert text[at] == "}", text[at : at + 20]
    return value, at + 1


def _end(text: str, at: int) -> int:
    depth = 0
    while depth or text[at] != "}":
        depth += text.startswith("${", at) - (text[at] == "}")
        at += 1
    return at
