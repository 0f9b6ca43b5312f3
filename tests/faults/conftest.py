"""What the fault tests share: the Ledger on each database, a chance that can be repeated, figures."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests import mongodb, postgres
from tests.broker.conftest import RealServer
from tests.faults.caches import Cache, MongoCache, PostgresCache, SqliteCache
from tests.faults.ledger import Ledger, make_project
from tests.processes import system

_FIGURE = "figure: "


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated project, of which each test gets a copy."""
    return make_project(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL server, which tests leave running."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.PostgresServer(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mongodb.MongoServer]:
    """A MongoDB server, which tests leave running."""
    if reason := mongodb.why_not() or mongodb.why_not_real():
        pytest.skip(reason)
    settings = ("--setParameter", "enableTestCommands=1")
    with mongodb.MongoServer(tmp_path_factory.mktemp("mongodb"), settings=settings) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    """A nats-server of the test's own, running."""
    server = RealServer(tmp_path)
    try:
        server.start()
        yield server
    finally:
        server.end()


@pytest.fixture
def ledger(project: Path, server: RealServer, tmp_path: Path) -> Iterator[Ledger]:
    """A Ledger on SQLite."""
    with _opened(project, server, tmp_path, SqliteCache(tmp_path / "ledger" / "ledger.sqlite3")) as made:
        yield made


@pytest.fixture
def postgres_ledger(
    project: Path, server: RealServer, tmp_path: Path, postgres_server: postgres.PostgresServer
) -> Iterator[Ledger]:
    """A Ledger on PostgreSQL."""
    cache = PostgresCache(postgres_server, f"ledger_{uuid4().hex[:8]}")
    with _opened(project, server, tmp_path, cache, cache.url) as made:
        made.system.manage("migrate", "-v0")
        yield made


@pytest.fixture
def mongo_ledger(
    project: Path, server: RealServer, tmp_path: Path, mongo_server: mongodb.MongoServer
) -> Iterator[Ledger]:
    """A Ledger on MongoDB."""
    cache = MongoCache(mongo_server, f"ledger_{uuid4().hex[:8]}")
    with _opened(project, server, tmp_path, cache, cache.url) as made:
        made.system.manage("migrate", "-v0")
        yield made


_FIXTURES = {"SQLite": "ledger", "PostgreSQL": "postgres_ledger", "MongoDB": "mongo_ledger"}


@pytest.fixture(params=_FIXTURES)
def any_ledger(request: pytest.FixtureRequest) -> Ledger:
    """A Ledger on each database."""
    made: Ledger = request.getfixturevalue(_FIXTURES[request.param])
    return made


@pytest.fixture(params=["PostgreSQL", "MongoDB"])
def served_ledger(request: pytest.FixtureRequest) -> Ledger:
    """A Ledger on each database that is a server, and that several lanes write at a time."""
    made: Ledger = request.getfixturevalue(_FIXTURES[request.param])
    return made


@contextmanager
def _opened(project: Path, server: RealServer, directory: Path, cache: Cache, cache_url: str = "") -> Iterator[Ledger]:
    copy, state = directory / "ledger", directory / "state"
    shutil.copytree(project, copy)
    with system(copy, state) as running:
        made = Ledger(running, server, cache, cache_url)
        made.broker.ensure_log()
        try:
            yield made
        finally:
            made.cache.close()
            made.broker.close()
            running.end()
            for log in sorted(state.glob("*.log")):
                # Shown when the test fails.
                print(f"--- {log.name}\n{log.read_text()[-4000:]}")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str, object], None]:
    """Note a figure that this test measured, to be printed after the run."""

    def note(what: str, value: object) -> None:
        shown = f"{value:.1f}" if isinstance(value, float) else str(value)
        print(what, shown)
        record_property(_FIGURE + what, shown)

    return note


@pytest.fixture
def chance(figure: Callable[[str, object], None]) -> random.Random:
    """Random numbers; FAULTS_SEED repeats those of another run."""
    seed = int(os.environ.get("FAULTS_SEED") or random.SystemRandom().randrange(10**6))
    figure("seed", seed)
    random.seed(seed)
    return random.Random(seed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("fault tests: figures")
    for reports in terminalreporter.stats.values():
        for report in reports:
            if not isinstance(report, pytest.TestReport) or "tests/faults/" not in report.nodeid:
                continue
            name = report.nodeid.partition("tests/faults/")[2]
            figures = [
                f"{what.removeprefix(_FIGURE)} {value}"
                for what, value in report.user_properties
                if what.startswith(_FIGURE)
            ]
            if report.when == "call":
                terminalreporter.line(f"{report.outcome} {report.duration:5.1f} s  {name}  {', '.join(figures)}")
            elif report.skipped:
                terminalreporter.line(f"NOT RUN  {name}  {report.longrepr[2] if report.longrepr else ''}")
