"""An API on PostgreSQL that loses its Cache, in each way that happens, and has it again without being restarted.

API and Sink run as the users that `cacheroles` made. What else the Sink does is in tests/faults/test_database.py.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PostgresServer, why_not
from tests.processes import Running, System, byron_admin, system, wait_for

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(bool(why_not()), reason=f"no PostgreSQL: {why_not()}"),
    pytest.mark.skipif(find_spec("granian") is None, reason="granian is not installed: pip install '.[serve]'"),
]
LISTING_2 = Path(__file__).parent.parent / "schema" / "listings" / "listing_2.yaml"

#: A mutation that asks the Cache for nothing.
CREATE_STUDENT = """def create_student(ctx, name, course, ingress):
    student = ctx.db.Student(id=ctx.uuid(), name=name, course=course, ingress=ingress)
    ctx.emit("new.student", student)
    return student
"""
#: Few enough to be used up by a test.
CONNECTIONS = 24


class Students:
    """The running component, and the server that it depends on."""

    def __init__(self, running: System, server: PostgresServer) -> None:
        self.system, self.server = running, server
        self.sink: Running
        self.api: Running

    def url(self, user: str) -> str:
        return f"postgres://{user}:{user}@127.0.0.1:{self.server.port}/students"

    def code(self) -> str:
        """Return what a query came to: OK, or the error's code."""
        answer = self.system.graphql("{ getStudents { name } }")
        return str(answer["errors"][0]["extensions"]["code"]) if "errors" in answer else "OK"

    def names(self) -> set[str]:
        answer = self.system.graphql("{ getStudents { name } }")
        return {each["name"] for each in (answer["data"] or {}).get("getStudents", ())} if answer["data"] else set()

    def ready(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.system.port}/readyz", timeout=5) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    def create(self, name: str) -> str:
        """Create a student and return the receipt: mutations go on, whatever the Cache does."""
        mutation = f'mutation {{ createStudent(name: "{name}", course: "c", ingress: 1) {{ name }} }}'
        answer = self.system.graphql(mutation)
        assert answer.get("data") == {"createStudent": {"name": name}}, answer
        return str(answer["extensions"]["byron"]["receipt"])

    def is_well(self) -> None:
        """Wait until every thread of the API answers, and the Sink applies."""
        wait_for(lambda: all(self.code() == "OK" for _ in range(12)), "queries to be answered")
        wait_for(lambda: self.ready() == 200, "the API to be ready")
        name = f"after {len(self.names())}"
        self.create(name)
        wait_for(lambda: name in self.names(), "the Sink to apply an event")
        assert self.api.process.poll() is None
        assert self.sink.process.poll() is None
        assert "Traceback" not in self.api.output

    def administer(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.server.url("students"), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def terminate(self, *users: str) -> None:
        listed = ", ".join(f"'{user}'" for user in users)
        self.administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IN ({listed})")

    @contextmanager
    def asked_all_the_while(self) -> Iterator[list[str]]:
        """Ask on several threads; gives the codes of the answers so far."""
        codes: list[str] = []
        end = threading.Event()

        def ask() -> None:
            while not end.is_set():
                try:
                    codes.append(self.code())
                except Exception as error:
                    codes.append(repr(error))

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            yield codes
        finally:
            end.set()
            for thread in threads:
                thread.join()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Students]:
    directory = tmp_path_factory.mktemp("health")
    byron_admin("startcomponent", "students", "--schema", str(LISTING_2), directory=directory)
    project = directory / "students"
    (project / "students/api/commands/create_student.py").write_text(CREATE_STUDENT)
    with PostgresServer(directory / "postgres") as server, system(project, directory / "state", "Calisto") as processes:
        url = server.create_database("students")
        made = Students(processes, server)
        made.administer(f"ALTER SYSTEM SET max_connections = {CONNECTIONS}")
        server.restart()
        secrets = "CACHE_API_PASSWORD=students_api\nCACHE_SINK_PASSWORD=students_sink\n"
        (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={url}\n{secrets}")
        processes.manage("migrate", "-v0")
        processes.manage("cacheroles", "--apply")
        variables = {"CACHE_URL": made.url("students_api")}
        made.api = processes.start("serve", "--port", str(processes.port), "--workers", "1", **variables)
        made.api.says("serving at ")
        made.sink = processes.start("runsink", CACHE_URL=made.url("students_sink"))
        made.sink.says("consuming component=")
        yield made


@pytest.fixture
def students(running: Students) -> Iterator[Students]:
    running.is_well()
    yield running
    print(running.api.output[-3000:], running.sink.output[-3000:])


def test_connections_that_are_terminated_are_made_again(students: Students) -> None:
    with students.asked_all_the_while() as codes:
        for number in range(10):
            wait_for(lambda: codes.count("OK") > 20 * number, "answers")  # noqa: B023
            students.terminate("students_api")

    assert set(codes) <= {"OK", "CACHE_UNAVAILABLE"}
    students.is_well()


def test_connections_that_were_idle_when_they_were_terminated_cost_no_answer(students: Students) -> None:
    students.terminate("students_api")

    assert [students.code() for _ in range(12)] == ["OK"] * 12


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_away_is_told_and_mutations_go_on(students: Students, mode: Any) -> None:
    with students.asked_all_the_while() as codes:
        students.server.stop(mode)
        try:
            assert students.code() == "CACHE_UNAVAILABLE"
            wait_for(lambda: students.ready() == 503, "the API not to be ready")
            assert students.system.get("/healthz") == b'{"status": "ok"}'
            receipt = students.create(f"while it was away ({mode})")
            with pytest.raises(urllib.error.HTTPError) as caught:
                students.system.request("{ getStudents { name } }", headers={"Byron-After": receipt})
            assert (caught.value.code, json.loads(caught.value.read())["errors"][0]["extensions"]["code"]) == (
                503,
                "CACHE_UNAVAILABLE",
            )
        finally:
            students.server.start()
        students.is_well()

    assert set(codes) == {"OK", "CACHE_UNAVAILABLE"}
    assert f"while it was away ({mode})" in students.names()


def test_a_server_without_a_connection_left_is_told_and_mutations_go_on(students: Students) -> None:
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

        assert students.code() == "CACHE_UNAVAILABLE"
        wait_for(lambda: students.ready() == 503, "the API not to be ready")
        students.create("while it was full")
    finally:
        for hog in hogs:
            hog.close()
    students.is_well()
    assert "while it was full" in students.names()


def test_a_server_that_accepts_connections_and_says_nothing_is_told(students: Students) -> None:
    students.terminate("students_api")
    server = int((students.server.data / "postmaster.pid").read_text().split()[0])
    os.kill(server, signal.SIGSTOP)
    try:
        assert students.code() == "CACHE_UNAVAILABLE"
        wait_for(lambda: students.ready() == 503, "the API not to be ready")
        students.create("while it was frozen")
    finally:
        os.kill(server, signal.SIGCONT)
    students.is_well()
    assert "while it was frozen" in students.names()


def test_a_server_that_only_reads_for_a_while_is_read_and_the_sink_waits(students: Students) -> None:
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


def test_the_owner_rebuilds_the_cache_and_the_users_keep_their_rights(students: Students) -> None:
    before = students.names()

    assert "no difference" in students.system.manage("rebuildcache").stdout

    assert students.names() == before
    students.is_well()
    assert "nothing to change" in students.system.manage("cacheroles").stdout
