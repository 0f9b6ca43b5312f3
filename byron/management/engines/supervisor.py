"""The process that runs a project's processes: `python -m byron.management.engines.supervisor DIRECTORY`.

It does what `project.json` in its state directory says: runs the preparations one after the other, then the
processes side by side. What they say goes to the journal, how they are to `supervisor.json`. It starts again what
ends by itself once all of them have worked; before that, one that ends is a start that failed. On SIGUSR1 it reads
`project.json` again and starts the processes anew, one after the other. It ends on SIGTERM and SIGINT, its children
before it, and they end by themselves when it is killed. Django is not loaded here.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from byron.management.engines.child import Child
from byron.management.engines.identity import Identity
from byron.management.engines.state import ProjectState, Record
from byron.management.processes import PARENT, READY, end_with_parent, ending

#: The supervisor's name in the journal.
SELF = "byron"

#: Has a supervisor do the restart that its `project.json` asks for.
RESTART = signal.SIGUSR1

#: Seconds that all processes together may take until they work.
START_DEADLINE = 120.0
#: Seconds that a process may take to end before it is killed.
PATIENCE = 10.0

#: Seconds between two questions to an API that does not answer yet.
_ASK = 0.05


class StartError(Exception):
    """A project that cannot be started; the text says why."""


class Supervisor:
    """Run one project until told to stop."""

    def __init__(self, state: ProjectState) -> None:
        self._state, self._journal = state, state.journal
        order = state.order()
        if order is None:
            raise SystemExit(f"{state.directory} has no project.json.")
        self._order = order
        self._directory: str = order["project"]
        self._children: list[Child] = []
        self._stopping = self._restarting = False
        self._wake, self._waker = os.pipe()
        me = Identity.of(os.getpid())
        self._record = Record(pid=me.pid, started=me.started, state="starting", since=_now())
        drop = {PARENT, READY}
        self._environment = {key: value for key, value in os.environ.items() if key not in drop}

    def run(self) -> int:
        """Run; return the exit status."""
        for number in (self._wake, self._waker):
            os.set_blocking(number, False)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, self._on_signal)
        signal.signal(RESTART, self._on_restart)
        # Its handler does nothing: the wake-up is what counts.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._tell("starting")
        try:
            self._start()
            while not self._stopping:
                if self._restarting:
                    self._restart()
                self._turn()
        except StartError as error:
            self._say(str(error))
            self._stop(self._children)
            self._record.error = str(error)
            self._tell("failed")
            return 1
        self._tell("stopping")
        self._stop(self._children)
        self._say("stopped")
        return 0

    def _on_signal(self, number: int, frame: object) -> None:
        self._stopping = True

    def _on_restart(self, number: int, frame: object) -> None:
        self._restarting = True

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
        for name, command in self._order["preparations"].items():
            self._children = [Child(name, command, answers_at=None)]
            code = self._run_once(self._children[0])
            if code and not self._stopping:
                raise StartError(f"{name} ended {ending(code)}")
        self._children = [self._child(name) for name in self._order["processes"]]
        for child in self._children:
            self._begin(child)
        self._tell("starting")
        while not self._stopping and not all(child.works for child in self._children):
            self._wait(_ASK)
            self._relay()
            for child in self._children:
                if child.ended():
                    raise StartError(f"{child.name} ended {ending(self._bury(child))} while it started")
                child.look()
            if monotonic() > deadline:
                slow = ", ".join(child.name for child in self._children if not child.works)
                raise StartError(f"{slow} does not work after {START_DEADLINE:.0f} s")
        if not self._stopping:
            self._record.since = _now()
            self._say("up")
            self._tell("up")

    def _child(self, name: str) -> Child:
        return Child(name, self._order["processes"][name], answers_at=self._order["port"] if name == "api" else None)

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

    def _restart(self) -> None:
        """Start processes anew, as the order has them now, one after the other; stop at one that does not work."""
        self._restarting = False
        self._order = self._state.order() or self._order
        wanted = self._order["restart"]
        known = dict.fromkeys((*(child.name for child in self._children), *self._order["processes"]))
        names = [name for name in known if name in (wanted["only"] or known)]
        self._say(f"asked to restart {', '.join(names)}")
        self._record.error = ""
        try:
            for name in names:
                self._replace(name)
        except StartError as error:
            self._say(str(error))
            self._record.error = str(error)
        if not self._stopping:
            self._record.restarted, self._record.since = wanted["id"], _now()
            self._tell("up" if all(child.works for child in self._children) else "restarting")

    def _replace(self, name: str) -> None:
        """Stop a process, and start it anew if it is still wanted. Raises StartError; it is tried again later then."""
        place = next((index for index, child in enumerate(self._children) if child.name == name), len(self._children))
        self._stop(self._children[place : place + 1])
        if name not in self._order["processes"]:
            del self._children[place]
            self._say(f"{name} is not needed any more")
            return
        child = self._child(name)
        self._children[place : place + 1] = [child]
        try:
            self._begin(child)
        except StartError:
            child.schedule()
            raise
        self._tell("restarting")
        deadline = monotonic() + START_DEADLINE
        while not self._stopping and not child.works:
            self._wait(_ASK)
            self._relay()
            for other in self._children:
                if other is not child:
                    self._tend(other)
            if child.ended():
                code = self._bury(child)
                raise StartError(
                    f"{name} ended {ending(code)} while it restarted; it starts again in {child.schedule():g} s"
                )
            child.look()
            if monotonic() > deadline:
                raise StartError(f"{name} does not work after {START_DEADLINE:.0f} s")
        if child.works:
            self._say(f"{name} restarted, process {child.record.pid}")

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
            self._say(f"{child.name} ended {ending(code)}: it starts again in {pause:g} s")
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

    def _stop(self, children: Sequence[Child]) -> None:
        running = [child for child in children if child.runs]
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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def main() -> int:
    """Run the supervisor of the state directory that the command line names."""
    end_with_parent()
    supervisor = Supervisor(ProjectState(Path(sys.argv[1]).absolute()))
    # Where the command was given is none of its business: that folder may be removed meanwhile.
    os.chdir("/")
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
