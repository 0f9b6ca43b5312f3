"""The time, and how tests stop it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_stopped: ContextVar[datetime | None] = ContextVar("byron_clock", default=None)


def now() -> datetime:
    """Return the time, in UTC: what events are stamped with, and `ctx.now()` in a command."""
    return _stopped.get() or datetime.now(UTC)


@contextmanager
def stopped_at(moment: datetime | None) -> Iterator[None]:
    """Have it be this time, or the true one for None, in the context at hand."""
    token = _stopped.set(moment)
    try:
        yield
    finally:
        _stopped.reset(token)
