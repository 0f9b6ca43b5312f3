"""Engine `process`: a project's API and Sink as processes of this machine, below a supervisor."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any
from uuid import uuid4

from byron.management.engines.base import Engine, EngineError, Order, Row, Say
from byron.management.engines.identity import Identity, await_end_of_session
from byron.management.engines.journal import Line
from byron.management.engines.ports import Ports, choose_port
from byron.management.engines.state import BusyError, ProjectState, Record, known_projects
from byron.management.engines.supervisor import RESTART
from byron.management.processes import PARENT, READY
from byron.management.systems.projects import Project

#: Seconds that a supervisor may take to end, with all it runs.
STOP_DEADLINE = 20.0
#: Seconds in which processes end whose supervisor was killed.
ORPHANS_DEADLINE = 15.0
#: Seconds that the API's last requests are given.
GRACE = 5

_POLL = 0.02
#: Lines of the log that an error shows.
_TAIL = 20


class ProcessEngine(Engine):
    """See `supervisor` for what runs, and `state` for what is on disk."""

    supports_embedded_broker = True

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._root = root / "process-engine"
        #: Which project has which port.
        self.ports = Ports(self._root)

    def build(self, project: Project) -> None:
        for command in (["generate"], ["check"], ["migrate", "--no-input"]):
            project.manage(*command)

    def is_up(self, project: Project) -> bool:
        record = self._state(project).record()
        return record is not None and record.state in ("up", "restarting") and record.identity.is_alive()

    def projects(self) -> list[Project]:
        return [Project(path) for path in known_projects(self._root)]

    def up(self, order: Order, say: Say) -> Row:
        project, state = order.project, self._state(order.project)
        with self._locked(project):
            record = state.record()
            if record is not None and not record.identity.is_alive():
                say(project.name, "its supervisor was killed: clearing away what is left")
                self._clear(project, record)
                record = None
            # One that is there is up, or starting for a command that was killed.
            supervisor = self._begin(order) if record is None else record.identity
            try:
                self._await_up(order, supervisor, say)
            except BaseException:
                self._end(project, supervisor)
                state.remove()
                raise
        return self.status(project)

    def restart(self, order: Order, only: Sequence[str], say: Say) -> Row:
        project, state = order.project, self._state(order.project)
        with self._locked(project):
            record, before = state.record(), state.order()
            if record is None or before is None or not self.is_up(project):
                raise EngineError(f"{project.name} is not up: `byron up -d {project.path}` starts it.")
            facts = order.facts or project.describe()
            port = before["port"]
            if order.port not in (None, port):
                port = choose_port(self.ports, project, order.port, command="byron component restart")
            commands = self._processes(project, facts, port)
            unknown = sorted(set(only) - {*commands, *before["processes"]})
            if unknown:
                raise EngineError(f"{project.name} has no process {', '.join(unknown)}; it has {', '.join(commands)}.")
            say(project.name, "migrating")
            project.manage("migrate", "--no-input")
            asked = uuid4().hex
            changed = {"facts": facts, "port": port, "processes": commands, "restart": {"id": asked, "only": [*only]}}
            state.write_order({**before, **changed})
            say(project.name, "restarting")
            record.identity.signal(RESTART)
            self._await_restart(project, record.identity, asked)
        return self.status(project)

    def down(self, project: Project) -> bool:
        state = self._state(project)
        if not state.directory.exists():
            return False
        with self._locked(project):
            record = state.record()
            was_up = record is not None and record.identity.is_alive()
            if record is not None:
                self._end(project, record.identity)
            state.remove()
        return was_up

    def status(self, project: Project) -> Row:
        state = self._state(project)
        order, record = state.order() or {}, state.record()
        facts = order.get("facts", {"components": [], "namespaces": []})
        labels = ", ".join(component["label"] for component in facts["components"])
        row = Row(component=labels or project.name, project=str(project.path), state="down")
        if record is None:
            return row
        row = replace(row, namespaces=facts["namespaces"], since=record.since)
        if not record.identity.is_alive():
            self._bury(project, record)
            return replace(row, state="died")
        pids = {name: child.pid for name, child in record.children.items() if child.pid}
        return replace(
            row,
            state=record.state,
            port=order.get("port"),
            pids={"supervisor": record.pid, **pids},
            restarts={name: child.restarts for name, child in record.children.items()},
        )

    def logs(self, project: Project, *, last: int, follow: threading.Event | None = None) -> Iterator[Line]:
        state = self._state(project)
        if not state.directory.exists():
            raise EngineError(f"{project.name} is not up, so there is no log: `byron up {project.path}` starts it.")
        return iter(state.journal.last(last)) if follow is None else state.journal.follow(follow, after=last)

    def facts(self, project: Project) -> dict[str, Any] | None:
        """Return what `describe` told of a project when it was brought up; None for one that is not up."""
        return (self._state(project).order() or {}).get("facts")

    def choose_port(self, project: Project, asked: int | None = None) -> int:
        return choose_port(self.ports, project, asked)

    def _state(self, project: Project) -> ProjectState:
        return ProjectState.of(self._root, project.path)

    @contextmanager
    def _locked(self, project: Project) -> Iterator[None]:
        try:
            with self._state(project).locked():
                yield
        except BusyError:
            raise EngineError(f"{project.name}: another `byron` command brings it up or down; wait for that.") from None

    def _begin(self, order: Order) -> Identity:
        project, state = order.project, self._state(order.project)
        facts = order.facts or project.describe()
        port = order.port or self.choose_port(project)
        state.forget()
        state.journal.clear()
        state.write_order(
            {
                "project": str(project.path),
                "facts": facts,
                "port": port,
                "preparations": {"migrate": project.command("migrate", "--no-input")},
                "processes": self._processes(project, facts, port),
            }
        )
        return Identity.of(_spawn_supervisor(state, project, attached=order.attached))

    @staticmethod
    def _processes(project: Project, facts: Mapping[str, Any], port: int) -> dict[str, list[str]]:
        serve = ["serve", "--port", str(port), "--workers", "1", "--grace", str(GRACE)]
        processes = {"api": project.command(*serve)}
        if any(component["handlers"] for component in facts["components"]):
            processes["sink"] = project.command("runsink")
        return processes

    def _await_up(self, order: Order, supervisor: Identity, say: Say) -> None:
        project, state = order.project, self._state(order.project)
        said = ""
        while True:
            ended = not supervisor.is_alive()
            record = state.record()
            if ended or (record is not None and record.state == "failed"):
                raise EngineError(self._failure(project, record))
            if record is not None and record.state in ("up", "restarting"):
                return
            if order.cancelled.is_set():
                raise EngineError(f"{project.name}: not started, as another failed or the command was interrupted.")
            children = record.children if record is not None else {}
            doing = "migrating" if "migrate" in children else "waiting for API and Sink"
            if children and doing != said:
                said = doing
                say(project.name, doing)
            sleep(_POLL)

    def _await_restart(self, project: Project, supervisor: Identity, asked: str) -> None:
        state = self._state(project)
        while (record := state.record()) is None or record.restarted != asked:
            if not supervisor.is_alive():
                raise EngineError(f"{project.name}: its supervisor ended, and with it all that it ran.")
            sleep(_POLL)
        if record.error:
            raise EngineError(f"{project.name}: {record.error}. Its log ended with:\n{self._tail(project)}")

    def _failure(self, project: Project, record: Record | None) -> str:
        why = record.error if record and record.error else "its supervisor ended"
        return f"{project.name} cannot be started: {why}. Its log ended with:\n{self._tail(project)}"

    def _tail(self, project: Project) -> str:
        state = self._state(project)
        lines = [f"{line.name} | {line.text}" for line in state.journal.last(_TAIL)]
        with suppress(OSError):
            lines += (state.directory / "supervisor.log").read_text(errors="replace").splitlines()[-_TAIL:]
        return "\n".join(f"  {line}" for line in lines) or "  (nothing)"

    def _end(self, project: Project, supervisor: Identity) -> None:
        """Stop a supervisor, or clear away what one that was killed has left."""
        supervisor.signal(signal.SIGTERM)
        if not supervisor.await_end(STOP_DEADLINE):
            supervisor.signal(signal.SIGKILL)
            supervisor.await_end(STOP_DEADLINE)
        record = self._state(project).record()
        if record is not None:
            self._clear(project, record)

    def _bury(self, project: Project, record: Record) -> None:
        """Forget a project whose supervisor was killed, but for its log, unless another command is at it."""
        state = self._state(project)
        try:
            with state.locked(patience=0.0):
                if state.record() == record:
                    self._clear(project, record)
                    state.forget()
        except BusyError:
            return

    def _clear(self, project: Project, record: Record) -> None:
        """Wait until nothing of a project runs whose supervisor is gone; end what takes too long."""
        leaders = [child.identity for child in record.children.values() if child.pid]
        for leader in leaders:
            leader.signal(signal.SIGTERM)
        for leader in leaders:
            if not await_end_of_session(leader, ORPHANS_DEADLINE):
                leader.signal(signal.SIGKILL)
                if not await_end_of_session(leader, ORPHANS_DEADLINE):
                    raise EngineError(f"{project.name}: process {leader.pid} does not end; end it yourself.")


def _spawn_supervisor(state: ProjectState, project: Project, *, attached: bool) -> int:
    """Start a project's supervisor in a session of its own, so that a terminal's signals do not reach it.

    Not with subprocess: a Popen object warns when its process outlives it.
    """
    environment = {key: value for key, value in os.environ.items() if key not in (PARENT, READY)}
    environment.update(project.defaults)
    if attached:
        environment[PARENT] = str(os.getpid())
    log = str(state.directory / "supervisor.log")
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "byron.management.engines.supervisor", str(state.directory)],
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
