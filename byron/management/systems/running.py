"""The work of the commands `up`, `down` and `component`."""

from __future__ import annotations

import threading
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management import CommandError
from rich.console import Console

from byron.broker import server
from byron.conf import byron_settings
from byron.exceptions import ByronError
from byron.management.engines import ENGINES, Engine
from byron.management.systems.brokers import Broker, EmbeddedBroker, brokers_of
from byron.management.systems.container_broker import container_brokers
from byron.management.systems.projects import Project, find_projects
from byron.management.systems.readiness import problems, with_readiness
from byron.management.systems.report import Lines, Steps, as_json, show_table
from byron.management.systems.system import Brought, Interrupted, System, deaf, interruptible
from byron.schema.problems import listed

#: Exit status of `status` when something is not up.
NOT_UP = 3
#: Exit status of a start that a signal ended.
INTERRUPTED = 130


def add_engine(parser: ArgumentParser) -> None:
    """Add the option that chooses an engine."""
    parser.add_argument(
        "--engine", choices=list(ENGINES), default=next(iter(ENGINES)), help="Choose what runs it. Default: process."
    )


def add_port(parser: ArgumentParser) -> None:
    """Add the option that chooses a port."""
    parser.add_argument("--port", type=_port, help="Serve the API here, now and later; for one PATH.")


def add_up_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of what brings projects up."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="Bring up the project in this folder.")
    parser.add_argument("-d", "--detach", action="store_true", help="Return once it is up, and leave it running.")
    add_port(parser)
    add_engine(parser)


def bring_up(options: dict[str, Any], *, brokers: bool) -> None:
    """Bring up projects, with their brokers if asked; stay with them until a signal unless detached.

    Raises Django's CommandError, with nothing left of what was started.
    """
    console, attached = Console(highlight=False), not options["detach"]
    if options["port"] and len(options["paths"]) > 1:
        raise CommandError("--port is for one PATH: each project needs a port of its own.")
    try:
        engine, projects = engine_of(options), find_projects(options["paths"])
        with interruptible():
            with Steps(console) as steps:
                brought = System(engine, steps).up(projects, brokers=brokers, port=options["port"], attached=attached)
            if attached and brought.projects:
                _stay(System(engine, Steps(console)), brought, console)
    except Interrupted:
        raise SystemExit(INTERRUPTED) from None
    except ByronError as error:
        raise CommandError(str(error)) from error


def _stay(system: System, brought: Brought, console: Console) -> None:
    console.print("Ctrl-C stops everything that was started here.")
    try:
        system.follow(brought.projects, Lines(console))
    except Interrupted:
        pass
    finally:
        with deaf():
            system.take_down(brought)


def take_down(options: dict[str, Any], *, brokers: bool) -> None:
    """Stop the projects named, or all of them, and with `brokers` also those brokers that nothing needs any more.

    Raises Django's CommandError.
    """
    try:
        engine = engine_of(options)
        with Steps(Console(highlight=False)) as steps:
            if options["paths"]:
                projects = find_projects(options["paths"], engine.projects())
                stop = _unneeded_brokers(engine, projects) if brokers else []
            else:
                projects, stop = _everything(engine, options["namespace"])
            if not projects and not stop:
                steps.done("byron", "nothing was running")
            System(engine, steps).down(projects, brokers=stop)
    except ByronError as error:
        raise CommandError(str(error)) from error


def show_status(options: dict[str, Any]) -> None:
    """Print how projects are. Raises SystemExit when one is not up, and Django's CommandError."""
    try:
        engine = engine_of(options)
        known = engine.projects()
        projects = find_projects(options["paths"], known) if options["paths"] else known
        rows = with_readiness([engine.status(project) for project in projects])
    except ByronError as error:
        raise CommandError(str(error)) from error
    console = Console(highlight=False)
    if options["json"]:
        console.print(as_json(rows), soft_wrap=True, markup=False)
    elif rows:
        show_table(console, rows)
        for row in rows:
            if row.state == "died":
                console.print(
                    f"{row.component}: its supervisor was killed; what was left is cleared away, and its log is there "
                    f"until the next `byron up {row.project}`.",
                    soft_wrap=True,
                    markup=False,
                )
            for problem in problems(row):
                console.print(f"{row.component}: {problem}.", soft_wrap=True, markup=False)
    else:
        brokers = [str(broker.namespace) for broker in _brokers_on_record(engine) if broker.runs()]
        console.print(f"No component is up; the broker of {listed(brokers)} is." if brokers else "Nothing is up.")
    if not rows or any(row.state != "up" for row in rows):
        raise SystemExit(NOT_UP)


def show_logs(options: dict[str, Any]) -> None:
    """Print the last lines of projects, and follow them if asked. Raises Django's CommandError."""
    lines = Lines(Console(highlight=False))
    try:
        engine = engine_of(options)
        projects = find_projects(options["paths"], engine.projects()) if options["paths"] else _all_known(engine)
        if not options["follow"]:
            found = [(line, project) for project in projects for line in engine.logs(project, last=options["lines"])]
            for line, project in sorted(found, key=lambda each: each[0].time):
                lines.show(project.name, line)
            return
        _follow(engine, projects, lines, options["lines"])
    except ByronError as error:
        raise CommandError(str(error)) from error


def _all_known(engine: Engine) -> list[Project]:
    """Return the projects that are up, or have died, whose logs can be shown. Raises Django's CommandError."""
    projects = engine.projects()
    if not projects:
        raise CommandError("Nothing is up, so there are no logs.")
    return projects


def _follow(engine: Engine, projects: Sequence[Project], lines: Lines, last: int) -> None:
    stop = threading.Event()
    given = [(project, engine.logs(project, last=last, follow=stop)) for project in projects]

    def show(project: Project, each: Any) -> None:
        for line in each:
            lines.show(project.name, line)

    threads = [threading.Thread(target=show, args=pair, daemon=True) for pair in given]
    try:
        with interruptible():
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    except Interrupted:
        stop.set()


def build(options: dict[str, Any]) -> None:
    """Make projects ready to run. Raises Django's CommandError with what is wrong in each."""
    problems = []
    try:
        engine, projects = engine_of(options), find_projects(options["paths"])
    except ByronError as error:
        raise CommandError(str(error)) from error
    with Steps(Console(highlight=False)) as steps:
        for project in projects:
            steps.say(project.name, "building")
            try:
                for made in engine.prepare(project):
                    steps.done(project.name, made)
                engine.build(project)
                steps.done(project.name, "is ready to run")
            except ByronError as error:
                problems.append(str(error))
    if problems:
        raise CommandError("\n".join(problems))


def engine_of(options: dict[str, Any]) -> Engine:
    """Return the engine that an option names."""
    return ENGINES[options["engine"]](_root())


def _root() -> Path:
    return byron_settings().state_path.absolute()


def _everything(engine: Engine, namespace: str | None) -> tuple[list[Project], list[Broker]]:
    """Return all projects that are up, and all of the engine's brokers that run, of one namespace or of all."""

    def chosen(each: str) -> bool:
        return namespace is None or each.lower() == namespace.lower()

    projects = [project for project in engine.projects() if any(map(chosen, engine.status(project).namespaces))]
    brokers = {broker.key: broker for project in projects for broker in brokers_of(engine.facts(project))}
    for broker in _brokers_on_record(engine):
        brokers.setdefault(broker.key, broker)
    return projects, [each for each in brokers.values() if chosen(each.namespace) and each.runs()]


def _brokers_on_record(engine: Engine) -> Sequence[Broker]:
    if engine.supports_embedded_broker:
        return [EmbeddedBroker(each, engine.root) for each in server.namespaces(engine.root)]
    return container_brokers(engine.root)


def _unneeded_brokers(engine: Engine, projects: Sequence[Project]) -> list[Broker]:
    """Return the running brokers of projects that no other project on this machine uses."""
    others = [project for project in engine.projects() if project not in projects]
    needed = {broker.key for project in others for broker in brokers_of(engine.facts(project))}
    facts = [engine.facts(project) or _described(project) for project in projects]
    found = {broker.key: broker for each in facts for broker in brokers_of(each)}
    return [broker for key, broker in found.items() if key not in needed and broker.runs()]


def _described(project: Project) -> dict[str, Any] | None:
    """Return what a project tells of itself that is not on record."""
    try:
        return project.describe()
    except ByronError:
        # It cannot run as it is, and it is not up: there is nothing to take down.
        return None


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ArgumentTypeError(f"{text!r} is not a port: a number from 1 to 65535")
    return int(text)
