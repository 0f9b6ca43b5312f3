"""A bulkhead: of the few threads that answer requests, one is kept from waiting for what does not answer.

The pattern and its name are those of Michael Nygard's "Release It!": a part that is flooded must not sink the ship.
While the broker hangs, each mutation waits for it as long as it may; with a thread for each of them, queries, which
need no broker, would wait too. So when all threads but one wait, and one of them has waited for longer than anything
takes while all is well, whoever would wait as well is turned away at once.

Whether the broker hangs is told by what it answers, not by the clock alone: a process that has just begun, or that
gets no CPU, is slow while the broker is well. As long as one of those who wait is answered now and then, a place will
be free soon. When the last wait came to nothing, none will.

Who waits for another mutation, or for the Cache, has places apart from those of the broker. Such a wait is long while
all is well, and what it is for may need the broker itself: in one crowd, waiters would keep out what they wait for.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from byron.broker.patience import answers_within
from byron.conf import byron_settings
from byron.exceptions import BrokerUnavailableError, OutcomeUnknownError

#: Seconds: a wait that has taken this long is none of those that are over in a moment.
PATIENCE = 0.25


class Bulkhead:
    """Places for those who wait. Thread-safe; a thread may take several, one inside the other."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._places: int | None = None
        self._waiting: dict[int, float] = {}
        self._changed = threading.Condition()

    def limit(self, places: int | None) -> None:
        """Say how many threads may wait at a time; None for any number. Raises ValueError for less than none."""
        if places is not None and places < 0:
            raise ValueError("No fewer than none can wait.")
        with self._changed:
            self._places = places
            self._changed.notify_all()

    @property
    def places(self) -> int | None:
        """How many threads may wait at a time; None for any number."""
        return self._places

    @contextmanager
    def place(self) -> Iterator[bool]:
        """Take a place while something is waited for; False means that there is none, and one should not wait.

        Blocks for at most the patience, as long as it looks as if a place would be free in a moment.
        """
        thread = threading.get_ident()
        if thread in self._waiting:
            yield True
            return
        if not self._enter(thread):
            yield False
            return
        try:
            yield True
        finally:
            with self._changed:
                del self._waiting[thread]
                self._changed.notify()

    def _enter(self, thread: int) -> bool:
        with self._changed:
            while self._places is not None and len(self._waiting) >= self._places:
                patience = self._free_until() - monotonic()
                if patience <= 0:
                    return False
                self._changed.wait(patience)
            self._waiting[thread] = monotonic()
            return True

    def _free_until(self) -> float:
        """Return until when a place may become free soon, as it looks now."""
        return min(self._waiting.values(), default=-math.inf) + self._patience


class BrokerBulkhead(Bulkhead):
    """Places for those who wait for the broker."""

    def __init__(self) -> None:
        super().__init__()
        #: When it answered last, and whether it has failed to since.
        self._answered, self._is_silent = -math.inf, False

    @contextmanager
    def broker_wait(self) -> Iterator[None]:
        """Take a place to wait for the broker, for as long as publishing may take.

        Raises BrokerUnavailableError when there is none; so does what is asked of the broker once that time is over.
        """
        with self.place() as admitted:
            if not admitted:
                raise BrokerUnavailableError("The broker keeps too many others waiting; nothing was sent.")
            try:
                with answers_within(byron_settings().publish_timeout):
                    yield
            except (BrokerUnavailableError, OutcomeUnknownError):
                self._is_silent = True
                raise
            self._answered, self._is_silent = monotonic(), False

    def _free_until(self) -> float:
        if self._is_silent:
            return -math.inf
        return max(self._answered, min(self._waiting.values())) + byron_settings().publish_timeout / 2


#: This process's own, for those who wait for the broker.
BULKHEAD = BrokerBulkhead()

#: This process's own, for those who wait for another mutation, or until the Cache has applied something.
WAITS = Bulkhead()


def limit_waits(threads: int) -> None:
    """Share out this process's threads: one stays free, of the others the broker gets the larger half.

    With one thread there is none to keep, and anybody may wait. With two, only the broker is waited for.
    """
    if threads > 1:
        waits = (threads - 1) // 2
        WAITS.limit(waits)
        BULKHEAD.limit(threads - 1 - waits)
