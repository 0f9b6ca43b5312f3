"""One process that a supervisor runs: what it prints, whether it works by now, when it is started again."""

from __future__ import annotations

import http.client
import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic

from byron.management.engines.identity import Identity
from byron.management.engines.state import ChildRecord
from byron.management.processes import PARENT, READY

#: Seconds before a process that ended is started again; doubled each time up to the last.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: Seconds after which a process counts as working well, so that its next pause is the first again.
STEADY = 30.0

#: Bytes after which a line that does not end is taken for one.
_LONGEST_LINE = 64 * 1024


class Child:
    """One process, started as often as needed."""

    def __init__(self, name: str, command: Sequence[str], *, answers_at: int | None) -> None:
        self.name, self._command = name, command
        #: The port at which it answers /healthz once it works, besides saying itself that it does.
        self.answers_at = answers_at
        self.record = ChildRecord()
        self.works = False
        self.starts_at = 0.0
        self._pause = FIRST_PAUSE
        self._since = 0.0
        self._told = False
        self._process: subprocess.Popen[bytes] | None = None
        self._output, self._ready = -1, -1
        self._rest = b""

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def descriptors(self) -> list[int]:
        """What tells something new when it can be read."""
        return [descriptor for descriptor in (self._output, self._ready) if descriptor >= 0]

    def start(self, directory: str, environment: Mapping[str, str]) -> None:
        """Start the process. Raises OSError."""
        self._output, output = os.pipe()
        self._ready, ready = os.pipe()
        os.set_blocking(self._output, False)
        try:
            self._process = subprocess.Popen(
                self._command,
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(ready,),
                env={**environment, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid()), READY: str(ready)},
            )
        finally:
            os.close(output)
            os.close(ready)
        self._since = monotonic()
        identity = Identity.of(self._process.pid)
        self.record.pid, self.record.started = identity.pid, identity.started

    def lines(self) -> list[str] | None:
        """Return the lines that the process has printed since, None when there is nothing to read for now."""
        if self._output < 0:
            return None
        try:
            read = os.read(self._output, _LONGEST_LINE)
        except BlockingIOError:
            return None
        if not read:
            os.close(self._output)
            self._output = -1
        *lines, self._rest = (self._rest + read).split(b"\n")
        if self._rest and (not read or len(self._rest) >= _LONGEST_LINE):
            lines.append(self._rest)
            self._rest = b""
        return [line.decode(errors="replace").rstrip("\r") for line in lines]

    def look(self) -> None:
        """Find out whether the process works by now."""
        if self.works or not self.runs:
            return
        if _can_be_read(self._ready):
            self._told = bool(os.read(self._ready, 1))
            os.close(self._ready)
            self._ready = -1
        self.works = self._told and (self.answers_at is None or _answers(self.answers_at))

    def ended(self) -> bool:
        """Whether the process has ended. Whatever it started is ended then, too."""
        if self._process is None:
            return False
        if hasattr(os, "waitid"):
            # Seen, but not waited for: its id, and with it its group's, cannot be another's meanwhile.
            seen = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if seen is None:
                return False
        elif self._process.poll() is None:
            return False
        return True

    def bury(self) -> int:
        """Wait for the process, end what it started, and return its exit code."""
        process = self._process
        if process is None:
            return 0
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        self._process, self.works, self._told = None, False, False
        self.record.pid, self.record.started = 0, ""
        return code

    def close(self) -> None:
        """Close what the process printed to."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self._output = self._ready = -1
        self._rest = b""

    def schedule(self) -> float:
        """Have the process started again after a pause, and return that."""
        if monotonic() - self._since > STEADY:
            self._pause = FIRST_PAUSE
        pause = self._pause
        self._pause = min(2 * pause, LONGEST_PAUSE)
        self.starts_at = monotonic() + pause
        self.record.restarts += 1
        return pause

    def signal(self, number: signal.Signals) -> None:
        """Signal the process; it deals with those that it started itself."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


def _can_be_read(descriptor: int) -> bool:
    """Whether there is something to read."""
    if descriptor < 0:
        return False
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(0))


def _answers(port: int) -> bool:
    """Whether an API answers at a port; one that knows this machine by no name, too."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
