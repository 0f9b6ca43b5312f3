"""One log, applied to a Cache on each engine, gives the same answers through GraphQL, byte by byte."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import mongodb, postgres
from tests.processes import byron_admin, environment

HERE = Path(__file__).parent

EVENTS = 300

_SETTINGS = """
BYRON_API_MAX_COST, BYRON_API_MAX_TOKENS = 10**9, 10**6
BYRON_SINK_BATCH_SIZE = env.int("SINK_BATCH_SIZE")
BYRON_SINK_TRIES = 3
"""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component of these tests, generated, with a program that applies a log and prints the answers."""
    directory = tmp_path_factory.mktemp("caches")
    byron_admin("startcomponent", "shop", "--schema", str(HERE / "schema.yaml"), directory=directory)
    made = directory / "shop"
    shutil.copytree(HERE / "project", made, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with (made / "config/settings.py").open("a") as settings:
        settings.write(_SETTINGS)
    return made


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.PostgresServer]:
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.PostgresServer(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mongodb.MongoServer]:
    if reason := mongodb.why_not():
        pytest.skip(reason)
    with mongodb.MongoServer(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


@pytest.fixture(scope="session")
def expected() -> dict[tuple[int, int], list[str]]:
    """What SQLite answers, by seed and batch size."""
    return {}


def answers(project: Path, url: str, seed: int, batch: int) -> list[str]:
    """Return what a Cache at this address answers when it has applied a seed's log."""
    finished = subprocess.run(
        [sys.executable, "dump.py", str(seed), str(EVENTS)],
        cwd=project,
        env=environment(project / ".state", DEBUG="true", CACHE_URL=url, SINK_BATCH_SIZE=str(batch), LOG_LEVEL="CRITICAL"),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert finished.returncode == 0, f"{finished.stdout[-2000:]}{finished.stderr[-8000:]}"
    return finished.stdout.splitlines()


def require_same(found: list[str], wanted: list[str]) -> None:
    pairs = itertools.zip_longest(wanted, found)
    different = [f"- {one}\n+ {other}" for one, other in pairs if one != other]
    assert not different, f"{len(different)} answers of {len(wanted)} differ:\n" + "\n".join(different[:20])


@pytest.mark.parametrize("batch", [500, 7])
@pytest.mark.parametrize("seed", [int(os.environ.get("CACHES_SEED", "1"))])
@pytest.mark.parametrize("engine", ["postgresql", "mongodb"])
def test_an_engine_answers_as_sqlite_does(
    request: pytest.FixtureRequest,
    project: Path,
    expected: dict[tuple[int, int], list[str]],
    tmp_path: Path,
    engine: str,
    seed: int,
    batch: int,
) -> None:
    server = request.getfixturevalue(f"{engine}_server")
    if (seed, batch) not in expected:
        expected[seed, batch] = answers(project, f"sqlite:///{tmp_path / 'shop.sqlite3'}", seed, batch)
    wanted = expected[seed, batch]
    assert len(wanted) > 500 and sum(line.startswith("parked") for line in wanted) > 5, wanted[:30]

    found = answers(project, server.create_database(f"shop_{batch}"), seed, batch)

    require_same(found, wanted)
