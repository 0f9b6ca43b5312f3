"""A process's role, which says how it may use the Cache."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

ENVIRONMENT_VARIABLE = "BYRON_ROLE"


class Role(enum.Enum):
    """What a process is for."""

    API = "api"
    SINK = "sink"
    MAINTENANCE = "maintenance"


_current: ContextVar[Role | None] = ContextVar("byron_role", default=None)


def process_role() -> Role:
    """Return the role that this process was started with; maintenance unless told otherwise."""
    return Role(os.environ.get(ENVIRONMENT_VARIABLE, Role.MAINTENANCE.value))


def set_process_role(role: Role) -> None:
    """Make this the role of the process and of those that it starts, such as the autoreloader's."""
    os.environ[ENVIRONMENT_VARIABLE] = role.value


def current_role() -> Role:
    """Return the role in force here: that of `acting_as`, or else the process's."""
    return _current.get() or process_role()


@contextmanager
def acting_as(role: Role) -> Iterator[None]:
    """Take a role for a while, as tests do to run a command and its handlers in one process."""
    token = _current.set(role)
    try:
        yield
    finally:
        _current.reset(token)
