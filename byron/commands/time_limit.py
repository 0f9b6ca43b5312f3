"""How long a command may take: what it does in the database or in Python is interrupted.

Nothing interrupts a call into C code but its own end, such as `time.sleep` or a request to a service; the
command is refused then when it returns.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from django.db import connections

from byron.exceptions import CommandError

log = logging.getLogger("byron.commands")

#: Seconds between two looks at the commands that run.
_INTERVAL = 0.1

_deadline: ContextVar[float | None] = ContextVar("byron_deadline", default=None)


class TimeIsUpError(BaseException):
    """Raised inside of a command whose time is up. No Exception: a command that catches those would go on."""


def seconds_left() -> float | None:
    """Return how long the command at hand may still take; None without a limit."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


class TimeLimit:
    """Bound what is done inside of `with TimeLimit(10, alias, "createStudent"):`; 0 is no limit.

    Raises CommandError with code TIME_LIMIT at its end, whatever was raised inside, when the time was up.
    """

    def __init__(self, seconds: float, alias: str, name: str) -> None:
        self._seconds = seconds
        self._alias = alias
        self._name = name
        self._lock = threading.Lock()
        self._ended = False
        self._interrupted = False
        self._deadline = 0.0
        self._thread = 0
        self._connection: Any = None

    def __enter__(self) -> Self:
        if self._seconds > 0:
            self._deadline = time.monotonic() + self._seconds
            self._thread = threading.get_ident()
            # The wrapper of this thread; another thread would get one of its own by the alias.
            self._connection = connections[self._alias]
            self._token = _deadline.set(self._deadline)
            _watch(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._seconds <= 0:
            return
        try:
            self._end()
        except TimeIsUpError:
            self._end()
        _deadline.reset(self._token)
        if self._interrupted or time.monotonic() > self._deadline:
            log.warning("command=%s code=TIME_LIMIT seconds=%g", self._name, self._seconds, exc_info=error)
            message = f"{self._name} took longer than {self._seconds:g} seconds; nothing was changed."
            raise CommandError(message, code="TIME_LIMIT") from None

    def interrupt_if_due(self) -> bool:
        """Interrupt what is done inside if its time is up; whether it has ended. Called by the watching thread."""
        with self._lock:
            if self._ended:
                return True
            if time.monotonic() > self._deadline:
                self._interrupted = True
                _interrupt_database(self._connection)
                _raise_in(self._thread, TimeIsUpError)
            return False

    def _end(self) -> None:
        with self._lock:
            if self._interrupted and not self._ended:
                # One that was sent and did not arrive yet would arrive somewhere else.
                _raise_in(self._thread, None)
            self._ended = True
        _running.discard(self)


def _interrupt_database(connection: Any) -> None:
    """Have the statement fail that a connection is at, if it is at one."""
    raw = connection.connection
    try:
        if raw is not None and connection.vendor == "sqlite":
            raw.interrupt()
        elif raw is not None and connection.vendor == "postgresql":
            raw.cancel()
    except Exception as error:  # drivers raise their own, and the command is refused in any case
        log.debug("statement not interrupted error=%r", str(error))


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(error) if error is not None else None
    )


_running: set[TimeLimit] = set()
_there_are_some = threading.Event()
_watcher: tuple[int, threading.Thread] | None = None
_starting = threading.Lock()


def _watch(limit: TimeLimit) -> None:
    global _watcher
    _running.add(limit)
    _there_are_some.set()
    if _watcher is None or _watcher[0] != os.getpid():
        with _starting:
            if _watcher is None or _watcher[0] != os.getpid():
                # A process that was forked has the variables of its parent, and none of its threads.
                thread = threading.Thread(target=_look_after, name="byron-time-limit", daemon=True)
                _watcher = (os.getpid(), thread)
                thread.start()


def _look_after() -> None:
    while True:
        _there_are_some.wait()
        time.sleep(_INTERVAL)
        for limit in _running.copy():
            if limit.interrupt_if_due():
                _running.discard(limit)
        if not _running:
            _there_are_some.clear()
            if _running:
                _there_are_some.set()
