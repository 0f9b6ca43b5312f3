"""Questions to a database or a broker whose answers are wanted within a bounded time, or not at all."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import connections

log = logging.getLogger("byron.api")

T = TypeVar("T")

#: Seconds for which an answer is given again.
FRESH = 1.0

#: Seconds that an answer is waited for.
PATIENCE = 1.5


class Probe(Generic[T]):
    """One question, asked on a thread of its own: at most one at a time, and at most one in `FRESH` seconds.

    A question that hangs costs those who ask `PATIENCE` seconds together, not each, and one thread.
    """

    def __init__(self, name: str, ask: Callable[[], T]) -> None:
        self._name = name
        self._ask = ask
        self._lock = threading.Lock()
        self._answered = -math.inf
        self._answer: T | None = None
        self._asking: threading.Thread | None = None
        self._asked = 0.0

    def begin(self) -> None:
        """See to it that the question is asked, unless its answer is fresh."""
        with self._lock:
            if time.monotonic() - self._answered < FRESH or (self._asking and self._asking.is_alive()):
                return
            self._asked = time.monotonic()
            self._asking = threading.Thread(target=self._run, name=f"byron-{self._name}", daemon=True)
            self._asking.start()

    def answer(self) -> T | None:
        """Return the answer, or None when there is none in time."""
        self.begin()
        asking = self._asking
        if asking is not None:
            asking.join(max(0.0, self._asked + PATIENCE - time.monotonic()))
        with self._lock:
            return self._answer if time.monotonic() - self._answered < FRESH + PATIENCE else None

    def _run(self) -> None:
        answer = None
        try:
            answer = self._ask()
        except Exception:
            log.exception("probe=%s failed", self._name)
        finally:
            # The thread ends, and its connections with it.
            connections.close_all()
        with self._lock:
            self._answer, self._answered = answer, time.monotonic()
