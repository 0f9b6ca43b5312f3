"""Events as tests write them: `event("new.student", id="1", name="Ada")`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from byron.events.event import Event
from byron.events.ids import new_id
from byron.schema.names import snake_case


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class WrittenEvent(Event):
    """An event as a test writes it. It equals one that has its name, its attributes, and its key where that is given.

    `component.events == [event("new.student", name="Ada")]` compares no ids, times and positions.
    """

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        alike = self.name == other.name and not differences(self, other)
        return alike and (not isinstance(other, WrittenEvent) or not differences(other, self))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return summary(self)


def event(
    name: str, payload: Mapping[str, Any] | None = None, /, *, key: str | None = None, **attributes: Any
) -> WrittenEvent:
    """Return an event to be put into a log, or to be expected there.

    The payload is a mapping, keyword arguments, or both. Its key is the payload's `id`, or what schema.yaml
    says, unless it is given. Namespace and source are those of the component under test.
    """
    return WrittenEvent(name=name, key=key or "", payload={**(payload or {}), **attributes}, namespace="", source="")


def require_event(given: object) -> Event:
    """Return what is given, which has to be an event. Raises TypeError, which says how one is made."""
    if not isinstance(given, Event):
        raise TypeError(f"{given!r} is no event: write event({given!r}, …), of byron.testing")
    return given


def as_news(given: Event, known: Collection[str]) -> Event:
    """Return an event under an id that a log does not know yet: the same `event(…)` may happen twice.

    Raises ValueError for one that was read from a log, which would drop it.
    """
    if given.id not in known:
        return given
    if not isinstance(given, WrittenEvent):
        raise ValueError(
            f"The log has {summary(given)} already, and takes an event once. That it is delivered again is tested by "
            "`component.survives()`."
        )
    return replace(given, id=new_id())


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
