"""An API on PostgreSQL that loses its Cache, in each way that happens, and has it again without being restarted.

API and Sink run as the users that `cacheroles` made. What else the Sink does is in tests/faults/test_database.py.
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
from tests.postgres import PostgresServer, why_not
from tests.processes import freeze, system, wait_for

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(bool(why_not()), reason=f"no PostgreSQL: {why_not()}"),
    pytest.mark.skipif(find_spec("granian") is None, reason="granian is not installed: pip install '.[serve]'"),
]

#: Few enough to be used up by a test.
CONNECTIONS = 24


class StudentsOnPostgres(Students):
    """The component on PostgreSQL, where each process has a user of its own."""

    server: PostgresServer

    def url(self, user: str) -> str:
        return f"postgres://{user}:{user}@127.0.0.1:{self.server.port}/students"

    def administer(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.server.url("students"), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def terminate(self, *users: str) -> None:
        listed = ", ".join(f"'{user}'" for user in users)
        self.administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ({listed})")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StudentsOnPostgres]:
    directory = tmp_path_factory.mktemp("health")
    project = make_students(directory)
    with PostgresServer(directory / "postgres") as server, system(project, directory / "state", "Calisto") as processes:
        url = server.create_database("students")
        made = StudentsOnPostgres(processes, server)
        made.administer(f"ALTER SYSTEM SET max_connections = {CONNECTIONS}")
        server.restart()
        secrets = "CACHE_API_PASSWORD=students_api\nCACHE_SINK_PASSWORD=students_sink\n"
        (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={url}\n{secrets}")
        processes.manage("migrate", "-v0")
        processes.manage("cacheroles", "--apply")
        made.start(api=made.url("students_api"), sink=made.url("students_sink"))
        yield made


@pytest.fixture
def students(running: StudentsOnPostgres) -> Iterator[StudentsOnPostgres]:
    running.is_well()
    yield running
    print(running.api.output[-3000:], running.sink.output[-3000:])


def test_connections_that_are_terminated_are_made_again(students: StudentsOnPostgres) -> None:
    with students.asked_all_the_while() as codes:
        for number in range(10):
            wait_for(lambda: codes.count("OK") > 20 * number, "answers")  # noqa: B023
            students.terminate("students_api")

    assert set(codes) <= {"OK", "CACHE_UNAVAILABLE"}
    students.is_well()


def test_connections_that_were_idle_when_they_were_terminated_cost_no_answer(students: StudentsOnPostgres) -> None:
    students.terminate("students_api")

    assert [students.code() for _ in range(12)] == ["OK"] * 12


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_away_is_told_and_mutations_go_on(students: Students, mode: Any) -> None:
    with students.asked_all_the_while() as codes:
        students.server.stop(mode)
        try:
            students.is_told_of()
            receipt = students.create(f"while it was away ({mode})")
            students.is_told_to_who_waits(receipt)
        finally:
            students.server.start()
        students.is_well()

    assert set(codes) == {"OK", "CACHE_UNAVAILABLE"}
    assert f"while it was away ({mode})" in students.names()


def test_a_server_without_a_connection_left_is_told_and_mutations_go_on(students: StudentsOnPostgres) -> None:
    import psycopg

    hogs: list[Any] = []
    try:
        # What ends lets the others in; the API's own are ended, so that it has to come again.
        students.terminate("students_api", "students_sink")
        with suppress(psycopg.OperationalError):
            while len(hogs) <= CONNECTIONS:
                hogs.append(psycopg.connect(students.url("students_sink"), autocommit=True))
        assert len(hogs) <= CONNECTIONS
        students.terminate("students_api")
        with suppress(psycopg.OperationalError):
            while len(hogs) <= CONNECTIONS:
                hogs.append(psycopg.connect(students.url("students_sink"), autocommit=True))

        students.is_told_of()
        students.create("while it was full")
    finally:
        for hog in hogs:
            hog.close()
    students.is_well()
    assert "while it was full" in students.names()


def test_a_server_that_accepts_connections_and_says_nothing_is_told(students: StudentsOnPostgres) -> None:
    students.terminate("students_api")
    server = int((students.server.data / "postmaster.pid").read_text().split()[0])
    freeze(server)
    try:
        students.is_told_of()
        students.create("while it was frozen")
    finally:
        os.kill(server, signal.SIGCONT)
    students.is_well()
    assert "while it was frozen" in students.names()


def test_a_server_that_only_reads_for_a_while_is_read_and_the_sink_waits(students: StudentsOnPostgres) -> None:
    students.administer("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        with students.asked_all_the_while() as codes:
            students.create("while it only read")
            students.sink.says("read-only transaction")
            assert "while it only read" not in students.names()
            assert students.ready() == 200
    finally:
        students.administer("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
    students.is_well()

    assert set(codes) == {"OK"}
    assert "while it only read" in students.names()
    assert "parked=1" not in students.sink.output


def test_the_owner_rebuilds_the_cache_and_the_users_keep_their_rights(students: StudentsOnPostgres) -> None:
    before = students.names()

    assert "no difference" in students.system.manage("rebuildcache").stdout

    assert students.names() == before
    students.is_well()
    assert "nothing to change" in students.system.manage("cacheroles").stdout
