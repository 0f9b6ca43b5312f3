"""For how long a thread waits for what it asks a broker.

Publishing and claiming have time-outs of their own, after which they say what became of it. All else is a question,
which can be given up at any moment and asked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic

_deadline: ContextVar[float | None] = ContextVar("byron_broker_patience", default=None)


@contextmanager
def answers_within(seconds: float) -> Iterator[None]:
    """Have the questions in the `with` block fail with BrokerUnavailableError when these seconds, for all, are over.

    It holds for the thread at hand; of two, one inside the other, the inner one.
    """
    token = _deadline.set(monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def patience() -> float | None:
    """Return for how many seconds an answer may still be waited for; None for as long as the broker's own limits."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - monotonic())
