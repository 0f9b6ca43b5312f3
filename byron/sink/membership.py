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
from datetime import timedelta

from django.db.models.functions import Now

from byron.cache.members import Member, living_members, this_machine
from byron.events.ids import new_id
from byron.models import SinkMember
from byron.sink.lanes import Lane, split

#: Time without a sign of life after which a process's row is removed.
_FORGOTTEN = timedelta(minutes=1)

#: Seconds without a sign of life after which this process makes room for one.
_LATE = 2.0


class Membership:
    """This process's part in a component's Sink."""

    def __init__(self, alias: str, consumer: str) -> None:
        #: Ids sort by age, so that lanes stay with those that have them when others join.
        self.id = new_id()
        #: How many lanes this process is told to make of the slots.
        self.lanes = 1
        self._alias = alias
        self._consumer = consumer
        self._beaten: float | None = None

    def beat(self) -> list[Member]:
        """Say that this process lives, and return all that do, the oldest first."""
        rows = SinkMember.objects.using(self._alias)
        if not rows.filter(id=self.id).update(seen=Now(), lanes=self.lanes):
            place = f"{socket.gethostname()}:{os.getpid()}"[:255]
            rows.create(
                id=self.id,
                consumer=self._consumer,
                place=place,
                machine=this_machine(),
                pid=os.getpid(),
                lanes=self.lanes,
                seen=Now(),
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
            if row.now - row.seen > _FORGOTTEN:
                row.delete()

    def share(self, members: Sequence[Member]) -> list[Lane]:
        """Return the lanes that are this process's: each in turn goes to the next oldest process.

        There are as many as the oldest one is told to make. Were each to split the slots by a number of its own, some
        could be the other's to apply in the eyes of either.
        """
        ids = [member.id for member in members]
        if self.id not in ids:
            return []
        return [lane for lane in split(self._consumer, members[0].lanes) if ids[lane.number % len(ids)] == self.id]
