"""A fault schedule: what may happen to a Sink while it applies a log, as data."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Step(enum.Enum):
    """What a Sink does that others can tell, or that handlers notice: its process may end before each."""

    HANDLER = "handler"
    COMMIT = "commit"
    #: A statement outside of the transactions of effects: who has the lane, what is to come, what was emitted.
    NOTE = "note"
    ACKNOWLEDGE = "acknowledge"
    PUBLISH = "publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """The end of the process before a step, when so many of its kind were done."""

    step: Step
    done: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A lane fetches what is there and applies it."""

    lane: int = 0
    #: How many events of those that it had last are delivered to it again.
    again: int = 0
    crash: Crash | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A lane tries again what was set aside."""

    lane: int = 0
    crash: Crash | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """The process stops in order, and another applies the lanes, perhaps in another number."""

    lanes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Overtake:
    """The process is frozen and taken for dead; when another has applied more of its lanes, it goes on."""

    lanes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrive:
    """What was held back comes into the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose:
    """The Cache is lost, long after all that was: a new process builds it from the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndAtEach:
    """All is applied, and a process ends before each step of a kind that comes for the first time."""

    step: Step


Action = EndAtEach | Turn | Retry | Restart | Overtake | Arrive | Lose


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """An order of the log, what fails, and what happens one after the other; at the end all is applied in peace."""

    #: The given events by their places: the same within each key.
    order: tuple[int, ...]
    #: How many of the last of them are held back.
    late: int = 0
    #: Before which of them a message stands that nobody can read; None for none.
    poison: int | None = None
    lanes: int = 1
    #: How many events a lane applies in one transaction, at most; after a crash, how many it applies one by one.
    batch: int = 500
    #: How often an event's handlers fail after their work, by the event's place among the given ones.
    failures: Mapping[int, int] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
