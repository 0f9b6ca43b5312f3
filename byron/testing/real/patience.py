"""Waiting for processes: until something holds, while all of them run, and no longer than a test's patience."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from byron.exceptions import BrokerError
from byron.testing.failures import SystemFailure
from byron.testing.real.processes import Process

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: Seconds between two looks.
_LOOK = 0.01


class Patience:
    """How long a test waits, and for which processes: those that are to run at the moment."""

    def __init__(self, seconds: float, processes: Callable[[], Sequence[Process]]) -> None:
        self.seconds = seconds
        self._processes = processes

    def wait(self, condition: Callable[[], bool], what: str, describe: Callable[[], str] | None = None) -> None:
        """Wait until a condition holds. Raises SystemFailure when it does not in time, or when a process has ended.

        `describe` gives the details for the first case; by default it is said how each process is.
        """
        deadline = time.monotonic() + self.seconds
        while not self._holds(condition, what):
            self.require_running(what)
            if time.monotonic() > deadline:
                details = describe() if describe else "\n".join(process.describe() for process in self._processes())
                raise SystemFailure(f"Waited {self.seconds:g} s in vain for {what}.\n{details}")
            time.sleep(_LOOK)

    def require_running(self, what: str) -> None:
        """Raise SystemFailure, which tells what was waited for, when a process has ended."""
        for process in self._processes():
            if process.status is not None:
                raise SystemFailure(f"Waited for {what}, but {process.describe()}")

    def _holds(self, condition: Callable[[], bool], what: str) -> bool:
        try:
            return condition()
        except BrokerError:
            # Most likely because its process ended, which says more.
            self.require_running(what)
            raise
