"""An API on MongoDB that loses its Cache, in each way that happens, and has it again without being restarted.

The server is a real one. What else the Sink does is in tests/faults/test_database.py.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import pytest

from tests.e2e.health import Students, make_students
from tests.mongodb import MongoServer, why_not, why_not_real
from tests.processes import freeze, system, wait_for

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(bool(why_not() or why_not_real()), reason=f"no MongoDB: {why_not() or why_not_real()}"),
    pytest.mark.skipif(find_spec("granian") is None, reason="granian is not installed: pip install '.[serve]'"),
]

#: Few enough to be used up by a test.
CONNECTIONS = 60


class StudentsOnMongo(Students):
    """The component on MongoDB, where each process tells its name."""

    server: MongoServer

    def fail(self, times: int, *commands: str, of: str, **how: Any) -> None:
        """Have the next of these commands fail for a process."""
        with self.server.client() as client:
            data = {"failCommands": commands, "appName": of, **how}
            client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)

    def is_away(self) -> bool:
        """Return whether the API says that its Cache is away; it may say nothing yet."""
        try:
            return self.code() == "CACHE_UNAVAILABLE"
        except TimeoutError:
            return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudentsOnMongo]:
    directory = tmp_path_factory.mktemp("health")
    project = make_students(directory)
    settings = ("--setParameter", "enableTestCommands=1", "--maxConns", str(CONNECTIONS))
    with (
        MongoServer(directory / "mongodb", settings=settings) as server,
        system(project, directory / "state", "Calisto") as processes,
    ):
        url = server.create_database("students")
        made = StudentsOnMongo(processes, server)
        (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={url}\n")
        processes.manage("migrate", "-v0")
        made.start(api=f"{url}?appName=api", sink=f"{url}?appName=sink")
        yield made


@pytest.fixture
def students(running: StudentsOnMongo) -> Iterator[StudentsOnMongo]:
    running.is_well()
    yield running
    print(running.api.output[-3000:], running.sink.output[-3000:])


def test_connections_that_are_closed_are_made_again(students: StudentsOnMongo) -> None:
    with students.asked_all_the_while() as codes:
        for number in range(10):
            wait_for(lambda: codes.count("OK") > 10 * number, "answers")  # noqa: B023
            # One more than what a read is sent again for.
            students.fail(6, "aggregate", of="api", closeConnection=True)

    assert set(codes) <= {"OK", "CACHE_UNAVAILABLE"}
    assert "CACHE_UNAVAILABLE" in codes
    students.is_well()


def test_a_connection_that_was_closed_once_costs_no_answer(students: StudentsOnMongo) -> None:
    for _ in range(5):
        students.fail(1, "aggregate", of="api", closeConnection=True)
        assert students.code() == "OK"


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_away_is_told_and_mutations_go_on(students: StudentsOnMongo, mode: Any) -> None:
    with students.asked_all_the_while() as codes:
        students.server.stop(mode)
        try:
            students.is_told_of()
            receipt = students.create(f"while it was away ({mode})")
            students.is_told_to_who_waits(receipt)
            students.sink.says("waiting component=students")
        finally:
            students.server.start()
        students.is_well()

    assert set(codes) == {"OK", "CACHE_UNAVAILABLE"}
    assert f"while it was away ({mode})" in students.names()


def test_a_primary_that_steps_down_is_told_and_another_one_is_found(students: StudentsOnMongo) -> None:
    from pymongo.errors import PyMongoError

    with students.asked_all_the_while() as codes:
        with students.server.client() as client, suppress(PyMongoError):
            client.admin.command("replSetStepDown", 8, force=True)
        wait_for(lambda: "CACHE_UNAVAILABLE" in codes, "the API to tell")
        students.create("while there was no primary")
        students.is_well()

    assert set(codes) == {"OK", "CACHE_UNAVAILABLE"}
    assert "while there was no primary" in students.names()
    assert "parked=1" not in students.sink.output


def test_a_server_without_a_connection_left_is_told_and_mutations_go_on(students: StudentsOnMongo) -> None:
    from pymongo.errors import PyMongoError

    hogs: list[Any] = []

    def fill() -> None:
        with suppress(PyMongoError):
            while len(hogs) <= CONNECTIONS:
                hogs.append(students.server.client(serverSelectionTimeoutMS=1000))
                hogs[-1].admin.command("ping")

    with students.server.client() as client:
        client.admin.command("ping")
        try:
            fill()
            # What ends lets others in; the API's own are ended, so that it has to come again.
            closing = {"failCommands": ["aggregate"], "appName": "api", "closeConnection": True}
            client.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=closing)
            for _ in range(12):
                students.code()
            fill()
            client.admin.command("configureFailPoint", "failCommand", mode="off")

            students.is_told_of()
            students.create("while it was full")
        finally:
            client.admin.command("configureFailPoint", "failCommand", mode="off")
            for hog in hogs:
                hog.close()
    students.is_well()
    assert "while it was full" in students.names()


def test_a_server_that_hangs_is_told_and_mutations_go_on(students: StudentsOnMongo) -> None:
    pid = students.server._process.pid
    freeze(pid)
    try:
        wait_for(lambda: students.ready() == 503, "the API not to be ready")
        students.create("while it was frozen")
        # Who asked on a connection that was there waits until the server counts as away.
        wait_for(students.is_away, "the API to tell")
    finally:
        os.kill(pid, signal.SIGCONT)
    students.is_well(interrupted=True)
    assert "while it was frozen" in students.names()
