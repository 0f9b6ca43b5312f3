"""Events as tests write them: `event("new.student", id="1", name="Ada")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from byron.events.event import Event
from byron.schema.names import snake_case


def event(
    name: str, payload: Mapping[str, Any] | None = None, /, *, key: str | None = None, **attributes: Any
) -> Event:
    """Return an event to be put into a log, or to be expected there.

    The payload is a mapping, keyword arguments, or both. Its key is the payload's `id`, or what schema.yaml
    says, unless it is given. Namespace and source are those of the component under test.
    """
    return Event(name=name, key=key or "", payload={**(payload or {}), **attributes}, namespace="", source="")


def differences(expected: Event, found: Event) -> list[str]:
    """Return in what an event is not as expected, a line each: only what is expected of it counts."""
    lines = []
    if expected.key and expected.key != found.key:
        lines.append(_difference("key", expected.key, found.key))
    payload = {snake_case(name): value for name, value in found.payload.items()}
    for name, value in expected.payload.items():
        actual = payload.get(snake_case(name), _MISSING)
        if not _equal(value, actual):
            lines.append(_difference(name, value, actual))
    return lines


def summary(shown: Event) -> str:
    """Return an event in one line."""
    inner = ", ".join(f"{name}={value!r}" for name, value in shown.payload.items())
    text = f"{shown.name}({inner})"
    return text if len(text) <= 150 else f"{text[:149]}…"


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


_MISSING = _Missing()


def _equal(expected: Any, actual: Any) -> bool:
    if expected == actual:
        return True
    if actual is _MISSING:
        return False
    try:
        # A payload that nothing declares is plain JSON; a declared one has decimals, dates and so on.
        return bool(msgspec.to_builtins(expected) == msgspec.to_builtins(actual))
    except TypeError:
        return False


def _difference(name: str, expected: Any, found: Any) -> str:
    return f"{name}: expected {expected!r}, found {found!r}"
