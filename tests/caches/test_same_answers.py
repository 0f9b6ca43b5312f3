"""One log, applied to a Cache on each engine, gives the same answers through GraphQL, byte by byte."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.caches.conftest import LOCALE
from tests.processes import byron_admin, environment

HERE = Path(__file__).parent

EVENTS = 300

#: Another log, to look for what this one does not meet.
SEED = os.environ.get("CACHES_SEED", "1")

_SETTINGS = """
BYRON_API_MAX_COST, BYRON_API_MAX_TOKENS = 10**9, 10**6
BYRON_SINK_BATCH_SIZE = 40
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
def expected(project: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What SQLite answers."""
    found = answers(project, f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'shop.sqlite3'}")
    assert len(found) > 400 and sum(line.startswith("parked") for line in found) > 5, found[:30]
    return found


def answers(project: Path, url: str) -> list[str]:
    """Return what a Cache at this address answers when it has applied the log."""
    variables = environment(project / ".state", DEBUG="true", CACHE_URL=url, LOG_LEVEL="CRITICAL")
    run = partial(subprocess.run, cwd=project, env=variables, capture_output=True, text=True, check=False, timeout=300)
    migrated = run([sys.executable, "manage.py", "migrate", "-v0"])
    assert migrated.returncode == 0, migrated.stderr[-8000:]
    finished = run([sys.executable, "manage.py", "dump", SEED, str(EVENTS)])
    assert finished.returncode == 0, f"{finished.stdout[-2000:]}{finished.stderr[-8000:]}"
    return finished.stdout.splitlines()


@pytest.mark.parametrize(
    ("engine", "options"),
    [("postgresql", {}), ("dictionary", {"locale": LOCALE}), ("mongodb", {})],
    ids=["PostgreSQL", f"PostgreSQL in {LOCALE}", "MongoDB"],
)
def test_an_engine_answers_as_sqlite_does(
    request: pytest.FixtureRequest,
    project: Path,
    expected: list[str],
    engine: str,
    options: dict[str, str],
) -> None:
    server = request.getfixturevalue(f"{engine}_server")

    found = answers(project, server.create_database("shop", **options))

    pairs = itertools.zip_longest(expected, found)
    different = [f"- {one}\n+ {other}" for one, other in pairs if one != other]
    assert not different, f"{len(different)} answers of {len(expected)} differ:\n" + "\n".join(different[:20])
