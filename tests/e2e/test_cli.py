"""The CLI on the study case: two real components and their broker, up and down from outside of any project."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.management.fake_projects import files_of, remember_port
from tests.processes import System, byron_admin, processes_of, wait_for

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(find_spec("granian") is None, reason="granian is not installed: pip install '.[serve]'"),
]
PERSES = Path(__file__).resolve().parent.parent.parent / "examples" / "perses"
LEFT_OUT = shutil.ignore_patterns(".env", "*.sqlite3*", "*.sink.lock", "__pycache__", ".venv")

CREATE_USER = 'mutation { createUser(data: {name: "Ada", email: "ada@example.org", role: TEACHER}) { id } }'


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with the components as they are in a fresh clone, where nothing is left running."""
    for name in ("auth", "grouping"):
        shutil.copytree(PERSES / name, tmp_path / name, ignore=LEFT_OUT)
        remember_port(tmp_path / name, tmp_path / ".state/byron")
    yield tmp_path
    byron_admin("down", directory=tmp_path)
    wait_for(lambda: not processes_of(tmp_path), "all processes to end")


def status(place: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        byron_admin("component", "status", "--json", directory=place, check=False).stdout
    )
    return found


def test_two_components_come_up_talk_survive_a_crash_and_go_down_without_a_trace(place):
    first = byron_admin("up", "-d", "auth", "grouping", directory=place).stdout
    second = byron_admin("up", "-d", "auth", "grouping/grouping", directory=place).stdout

    assert "broker of StudyCase: up" in first
    assert "auth: has no .env: it runs with DEBUG=true, as in development" in first
    rows = {row["component"]: row for row in status(place)}
    assert {(name, row["state"]) for name, row in rows.items()} == {("auth", "up"), ("grouping", "up")}
    assert {f"{name}: is up already at {row['url']}" for name, row in rows.items()} == set(second.splitlines())

    auth, grouping = System(place / "auth", place), System(place / "grouping", place)
    auth.port, grouping.port = rows["auth"]["port"], rows["grouping"]["port"]
    user = auth.graphql(CREATE_USER)["data"]["createUser"]
    known = 'query { getMember(id: "' + user["id"] + '") { id } }'
    wait_for(lambda: grouping.graphql(known).get("data") == {"getMember": user}, "Grouping to hear of the user")

    os.kill(rows["auth"]["pids"]["api"], signal.SIGKILL)
    wait_for(lambda: status(place)[0]["restarts"]["api"] == 1, "the end of the API to be noticed")
    wait_for(lambda: auth.get("/healthz"), "the API to answer again")
    log = byron_admin("component", "logs", "-n", "500", "auth", directory=place).stdout
    assert "api ended by SIGKILL: it starts again in 0.5 s" in log
    assert "consuming component=auth" in log

    down = byron_admin("down", directory=place).stdout.splitlines()

    assert down[-1] == "broker of StudyCase: stopped"
    assert processes_of(place) == []
    assert auth.get("/healthz") is None
    assert files_of(place / ".state/byron/process-engine") == ["ports.json"]
    assert byron_admin("down", directory=place).stdout == "byron: nothing was running\n"


def test_a_schema_with_problems_is_shown_and_nothing_is_half_up(place):
    schema = place / "grouping/grouping/schema.yaml"
    schema.write_text(schema.read_text().replace('"String!"', "Strng", 1))

    built = byron_admin("component", "build", "grouping", directory=place, check=False)
    started = byron_admin("up", "-d", "auth", "grouping", directory=place, check=False)

    assert (built.returncode, started.returncode) == (1, 1)
    for finished in (built, started):
        [told] = [line for line in finished.stderr.splitlines() if "B012" in line]
        assert told.startswith("grouping/grouping/schema.yaml:")
        assert told.endswith('B012 unknown type "Strng"; did you mean "String"?')
        assert finished.stderr.count("CommandError") == 1
        assert "Traceback" not in finished.stderr
    assert processes_of(place) == []
