"""Perses on a broker whose rights come from schema.yaml: each process has its role's credentials and no others."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from byron.broker.server import find_binary
from tests.e2e.test_perses import CREATE_SCHOOL, CREATE_USER, GET_MEMBER, GET_SCHOOL, GET_USER, LEFT_OUT, PERSES
from tests.processes import Running, System, environment, free_port, run, system, wait_for

pytestmark = pytest.mark.broker


class Guarded:
    """The broker, and the two projects."""

    def __init__(self, directory: Path, auth: System, grouping: System) -> None:
        self.directory, self.auth, self.grouping = directory, auth, grouping

    def role(self, name: str) -> dict[str, str]:
        """Return the environment of a role."""
        lines = (self.directory / f"{name}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def api(self, project: System, role: str) -> Running:
        running = project.start("runserver", "--noreload", str(project.port), **self.role(role))
        wait_for(lambda: project.get("/healthz"), "the API to answer")
        return running

    def sink(self, project: System, role: str) -> Running:
        return project.start("runsink", **self.role(role))

    def manage(self, project: System, role: str, *arguments: str) -> str:
        running = project.start(*arguments, **self.role(role))
        assert running.process.wait(60) == 0, running.output
        return running.output


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    perses, state, directory = tmp_path / "perses", tmp_path / "state", tmp_path / "nats"
    shutil.copytree(PERSES, perses, ignore=LEFT_OUT)
    for project in ("auth", "grouping"):
        shutil.copy(perses / project / ".env.example", perses / project / ".env")
    port = free_port()
    options = ["--listen", f"127.0.0.1:{port}", "--tls", "localhost", "-o", str(directory)]
    run(["-m", "byron", "infrastructure", "config", "-N", "StudyCase", "auth", "grouping", *options], perses, state)
    with open(tmp_path / "nats.log", "wb") as log:
        configuration = str(directory / "nats.conf")
        server = subprocess.Popen([str(find_binary()), "-c", configuration], stdout=log, stderr=log)
    try:
        with system(perses / "auth", state) as auth, system(perses / "grouping", state) as grouping:
            yield Guarded(directory, auth, grouping)
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait(10)


def ask(project: System, query: str, **variables: Any) -> Any:
    answer = project.graphql(query, **variables)
    if answer.get("errors"):
        return answer["errors"][0]["extensions"]["code"]
    [value] = answer["data"].values()
    return value


def prepare(guarded: Guarded) -> None:
    prepared = subprocess.run(
        [sys.executable, "-m", "byron", "infrastructure", "prepare", "-N", "StudyCase", "auth", "grouping"],
        cwd=guarded.auth.project.parent,
        env={**environment(guarded.auth.state), **guarded.role("admin")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert prepared.returncode == 0, prepared.stderr
    assert "consumer auth: prepared" in prepared.stdout


def test_everything_works_with_the_rights_of_its_role(guarded):
    prepare(guarded)
    guarded.api(guarded.auth, "auth-api")
    guarded.api(guarded.grouping, "grouping-api")
    sink = guarded.sink(guarded.auth, "auth-sink")
    sink.says("consuming component=auth")
    guarded.sink(guarded.grouping, "grouping-sink").says("consuming component=grouping")

    user = ask(guarded.auth, CREATE_USER)["id"]
    # The claim on the address.
    assert ask(guarded.auth, CREATE_USER) == "CONFLICT"
    wait_for(lambda: ask(guarded.grouping, GET_MEMBER, id=user), "the user to be in Grouping's Cache")
    school = ask(guarded.grouping, CREATE_SCHOOL, user=user)
    wait_for(lambda: ask(guarded.grouping, GET_SCHOOL, id=school["id"]) == school, "the school to be in the Cache")
    wait_for(lambda: ask(guarded.auth, GET_USER, id=user)["role"] == "COORDINATOR", "Auth to hear of the new role")

    # What is kept of an idempotency key, and read again.
    key = {"Idempotency-Key": "tried-twice"}
    again = CREATE_SCHOOL.replace("Analytical", "Tried twice")
    answers = []
    for _ in range(2):
        with guarded.grouping.request(again, headers=key, user=user) as response:
            answers.append(response.read())
    assert answers[0] == answers[1]
    assert b'"errors"' not in answers[0]

    # A receipt waits for the signal of the Sink.
    with guarded.grouping.request(CREATE_SCHOOL.replace("Analytical", "Difference"), user=user) as response:
        receipt = response.headers["Byron-Receipt"]
    query = '{ getSchools(name: "Difference") { nodes { name } } }'
    with guarded.grouping.request(query, headers={"Byron-After": receipt}) as response:
        assert b'"Difference"' in response.read()

    # A Sink that starts again looks for the event at its checkpoint, and a rebuild reads beside it.
    assert sink.stop() == 0
    guarded.sink(guarded.auth, "auth-sink").says("consuming component=auth")
    rebuilt = guarded.manage(guarded.auth, "auth-sink", "rebuildcache")
    assert "auth: 4 events applied" in rebuilt
    assert "no difference" in rebuilt
    assert "update.role" in guarded.manage(guarded.auth, "admin", "events")


def test_a_forged_event_is_a_permission_error_at_once(guarded):
    prepare(guarded)
    # Whoever got hold of Grouping's API, or configured Auth's wrongly.
    api = guarded.api(guarded.auth, "grouping-api")

    began = time.monotonic()
    assert ask(guarded.auth, CREATE_USER) == "FORBIDDEN_EVENT"

    assert time.monotonic() - began < 1.5
    api.says("code=FORBIDDEN_EVENT error=The broker's permissions do not allow publishing on 'studycase.")


def test_a_sink_says_what_it_may_not_do_and_who_can_change_that(guarded):
    sink = guarded.sink(guarded.auth, "auth-sink")
    sink.says("forbidden component=auth lane=auth error=The broker's permissions do not allow publishing on")
    sink.says("'JS.API.STREAM.CREATE.studycase'")
    sink.says("`byron infrastructure prepare`")
