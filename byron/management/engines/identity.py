"""Which process is meant: an id alone may belong to another one by now."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import monotonic, sleep
from typing import Self

_POLL = 0.01


@dataclass(frozen=True, slots=True)
class Identity:
    """A process by its id and the moment it was started, as the system counts that."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return a living process's identity; one that fits no process when there is none."""
        return cls(pid, _started(pid))

    def is_alive(self) -> bool:
        """Whether that very process runs. One that has ended and is not waited for yet does not."""
        with suppress(ChildProcessError, OverflowError):
            # It may be a child of this process.
            os.waitpid(self.pid, os.WNOHANG)
        return bool(self.started) and _started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Signal that very process, if it runs."""
        if not hasattr(signal, "pidfd_send_signal"):
            if self.is_alive():
                with suppress(ProcessLookupError):
                    os.kill(self.pid, number)
            return
        # The descriptor stands for the process: between the look and the signal no other one can take its id.
        with suppress(ProcessLookupError, OSError):
            descriptor = os.pidfd_open(self.pid)
            try:
                if self.is_alive():
                    signal.pidfd_send_signal(descriptor, number)
            finally:
                os.close(descriptor)

    def await_end(self, seconds: float) -> bool:
        """Return whether the process has ended within so many seconds."""
        deadline = monotonic() + seconds
        while self.is_alive():
            if monotonic() > deadline:
                return False
            sleep(_POLL)
        return True


def await_end_of_session(leader: Identity, seconds: float) -> bool:
    """Return whether no process is left, within so many seconds, of the session that a process began.

    Where the system does not tell sessions, it is the leader alone that counts.
    """
    deadline = monotonic() + seconds
    while leader.is_alive() or (_started(leader.pid) == "" and any(_members(leader.pid))):
        if monotonic() > deadline:
            return False
        sleep(_POLL)
    return True


def _members(session: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*"):
        stat = _stat(int(path.name))
        if stat and stat[0] != "Z" and stat[3] == str(session):
            yield int(path.name)


def _started(pid: int) -> str:
    """Return when a process was started, empty for none and for a zombie."""
    if pid <= 0:
        return ""
    if _boot():
        stat = _stat(pid)
        return f"{_boot()}/{stat[19]}" if stat and stat[0] not in "ZX" else ""
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = shown.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()


def _stat(pid: int) -> list[str]:
    """Return what Linux tells of a process, from its state on; see proc(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return []


@lru_cache(maxsize=1)
def _boot() -> str:
    """Which run of the system this is; ids and times begin anew with each. Empty elsewhere than on Linux."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
