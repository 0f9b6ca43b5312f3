"""Functions that were generated and are still to be written: they say so in the log, and tests list them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

#: The hook at work; empty outside of hooks.
_hook: ContextVar[str] = ContextVar("byron_hook", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function that is called because of a command, or of an event: "handler", "newStudent"."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"the {self.kind} {self.name}"


#: The functions that said that they are not written, with what each was called for; None where nobody asks.
_noted: ContextVar[dict[Function, list[str]] | None] = ContextVar("byron_unwritten", default=None)


@contextmanager
def noting_unwritten() -> Iterator[Mapping[Function, list[str]]]:
    """Give the functions that say, meanwhile and in this context, that they are not written.

    With each come the commands and events for which it was called.
    """
    found: dict[Function, list[str]] = {}
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


@contextmanager
def hook_at_work(name: str) -> Iterator[None]:
    """Have it be this hook that says, in the context at hand, that it is not written."""
    token = _hook.set(name)
    try:
        yield
    finally:
        _hook.reset(token)


def note_unwritten(log: logging.Logger, around: Function, cause: str, about: str) -> None:
    """Say that the hook at work, or else the function around which hooks are, does nothing yet.

    `cause` is the command's or the event's name, `about` the same for people.
    """
    function = Function(kind="hook", name=_hook.get()) if _hook.get() else around
    log.warning("%s is not written: nothing done for %s", function, about)
    found = _noted.get()
    if found is not None:
        found.setdefault(function, []).append(cause)
