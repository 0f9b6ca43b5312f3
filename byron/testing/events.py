"""Events as tests write them: `event("new.student", id="1", name="Ada")`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from byron.events.event import Event
from byron.events.ids import new_id
from byron.schema.names import snake_case
from byron.schema.problems import did_you_mean
from byron.testing.alike import alike

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class WrittenEvent(Event):
    """An event as a test writes it. It equals one that has its name, its attributes, and its key where that is given.

    `component.events == [event("new.student", name="Ada")]` compares no ids, times and positions.
    """

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        is_same = self.name == other.name and not differences(self, other)
        return is_same and (not isinstance(other, WrittenEvent) or not differences(other, self))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return summary(self)


#: The time of an event that was written and did not happen yet.
NOT_YET = datetime.max.replace(tzinfo=UTC)


def event(
    name: str, payload: Mapping[str, Any] | None = None, /, *, key: str | None = None, **attributes: Any
) -> WrittenEvent:
    """Return an event to be put into a log, or to be expected there.

    The payload is a mapping, keyword arguments, or both. Its key is the payload's `id`, or what schema.yaml
    says, unless it is given. Namespace and source are those of the component under test. Raises TypeError for an
    attribute that both name.
    """
    named = {snake_case(str(each)): each for each in payload or ()}
    twice = [each for each in attributes if snake_case(each) in named]
    if twice:
        other = named[snake_case(twice[0])]
        both = "" if other == twice[0] else f" as {other}"
        raise TypeError(f"{name} has {twice[0]} twice: in the mapping{both}, and by name. Leave one of them out.")
    content = {**(payload or {}), **attributes}
    return WrittenEvent(name=name, key=key or "", payload=content, namespace="", source="", time=NOT_YET)


def require_event(given: object) -> Event:
    """Return what is given, which has to be an event. Raises TypeError, which says how one is made."""
    if isinstance(given, Event):
        return given
    if isinstance(given, list | tuple):
        remedy = "events are given one by one: put a * before the list"
    elif given is event:
        remedy = 'it makes them: write event("new.student", …)'
    elif isinstance(given, str):
        remedy = f"write event({given!r}, …), of byron.testing"
    else:
        remedy = "they are made by event(…), of byron.testing"
    raise TypeError(f"{given!r} is no event; {remedy}")


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
        # What stands for any value stands for none that is not there.
        is_missing = actual is _MISSING
        if is_missing or not alike(value, actual):
            hint = did_you_mean(name, found.payload) if is_missing else ""
            lines.append(_difference(name, value, actual) + hint)
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


def _difference(name: str, expected: Any, found: Any) -> str:
    return f"{name}: expected {expected!r}, found {found!r}"
