"""The development environment: broker, API and Sink in one terminal, restarted when something changes."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType

from watchfiles import Change, DefaultFilter, watch

from byron.broker import server
from byron.management.processes import SYSTEM, ChildProcess, Output, ending, stop_all
from byron.schema.installed import SCHEMA_FILE

# It would announce each change besides.
logging.getLogger("watchfiles").setLevel(logging.WARNING)

_BROKER, _SCHEMA, _API, _SINK = "broker", "schema", "api", "sink"
#: Milliseconds between two looks at the processes while no file changes.
_TICK = 250


class _SourceFilter(DefaultFilter):
    """Files whose change matters to a running component."""

    def __call__(self, change: Change, path: str) -> bool:
        name = Path(path).name
        return super().__call__(change, path) and (name.endswith(".py") or name in (SCHEMA_FILE, ".env"))


class Development:
    """Run a project's processes until SIGINT or SIGTERM, and stop every one of them then.

    At the start and whenever a schema.yaml changes, the generated files are brought up to date first;
    the API and the Sink migrate the Caches when they start. A schema with problems leaves the
    processes as they are.
    """

    def __init__(
        self,
        project: Path,
        namespaces: Iterable[str],
        host: str,
        port: int,
        *,
        own_broker: bool,
        components: Iterable[Path] = (),
        news: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """`news` gives what to say once the broker runs, before API and Sink are started for the first time."""
        self._project, self._host, self._port = project, host, port
        # Components may lie outside the project that runs them; those inside it are watched with it.
        self._elsewhere = [path for path in components if not path.is_relative_to(project)]
        self._news = news
        self._namespaces = sorted(set(namespaces)) if own_broker else []
        self._output = Output((_BROKER, _SCHEMA, _API, _SINK))
        self._children: list[ChildProcess] = []
        self._started_brokers: list[str] = []
        self._stop = threading.Event()
        #: When Byron itself last wrote files, as files' times count.
        self._generated_at = 0.0
        self._announced = True

    def run(self) -> None:
        """Run until told to stop. Raises BrokerError and MissingExtraError when the broker cannot start."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._start_brokers()
            for line in self._news():
                self._say(line)
            self._restart(schema_changed=True)
            self._watch()
        finally:
            self._say("stopping")
            stop_all(self._children)
            for namespace in self._started_brokers:
                server.stop(namespace)
            self._say("stopped")

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _say(self, text: str) -> None:
        self._output.write(SYSTEM, text)

    def _start_brokers(self) -> None:
        for namespace in self._namespaces:
            running = server.running(namespace)
            if running is None:
                running = server.ensure_running(namespace)
                self._started_brokers.append(namespace)
                log = running.directory / "nats.log"
                self._output.write(_BROKER, f"started for {namespace}, pid {running.pid}, log in {log}")
            else:
                self._output.write(_BROKER, f"{namespace} has one already, pid {running.pid}: using it")

    def _watch(self) -> None:
        changes = watch(
            self._project,
            *self._elsewhere,
            watch_filter=_SourceFilter(),
            stop_event=self._stop,
            rust_timeout=_TICK,
            yield_on_timeout=True,
            raise_interrupt=False,
        )
        for found in changes:
            if self._stop.is_set():
                return
            paths = [Path(path) for _, path in found if not self._is_own(Path(path))]
            if paths:
                self._say(f"changed: {', '.join(sorted({path.name for path in paths}))}")
                self._restart(schema_changed=any(path.name == SCHEMA_FILE for path in paths))
            self._look()

    def _is_own(self, path: Path) -> bool:
        """Whether a change is what `generate` wrote a moment ago."""
        try:
            return path.stat().st_mtime <= self._generated_at and path.name != SCHEMA_FILE
        except FileNotFoundError:
            return False

    def _restart(self, *, schema_changed: bool) -> None:
        if schema_changed and not self._generate():
            self._say(f"waiting for a change of {SCHEMA_FILE}")
            return
        stop_all(self._children)
        api = [_API, "runserver", "--noreload", f"{self._host}:{self._port}"]
        self._children = [self._child(*api), self._child(_SINK, "runsink")]
        self._announced = False

    def _generate(self) -> bool:
        try:
            return self._child(_SCHEMA, "generate").wait() == 0
        finally:
            self._generated_at = time.time()

    def _child(self, name: str, *arguments: str) -> ChildProcess:
        return ChildProcess(name, [sys.executable, "manage.py", *arguments], self._project, self._output)

    def _look(self) -> None:
        """Say when the API begins to answer, and when a process has ended by itself."""
        for child, code in [(child, child.exit_code) for child in self._children]:
            if code is None:
                continue
            self._say(f"{child.name} ended {ending(code)}; it starts again with the next change")
            child.wait()
            self._children.remove(child)
        if not self._announced and is_listening(self._host, self._port):
            self._announced = True
            self._say(f"GraphiQL: http://{self._host}:{self._port}/graphql/   (Ctrl-C stops everything)")


def is_listening(host: str, port: int) -> bool:
    """Whether something accepts connections at an address."""
    try:
        with socket.create_connection((host, port), timeout=0.2):
            return True
    except OSError:
        return False
