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
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self

from django.db import connections

from byron.exceptions import CommandError

log = logging.getLogger("byron.commands")

#: Seconds between two looks at the commands that run.
_INTERVAL = 0.1

#: Seconds that are left, at least, for putting together the answer of a command that took almost all the time.
_FOR_THE_ANSWER = 1.0

#: Seconds: commands that have used up less than these leave the others their time.
_SHARED = 0.1

_current: ContextVar[TimeLimit | None] = ContextVar("byron_time_limit", default=None)


class TimeIsUpError(BaseException):
    """Raised inside of a command whose time is up. No Exception: a command that catches those would go on."""


def seconds_left() -> float | None:
    """Return how long the command at hand may still take; None without a limit."""
    limit = _current.get()
    return None if limit is None else limit.left()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Suspend the limit at hand: what is done inside is not interrupted, and its time does not count.

    That of a limit inside counts for both. Raises TimeIsUpError when it is too late to begin.
    """
    limit = _current.get()
    if limit is None:
        yield
        return
    limit.suspend()
    try:
        yield
    finally:
        limit.resume()


@contextmanager
def interrupted_here_too() -> Iterator[None]:
    """Have the limit at hand interrupt this thread as well, which works for the one that the limit is of."""
    limit = _current.get()
    if limit is None:
        yield
        return
    limit.join()
    try:
        yield
    finally:
        try:
            limit.leave()
        except TimeIsUpError:
            limit.leave()


class TimeLimit:
    """Bound what is done inside of `with TimeLimit(10, alias, "createStudent"):`; 0 is no limit.

    Raises CommandError with code TIME_LIMIT at its end, whatever was raised inside, when the time was up. A limit
    inside of another one ends with it at the latest, and is the only one meanwhile that interrupts.
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
        self._outer: TimeLimit | None = None
        self._suspended = 0
        #: Whether others have used up some of the time.
        self._is_shared = False
        #: What is left while it is suspended.
        self._left = 0.0
        self._helper: int | None = None

    def __enter__(self) -> Self:
        if self._seconds > 0:
            self._began = time.monotonic()
            self._outer = _current.get()
            seconds = self._seconds
            if self._outer is not None:
                self._outer.suspend()
                seconds = min(seconds, self._outer.left())
                self._is_shared = seconds < self._seconds - _SHARED
            self._deadline = self._began + seconds
            self._thread = threading.get_ident()
            # The wrapper of this thread; another thread would get one of its own by the alias.
            self._connection = connections[self._alias]
            self._token = _current.set(self)
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
        _current.reset(self._token)
        if self._outer is not None:
            self._outer.resume(time.monotonic() - self._began)
        if self._interrupted or time.monotonic() > self._deadline:
            log.warning("command=%s code=TIME_LIMIT seconds=%g", self._name, self._seconds, exc_info=error)
            message = f"{self._name} took longer than {self._seconds:g} seconds; nothing was changed."
            if self._outer is not None and self._is_shared:
                took = f"{self._outer._name} took longer than {self._outer._seconds:g} seconds"
                message = f"{self._name} was interrupted: {took}. {self._name} changed nothing."
            raise CommandError(message, code="TIME_LIMIT") from None

    def left(self) -> float:
        """Return the seconds that are left."""
        return self._left if self._suspended else max(0.0, self._deadline - time.monotonic())

    def suspend(self) -> None:
        """Interrupt nothing until `resume`. Raises TimeIsUpError when the time is up already."""
        with self._lock:
            if self._interrupted:
                raise TimeIsUpError
            self._left = self.left()
            self._suspended += 1

    def resume(self, taken: float = 0.0) -> None:
        """Go on with the seconds that were left, less these."""
        with self._lock:
            self._left = max(0.0, self._left - taken)
            self._suspended -= 1
            if not self._suspended:
                self._deadline = time.monotonic() + max(self._left, min(_FOR_THE_ANSWER, self._seconds))

    def join(self) -> None:
        """Interrupt the calling thread, too, until `leave`."""
        with self._lock:
            self._helper = threading.get_ident()

    def leave(self) -> None:
        """Do not interrupt the calling thread any more, which `join` has named."""
        with self._lock:
            self._helper = None
            if self._interrupted:
                # As in `_end`.
                _raise_in(threading.get_ident(), None)

    def interrupt_if_due(self) -> bool:
        """Interrupt what is done inside if its time is up; whether it has ended. Called by the watching thread."""
        with self._lock:
            if self._ended:
                return True
            if self._suspended:
                return False
            late = time.monotonic() - self._deadline
            if late > 0:
                self._interrupted = True
                _interrupt_database(self._connection)
                _raise_in(self._thread, TimeIsUpError)
                if self._helper is not None and late > _INTERVAL:
                    # A coroutine that waits has been cancelled by now: this one computes.
                    _raise_in(self._helper, TimeIsUpError)
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
