"""Several components on real processes and a real nats-server: what `@pytest.mark.real` makes of a system."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from heapq import merge
from pathlib import Path

from byron.events.event import Event
from byron.schema.installed import ComponentConfig
from byron.testing.failures import SystemFailure
from byron.testing.members import Members, Outage, Reader, event_names
from byron.testing.real.broker import RealBroker, RealLog
from byron.testing.real.component import RealComponent
from byron.testing.real.patience import Patience
from byron.testing.real.places import Places
from byron.testing.real.processes import Process, ProcessGroup

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: Seconds that a start, or coming to rest, may take.
PATIENCE = 30.0

_APPLIED = "everything to be applied"


class RealSystem(Members[RealComponent]):
    """The components of a project, an API and a Sink each, and their broker, all in processes of their own.

    All that they keep is below the directory of `places`. `running` starts them, and ends them all.
    """

    def __init__(self, configs: Sequence[ComponentConfig], places: Places, *, patience: float = PATIENCE) -> None:
        super().__init__({})
        self._configs, self._places = configs, places
        self._patience = Patience(patience, lambda: self.processes)
        self._reader = Reader(configs)
        self._group = ProcessGroup(places.directory / "logs")
        self._logs: dict[str, RealLog] = {}

    @contextmanager
    def running(self, caches: Path) -> Iterator[RealSystem]:
        """Start everything, with Caches like those in a directory, and end it all afterwards.

        Raises SystemFailure when a process ends or does not answer in time, and MissingExtraError without nats-server.
        """
        with ExitStack() as until_the_end:
            for file in caches.glob("*.sqlite3*"):
                shutil.copy(file, self._places.directory)
            until_the_end.enter_context(self._group)
            self._broker = RealBroker(self._group, self._places.directory / "broker")
            self._patience.wait(self._broker.is_ready, "the broker to answer")
            names = event_names(self._configs)
            for config in self._configs:
                log = self._log(config.component.namespace, until_the_end)
                self._members[config.label] = member = RealComponent(
                    config, self._places, self._group, log, self._broker.url, self._patience, names, self._reader
                )
                member.start()
            self._patience.wait(lambda: self._are_ready(list(self)), "the components' APIs to answer")
            yield self

    def _are_ready(self, members: Sequence[RealComponent]) -> bool:
        # Each is asked: one that found its port taken is started again by that.
        waiting = [member for member in members if not member.is_ready()]
        return not waiting

    def _log(self, namespace: str, until_the_end: ExitStack) -> RealLog:
        key = namespace.lower()
        if key not in self._logs:
            self._logs[key] = RealLog(namespace, self._broker.url)
            until_the_end.callback(self._logs[key].broker.close)
        return self._logs[key]

    def settle(self) -> int:
        """Wait until every component has applied all that is in the logs, and what handlers emitted meanwhile.

        Returns how many events were applied since the last time, one that two components handle counting twice.
        Raises SystemFailure for a handler that fails, a process that ended, a cascade that does not end, and when it
        takes too long. Components that are down are not waited for.
        """
        self._patience.require_running(_APPLIED)
        self._patience.wait(self._is_settled, _APPLIED, self._describe_pending)
        return sum(member.count_applied() for member in self)

    def _is_settled(self) -> bool:
        before = [log.read() for log in self._logs.values()]
        if not all(member.is_idle() for member in self if not member.is_down):
            return False
        # What a Cache has applied, and does not hold in its outbox, was in the log when that was read from it.
        return before == [log.read() for log in self._logs.values()]

    def _describe_pending(self) -> str:
        pending = [member.describe_pending() for member in self if not member.is_down]
        return "\n".join(filter(None, pending)) or "The log keeps growing."

    @property
    def events(self) -> list[Event]:
        """Everything that was emitted, oldest first."""
        logs = [log.messages for log in self._logs.values()]
        return [self._reader.read(message) for message in merge(*logs, key=lambda message: message.logged or 0.0)]

    def down(self, label: str) -> Outage:
        """Kill the processes of a component, inside of `with`; they are started again afterwards."""
        self._require(label)
        return self._outage(label, self._away(label))

    @contextmanager
    def _away(self, label: str) -> Iterator[None]:
        member = self[label]
        if member.is_down:
            yield
            return
        member.kill()
        try:
            yield
        finally:
            member.start()
        self._patience.wait(lambda: self._are_ready([member]), f"the API of {label} to answer again")

    @property
    def processes(self) -> list[Process]:
        """The processes that are to run at the moment."""
        return [self._broker.process, *(process for member in self for process in member.processes)]


def migrate(places: Places) -> Path:
    """Make empty Caches in a process of their own, and return their directory. Raises SystemFailure."""
    with ProcessGroup(places.directory / "logs") as group:
        command = [sys.executable, "-m", "django", "migrate", "-v0"]
        process = group.start("migrate", command, places.project, places.environment("nats://127.0.0.1:1"))
        with suppress(subprocess.TimeoutExpired):
            process.wait(2 * PATIENCE)
        if process.status != 0:
            raise SystemFailure(f"The Caches could not be made: {process.describe()}")
    return places.directory
