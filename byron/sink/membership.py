"""Which processes a component's Sink consists of at the moment, and which lanes each of them is to apply.

Every process keeps a row with the time, by the database's clock, of its last sign of life. From the
rows that are fresh each one works out alone, and all alike, who applies what. That may be out of date
for a moment; that two never apply one lane is the checkpoint's owner to see to.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from byron.models import SinkMember
from byron.sink.lanes import Lane

#: Time without a sign of life after which a process counts as gone, and after which its row is removed.
_FRESH = timedelta(seconds=6)
_FORGOTTEN = timedelta(minutes=1)

#: Seconds without a sign of life after which this process makes room for one.
_LATE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A Sink process that lives, as far as one can tell."""

    id: str
    place: str


class Membership:
    """This process's part in a component's Sink."""

    def __init__(self, alias: str, consumer: str) -> None:
        #: Ids sort by age, so that lanes stay with those that have them when others join.
        self.id = str(uuid7())
        self._alias = alias
        self._consumer = consumer
        self._beaten: float | None = None

    def beat(self) -> list[Member]:
        """Say that this process lives, and return all that do, the oldest first."""
        rows = SinkMember.objects.using(self._alias)
        if not rows.filter(id=self.id).update(seen=Now()):
            place = f"{socket.gethostname()}:{os.getpid()}"[:255]
            rows.create(
                id=self.id, consumer=self._consumer, place=place, machine=_machine(), pid=os.getpid(), seen=Now()
            )
        self._beaten = time.monotonic()
        return self.members()

    @property
    def is_late(self) -> bool:
        """Whether the last sign of life is older than it should be: the database may be too busy for another."""
        return self._beaten is not None and time.monotonic() - self._beaten > _LATE

    def members(self) -> list[Member]:
        """Return the processes of this component's Sink that live, the oldest first."""
        return living_members(self._alias, self._consumer)

    def is_alive(self, member: str) -> bool:
        """Whether the process with this id lives, as far as its row tells, be it a Sink or a rebuild."""
        return any(each.id == member for each in living_members(self._alias))

    def leave(self) -> None:
        """Be no member any more, and forget those that are long gone."""
        rows = SinkMember.objects.using(self._alias).filter(consumer=self._consumer)
        rows.filter(id=self.id).delete()
        for row in rows.annotate(now=Now()):
            if _age(row.now, row.seen) > _FORGOTTEN:
                row.delete()

    def share(self, lanes: Sequence[Lane], members: Sequence[Member]) -> list[Lane]:
        """Return the lanes that are this process's: each in turn goes to the next oldest process."""
        ids = [member.id for member in members]
        if self.id not in ids:
            return []
        return [lane for lane in lanes if ids[lane.number % len(ids)] == self.id]


def living_members(alias: str, consumer: str = "") -> list[Member]:
    """Return the processes that live of a component's Sink, or of all that write this Cache."""
    rows = SinkMember.objects.using(alias).annotate(now=Now()).order_by("id")
    chosen = rows.filter(consumer=consumer) if consumer else rows
    return [
        Member(id=row.id, place=row.place) for row in chosen if _age(row.now, row.seen) < _FRESH and not _ended(row)
    ]


def _age(now: datetime, seen: datetime) -> timedelta:
    return now - seen


def _ended(row: SinkMember) -> bool:
    """Whether a process of this machine is known to have ended."""
    if row.machine != _machine():
        return False
    try:
        os.kill(row.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _machine() -> str:
    """Return what processes have in common whose numbers mean the same to each other: a boot and a PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()[:100]
