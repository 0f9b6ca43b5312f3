"""A PostgreSQL that is lost, and its standby: it only reads, and is then promoted. API and Sink know both addresses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from tests.e2e.health import Students, make_students
from tests.postgres import PostgresServer, StandbyServer, why_not
from tests.processes import system, wait_for

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(bool(why_not()), reason=f"no PostgreSQL: {why_not()}"),
    pytest.mark.skipif(find_spec("granian") is None, reason="granian is not installed: pip install '.[serve]'"),
]


class Pair:
    """Two servers, one the other's standby, and the component that has its Cache there."""

    def __init__(self, students: Students, primary: PostgresServer, standby: StandbyServer) -> None:
        self.students, self.primary, self.standby = students, primary, standby

    def prepare(self, lost: int) -> list[str]:
        """Return the students of the first server: five that the standby has too, and some that it lacks."""
        made = [f"before {number}" for number in range(5)]
        for name in made:
            self.students.create(name)
        wait_for(lambda: self.applied(self.standby) == made, "the standby to follow")
        self.standby.cut_off()
        for number in range(lost):
            made.append(f"lost {number}")
            self.students.create(made[-1])
        wait_for(lambda: self.applied(self.primary) == made, "the Sink to apply what will be lost")
        assert self.applied(self.standby) == made[:5]
        return made

    def applied(self, server: PostgresServer) -> list[str]:
        """Return the students that a server has, and what is parked there."""
        with psycopg.connect(server.url("students")) as connection:
            names = connection.execute("SELECT name FROM students_student ORDER BY id").fetchall()
            parked = connection.execute("SELECT error FROM byron_parked_event").fetchall()
        return [*(name for (name,) in names), *(f"parked: {error}" for (error,) in parked)]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    project = make_students(tmp_path)
    with ExitStack() as stack:
        primary = stack.enter_context(PostgresServer(tmp_path / "primary"))
        primary.create_database("students")
        standby = stack.enter_context(StandbyServer(tmp_path / "standby", primary))
        running = stack.enter_context(system(project, tmp_path / "state", "Calisto"))
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgres://{primary.user}:{primary.password}@{hosts}/students"
        (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={url}\n")
        running.manage("migrate", "-v0")
        students = Students(running, primary)
        students.start(api=url, sink=url)
        yield Pair(students, primary, standby)
        print(students.api.output[-3000:], students.sink.output[-3000:])


@pytest.mark.parametrize("lost", [0, 3])
def test_a_standby_is_read_and_once_promoted_has_every_event_once(pair: Pair, lost: int) -> None:
    """It may even lack the last that the lost one had: the log has it."""
    students, expected = pair.students, pair.prepare(lost)

    pair.primary.stop("immediate")
    wait_for(lambda: students.code() == "OK", "the standby to be read")
    expected.append("while it only read")
    students.create(expected[-1])
    students.sink.says("in a read-only transaction")
    assert sorted(students.names()) == sorted(expected[:5])

    pair.standby.promote()
    wait_for(lambda: pair.applied(pair.standby) == expected, "the Sink to go on by itself")
    assert sorted(students.names()) == sorted(expected)
    students.is_well()
    assert pair.applied(pair.standby)[: len(expected)] == expected


def test_what_a_standby_lacks_is_applied_though_no_event_comes(pair: Pair) -> None:
    expected = pair.prepare(lost=3)

    pair.primary.stop("immediate")
    pair.standby.promote()

    wait_for(lambda: pair.applied(pair.standby) == expected, "the Sink to look at its checkpoint")
