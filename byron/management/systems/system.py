"""A system on this machine: the brokers of its namespaces and the projects of its components, together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from byron.exceptions import ByronError
from byron.management.engines.base import Engine, EngineError, Order, Row
from byron.management.systems.brokers import Broker, brokers_of
from byron.management.systems.projects import Project
from byron.management.systems.readiness import problems, with_readiness
from byron.management.systems.report import Lines, Steps

T = TypeVar("T")

#: More lines than any log has.
_ALL = 10**9

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal asked to stop."""


@dataclass
class Brought:
    """What one call has brought up."""

    brokers: list[Broker] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)


class System:
    """Bring projects and their brokers up and down."""

    def __init__(self, engine: Engine, steps: Steps) -> None:
        self._engine, self._steps = engine, steps

    def up(
        self, projects: Sequence[Project], *, brokers: bool, port: int | None = None, attached: bool = False
    ) -> Brought:
        """Bring up what is not up; take all of that down again when a part of it fails, or when interrupted.

        Raises ByronError, with every failure.
        """
        missing = [project for project in projects if not self._is_up(project, port)]
        brought, cancelled = Brought(), threading.Event()
        try:
            orders = self._orders(missing, port, attached, cancelled)
            if brokers:
                self._start_brokers(orders, brought)
            elif not self._engine.supports_embedded_broker:
                self._require_brokers(orders)
            brought.projects = [order.project for order in orders]
            self._all(self._start, orders, cancelled)
        except BaseException:
            with deaf():
                self.take_down(brought)
            raise
        return brought

    def _is_up(self, project: Project, port: int | None) -> bool:
        row = self._engine.status(project)
        if row.state in ("up", "restarting"):
            if port not in (None, row.port):
                raise EngineError(
                    f"{project.name} is up already, at port {row.port} and not {port}. To move it: "
                    f"byron component restart --port {port} {project.path}"
                )
            self._steps.done(project.name, f"is up already{_address(row)}")
            return True
        if row.state == "died":
            self._steps.done(project.name, "its supervisor was killed; cleared away what was left")
        return False

    def take_down(self, brought: Brought) -> None:
        """Stop what a call of `up` has brought up, the brokers last."""
        self.down(brought.projects, brokers=brought.brokers, quiet=True)

    def down(self, projects: Sequence[Project], *, brokers: Sequence[Broker], quiet: bool = False) -> None:
        """Stop projects, then brokers. Raises ByronError, with every failure, after having tried all."""

        def stop(project: Project) -> None:
            self._steps.say(project.name, "stopping")
            stopped = self._engine.down(project)
            if stopped or not quiet:
                self._steps.done(project.name, "stopped" if stopped else "was not running")

        failures: list[str] = []
        try:
            self._all(stop, projects)
        except EngineError as error:
            failures.append(str(error))
        for broker in brokers:
            try:
                stopped = broker.stop()
            except ByronError as error:
                failures.append(str(error))
                continue
            if stopped or not quiet:
                self._steps.done(f"broker of {broker.namespace}", "stopped" if stopped else "was not running")
        if failures:
            raise EngineError("\n".join(failures))

    def follow(self, projects: Sequence[Project], lines: Lines) -> None:
        """Show what projects have said since their start, and say, until all have ended or until interrupted."""
        stop = threading.Event()

        def show(project: Project) -> None:
            with suppress(ByronError):
                for line in self._engine.logs(project, last=_ALL, follow=stop):
                    lines.show(project.name, line)

        threads = [threading.Thread(target=show, args=(project,), daemon=True) for project in projects]
        try:
            for thread in threads:
                thread.start()
            while any(self._engine.is_up(project) for project in projects):
                stop.wait(0.5)
        finally:
            stop.set()
            for thread in threads:
                thread.join(2.0)

    def _orders(
        self, projects: Sequence[Project], port: int | None, attached: bool, cancelled: threading.Event
    ) -> list[Order]:
        for project in projects:
            for made in self._engine.prepare(project):
                self._steps.done(project.name, made)
        if self._engine.supports_embedded_broker:
            for project in projects:
                self._steps.say(project.name, "reading")
                if project.defaults:
                    self._steps.done(project.name, "has no .env: it runs with DEBUG=true, as in development")
            facts = self._all(lambda project: project.describe(), projects)
        else:
            facts = [self._engine.facts(project) for project in projects]
        # One after the other, so that the first named gets the first port.
        ports = [self._engine.choose_port(project, port) for project in projects]
        return [
            Order(project=project, facts=facts[index], port=ports[index], attached=attached, cancelled=cancelled)
            for index, project in enumerate(projects)
        ]

    def _start_brokers(self, orders: Sequence[Order], brought: Brought) -> None:
        for broker in _brokers(orders):
            name = f"broker of {broker.namespace}"
            self._steps.say(name, "starting")
            if broker.runs():
                self._steps.done(name, "is up already")
                continue
            # Noted before: a signal may come at any moment.
            brought.brokers.append(broker)
            broker.start()
            self._steps.done(name, "up")

    @staticmethod
    def _require_brokers(orders: Sequence[Order]) -> None:
        """Raise EngineError unless the brokers run that nothing starts by itself."""
        for broker in _brokers(orders):
            if not broker.runs():
                raise EngineError(
                    f"The broker of {broker.namespace} is not up: "
                    f"`byron infrastructure up --engine docker -N {broker.namespace}` starts it, and `byron up` starts "
                    "both."
                )

    def _start(self, order: Order) -> None:
        row = self._engine.up(order, self._steps.say)
        self._steps.done(order.project.name, describe_up(row))
        tell_troubles(row, self._steps)

    @staticmethod
    def _all(do: Callable[[Any], T], items: Sequence[Any], cancelled: threading.Event | None = None) -> list[T]:
        """Do something with each at the same time. Raises EngineError with every failure."""
        if not items:
            return []
        with ThreadPoolExecutor(len(items)) as pool:
            futures = [pool.submit(do, item) for item in items]
            try:
                failed = any(future.exception() for future in wait(futures, return_when=FIRST_EXCEPTION).done)
            except BaseException:
                failed = True
                raise
            finally:
                if failed and cancelled is not None:
                    cancelled.set()
        errors = [future.exception() for future in futures]
        unexpected = next((error for error in errors if error is not None and not isinstance(error, ByronError)), None)
        if unexpected is not None:
            raise unexpected
        if any(errors):
            raise EngineError("\n".join(dict.fromkeys(str(error) for error in errors if error is not None)))
        return [future.result() for future in futures]


def describe_up(row: Row) -> str:
    """Return a project's state and address."""
    return f"{row.state}{_address(row)}"


def tell_troubles(row: Row, steps: Steps) -> None:
    """Say what is wrong with a project that is up, and how many events it has set aside, if there are any."""
    name = Path(row.project).name
    [known] = with_readiness([row])
    for problem in problems(known):
        steps.done(name, problem)
    if known.parked:
        events, them = ("1 event is", "it") if known.parked == 1 else (f"{known.parked:,} events are", "them")
        shown = (
            f"`manage.py parked` shows {them} and `manage.py parked retry --all` tries {them} again, in {row.project}"
        )
        steps.done(name, f"{events} set aside; {shown}")


def _brokers(orders: Sequence[Order]) -> list[Broker]:
    return sorted({each for order in orders for each in brokers_of(order.facts)}, key=str)


def _address(row: Row) -> str:
    return f" at {row.url}" if row.url else ""


def _interrupt(number: int, frame: object) -> None:
    # Once is enough: what follows is taking down.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted


@contextmanager
def interruptible() -> Iterator[None]:
    """Have SIGINT, SIGTERM and SIGHUP raise Interrupted, in the main thread."""
    with _handling(_interrupt):
        yield


@contextmanager
def deaf() -> Iterator[None]:
    """Ignore SIGINT, SIGTERM and SIGHUP, so that taking down is not cut short."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def _handling(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, each in before.items():
            signal.signal(number, each)
