"""Which processes of a component's Sink live, as far as their rows in the Cache tell."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.db.models.functions import Now

from byron.models import SinkMember

#: Time without a sign of life after which a process counts as gone.
_FRESH = timedelta(seconds=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A Sink process that lives, as far as one can tell."""

    id: str
    place: str
    lanes: int = 1


def living_members(alias: str, consumer: str = "") -> list[Member]:
    """Return the processes that live of a component's Sink, or of all that write this Cache."""
    rows = SinkMember.objects.using(alias).annotate(now=Now()).order_by("id")
    chosen = rows.filter(consumer=consumer) if consumer else rows
    return [
        Member(id=row.id, place=row.place, lanes=row.lanes)
        for row in chosen
        if row.now - row.seen < _FRESH and not _ended(row)
    ]


def _ended(row: SinkMember) -> bool:
    """Whether a process of this machine is known to have ended."""
    if row.machine != this_machine():
        return False
    try:
        os.kill(row.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def this_machine() -> str:
    """Return what processes have in common whose numbers mean the same to each other: a boot and a PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()[:100]
