"""How far the Cache of another process is: read from its SQLite file, past Django."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from byron.models import Checkpoint, OutboxMessage, ParkedEvent

_POSITION = f"SELECT COALESCE(MAX(position), 0) FROM {Checkpoint._meta.db_table} WHERE consumer = ?"
_WAITING = f"SELECT COUNT(*) FROM {OutboxMessage._meta.db_table} WHERE consumer = ?"
_ASIDE = (
    "SELECT name, position, state, handler, tries, error, traceback "
    f"FROM {ParkedEvent._meta.db_table} WHERE consumer = ? AND state != '{ParkedEvent.State.DISCARDED.value}' "
    "ORDER BY position"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """An event that a handler failed on, or that is behind such a one."""

    name: str
    position: int
    state: str
    handler: str
    tries: int
    error: str
    traceback: str

    @property
    def is_parked(self) -> bool:
        """Whether it waits for someone to decide; others are tried again by themselves."""
        return self.state == ParkedEvent.State.PARKED.value

    def __str__(self) -> str:
        handler = f" by {self.handler}" if self.handler else ""
        return f"{self.name} at position {self.position}, {self.state} after {self.tries} tries{handler}: {self.error}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheProgress:
    """What a Cache tells at one moment."""

    position: int
    #: Messages that handlers emitted and that the log does not hold yet, as far as the Cache knows.
    waiting: int
    aside: tuple[SetAside, ...]


def read_progress(file: Path, consumer: str) -> CacheProgress:
    """Return how far a component's Cache is."""
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None)) as connection:
        # One transaction, so that all of it is of the same moment.
        connection.execute("BEGIN")
        (position,) = connection.execute(_POSITION, [consumer]).fetchone()
        (waiting,) = connection.execute(_WAITING, [consumer]).fetchone()
        rows = connection.execute(_ASIDE, [consumer]).fetchall()
    names = SetAside.__slots__
    aside = tuple(SetAside(**dict(zip(names, row, strict=True))) for row in rows)
    return CacheProgress(position=position, waiting=waiting, aside=aside)
