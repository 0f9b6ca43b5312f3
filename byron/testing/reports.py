"""How reports show values and lines: their beginnings, so that what matters is not buried; and an error in a line."""

from __future__ import annotations

from typing import Any

#: Lines of a report about differences, at most.
_MOST_LINES = 20

#: Characters of a value that a report shows.
_WIDTH = 80


def cut(lines: list[str]) -> list[str]:
    """Return the lines of a report, with a word on how many more there are."""
    return lines if len(lines) <= _MOST_LINES else [*lines[:_MOST_LINES], f"… {len(lines) - _MOST_LINES} more lines"]


def shown(value: Any) -> str:
    """Return a value, or a row, as a report shows it: its beginning."""
    is_row = isinstance(value, dict) and value
    text = ", ".join(f"{key}={item!r}" for key, item in value.items()) if is_row else repr(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"


def told(error: BaseException) -> str:
    """Return an error and its notes in one line."""
    notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
    return f"{type(error).__name__}: {error}{notes}"
