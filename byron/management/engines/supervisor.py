"""The process that runs a project's processes: `python -m byron.management.engines.supervisor DIRECTORY`.

It does what `project.json` in its state directory says: runs the preparations one after the other, then the
processes side by side. What they say goes to the journal, how they are to `supervisor.json`. It starts again what
ends by itself once all of them have worked; before that, one that ends is a start that failed. It ends on SIGTERM
and SIGINT, its children before it, and they end by themselves when it is killed. Django is not loaded here.
"""

from __future__ import annotations

import http.client
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from byron.management.engines.identity import Identity
from byron.management.engines.state import ChildRecord, ProjectState, Record
from byron.management.processes import PARENT, READY, end_with_parent

#: The supervisor's name in the journal.
SELF = "byron"

#: Seconds that all processes together may take until they work.
START_DEADLINE = 120.0
#: Seconds before a process that ended is started again; doubled each time up to the last.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: Seconds after which a process counts as working well, so that its next pause is the first again.
STEADY = 30.0
#: Seconds that a process may take to end before it is killed.
PATIENCE = 10.0

#: Seconds between two questions to an API that does not answer yet.
_ASK = 0.05
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


class StartError(Exception):
    """A project that cannot be started; the text says why."""


class Supervisor:
    """Run one project until told to stop."""

    def __init__(self, state: ProjectState) -> None:
        self._state, self._journal = state, state.journal
        order = state.order()
        if order is None:
            raise SystemExit(f"{state.directory} has no project.json.")
        self._directory: str = order["project"]
        self._port: int = order["port"]
        self._preparations: dict[str, list[str]] = order["preparations"]
        self._commands: dict[str, list[str]] = order["processes"]
        self._children: list[Child] = []
        self._stopping = False
        self._wake, self._waker = os.pipe()
        me = Identity.of(os.getpid())
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._record = Record(pid=me.pid, started=me.started, state="starting", since=now)
        drop = {PARENT, READY}
        self._environment = {key: value for key, value in os.environ.items() if key not in drop}

    def run(self) -> int:
        """Run; return the exit status."""
        for number in (self._wake, self._waker):
            os.set_blocking(number, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._on_signal)
        # Its handler does nothing: the wake-up is what counts.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._tell("starting")
        try:
            self._start()
            while not self._stopping:
                self._turn()
        except StartError as error:
            self._say(str(error))
            self._stop()
            self._record.error = str(error)
            self._tell("failed")
            return 1
        self._tell("stopping")
        self._stop()
        self._say("stopped")
        return 0

    def _on_signal(self, number: int, frame: object) -> None:
        self._stopping = True

    def _say(self, text: str) -> None:
        with suppress(OSError):
            self._journal.write(SELF, text)

    def _tell(self, state: str) -> None:
        self._record.state = state
        self._record.children = {child.name: child.record for child in self._children}
        # A disk that is full for a while does not end what runs.
        with suppress(OSError):
            self._state.write_record(self._record)

    def _start(self) -> None:
        deadline = monotonic() + START_DEADLINE
        for name, command in self._preparations.items():
            self._children = [Child(name, command, answers_at=None)]
            code = self._run_once(self._children[0])
            if code and not self._stopping:
                raise StartError(f"{name} ended with {code}")
        self._children = [
            Child(name, command, answers_at=self._port if name == "api" else None)
            for name, command in self._commands.items()
        ]
        for child in self._children:
            self._begin(child)
        self._tell("starting")
        while not self._stopping and not all(child.works for child in self._children):
            self._wait(_ASK)
            self._relay()
            for child in self._children:
                if child.ended():
                    raise StartError(f"{child.name} ended with {self._bury(child)} while it started")
                child.look()
            if monotonic() > deadline:
                slow = ", ".join(child.name for child in self._children if not child.works)
                raise StartError(f"{slow} does not work after {START_DEADLINE:.0f} s")
        if not self._stopping:
            self._record.since = datetime.now(UTC).isoformat(timespec="seconds")
            self._say("up")
            self._tell("up")

    def _run_once(self, child: Child) -> int:
        self._begin(child)
        self._tell("starting")
        while not child.ended():
            if self._stopping:
                return 0
            self._wait(None)
            self._relay()
        return self._bury(child)

    def _begin(self, child: Child) -> None:
        try:
            child.start(self._directory, self._environment)
        except OSError as error:
            raise StartError(f"{child.name} cannot be started: {error.strerror}") from error

    def _turn(self) -> None:
        """Wait until something happens, and deal with it."""
        now = monotonic()
        times = [child.starts_at for child in self._children if not child.runs]
        if any(child.runs and not child.works for child in self._children):
            times.append(now + 10 * _ASK)
        self._wait(max(0.0, min(times) - now) if times else None)
        self._relay()
        for child in self._children:
            self._tend(child)
        state = "up" if all(child.works for child in self._children) else "restarting"
        if state != self._record.state and not self._stopping:
            self._say("all of it works again" if state == "up" else "waiting for what ended to work again")
            self._tell(state)

    def _tend(self, child: Child) -> None:
        if child.ended():
            code = self._bury(child)
            pause = child.schedule()
            self._say(f"{child.name} ended with {code}: it starts again in {pause:g} s")
            self._tell("restarting")
        elif not child.runs and monotonic() >= child.starts_at and not self._stopping:
            try:
                child.start(self._directory, self._environment)
            except OSError as error:
                self._say(f"{child.name} cannot be started: {error.strerror}; again in {child.schedule():g} s")
                return
            self._say(f"{child.name} started again, process {child.record.pid}")
            self._tell("restarting")
        child.look()

    def _bury(self, child: Child) -> int:
        code = child.bury()
        self._drain(child)
        child.close()
        return code

    def _wait(self, seconds: float | None) -> None:
        with selectors.DefaultSelector() as selector:
            for descriptor in (self._wake, *(each for child in self._children for each in child.descriptors)):
                selector.register(descriptor, selectors.EVENT_READ)
            if not self._stopping:
                selector.select(seconds)
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)

    def _relay(self) -> None:
        for child in self._children:
            for line in child.lines() or ():
                self._write(child, line)

    def _drain(self, child: Child) -> None:
        while (lines := child.lines()) is not None:
            for line in lines:
                self._write(child, line)

    def _write(self, child: Child, line: str) -> None:
        with suppress(OSError):
            self._journal.write(child.name, line)

    def _stop(self) -> None:
        running = [child for child in self._children if child.runs]
        for child in running:
            child.signal(signal.SIGTERM)
        deadline = monotonic() + PATIENCE
        while running:
            for child in [child for child in running if child.ended()]:
                self._bury(child)
                running.remove(child)
            if running and monotonic() > deadline:
                for child in running:
                    self._say(f"{child.name} did not end within {PATIENCE:.0f} s: killed")
                    self._bury(child)
                return
            if running:
                self._wait_for_end()
                self._relay()

    def _wait_for_end(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake, selectors.EVENT_READ)
            selector.select(0.1)
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)


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


def main() -> int:
    """Run the supervisor of the state directory that the command line names."""
    end_with_parent()
    supervisor = Supervisor(ProjectState(Path(sys.argv[1]).absolute()))
    # Where the command was given is none of its business: that folder may be removed meanwhile.
    os.chdir("/")
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
