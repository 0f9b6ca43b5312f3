"""A bulkhead: of the few threads that answer requests, one is kept from waiting for what does not answer.

The pattern and its name are those of Michael Nygard's "Release It!": a part that is flooded must not sink the ship.
While the broker hangs, each mutation waits for it as long as it may; with a thread for each of them, queries, which
need no broker, would wait too. So when all threads but one wait, and one of them has waited for longer than anything
takes while all is well, whoever would wait as well is turned away at once.

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
from byron.exceptions import BrokerUnavailableError

#: Seconds: what has not been answered by then is not answered soon. A publish takes some milliseconds.
PATIENCE = 0.25

#: Seconds after its first wait for which a process is cold: the wait may be for imports, or for the processor.
COLD = 5.0


class Bulkhead:
    """Places for those who wait. Thread-safe; a thread may take several, one inside the other."""

    def __init__(self, patience: float = PATIENCE, *, cold: float = 0.0) -> None:
        """Prepare places for any number. For so many seconds after the first wait, `cold`, there is more patience."""
        self._patience = patience
        self._cold = cold
        self._began: float | None = None
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
        # A time limit may interrupt a thread between any two steps: one that has a place by then gives it back.
        try:
            yield self._enter(thread)
        finally:
            # Before the lock is waited for, which may be interrupted: in one step, at any moment of the others.
            if self._waiting.pop(thread, None) is not None:
                with self._changed:
                    self._changed.notify()

    @contextmanager
    def broker_wait(self) -> Iterator[None]:
        """Take a place to wait for the broker, for as long as publishing may take.

        Raises BrokerUnavailableError when there is none; so does what is asked of the broker once that time is over.
        """
        with self.place() as admitted:
            if not admitted:
                raise BrokerUnavailableError("The broker keeps too many others waiting; nothing was sent.")
            with answers_within(byron_settings().publish_timeout):
                yield

    def _enter(self, thread: int) -> bool:
        with self._changed:
            if self._began is None:
                self._began = monotonic()
            while self._places is not None and len(self._waiting) >= self._places:
                earliest = min(list(self._waiting.values()), default=-math.inf)
                left = earliest + self._patience_now(self._began) - monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
            self._waiting[thread] = monotonic()
            return True

    def _patience_now(self, began: float) -> float:
        is_cold = monotonic() - began < self._cold
        return max(self._patience, byron_settings().publish_timeout / 2) if is_cold else self._patience


#: This process's own, for those who wait for the broker.
BULKHEAD = Bulkhead(cold=COLD)

#: This process's own, for those who wait for another mutation, or until the Cache has applied something.
WAITS = Bulkhead()

#: This process's own, for those who wait for a client's body.
BODIES = Bulkhead()


def limit_waits(threads: int) -> None:
    """Share out this process's threads: one stays free, of the others the broker gets the larger half.

    With one thread there is none to keep, and anybody may wait. With two, only the broker is waited for. Bodies, which
    are read before anything else is waited for, may have all but one.
    """
    if threads > 1:
        waits = (threads - 1) // 2
        WAITS.limit(waits)
        BULKHEAD.limit(threads - 1 - waits)
        BODIES.limit(threads - 1)
