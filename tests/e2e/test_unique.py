"""`unique: true` under races: real API processes, a real broker, and requests at the same moment."""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from typing import Any, TypeVar

import pytest

from tests.processes import Running, System, byron_admin, free_port, system, wait_for

pytestmark = pytest.mark.broker

T = TypeVar("T")

#: How often each race is run; RACE_ROUNDS=100 for the long run.
ROUNDS = int(os.environ.get("RACE_ROUNDS", "10"))
RACERS = 50
PROCESSES = 3

SCHEMA = """
name: Students
namespace: Races
content:
  types:
    - name: Student
      attributes:
        - {name: name, type: "String!", unique: true}
        - {name: course, type: "String!"}
  commands:
    - name: createStudent
      type: mutation
      returnType: "Student!"
      parameters: [{name: name, type: "String!"}, {name: course, type: "String!"}]
      %s
    - name: renameStudent
      type: mutation
      returnType: "Student!"
      parameters: [{name: id, type: "ID!"}, {name: name, type: "String!"}]
      emit: {event: student.renamed, update: Student}
    - name: removeStudent
      type: mutation
      returnType: "Student!"
      parameters: [{name: id, type: "ID!"}]
      emit: {event: student.gone, delete: Student}
    - name: getStudents
      type: query
      returnType: "[Student!]!"
      read: {list: Student, order: [name], limit: 1000}
  handlers:
    - {name: newStudent, event: new.student, apply: {create: Student}}
    - {name: studentRenamed, event: student.renamed, apply: {update: Student}}
    - {name: studentGone, event: student.gone, apply: {delete: Student}}
"""
CREATE = 'mutation($name: String!) { createStudent(name: $name, course: "CS") { id } }'
RENAME = "mutation($id: ID!, $name: String!) { renameStudent(id: $id, name: $name) { id } }"
REMOVE = "mutation($id: ID!) { removeStudent(id: $id) { id } }"


class Races:
    """A component with several API processes."""

    def __init__(self, running: System) -> None:
        self.system = running
        self._ports: list[int] = []

    def serve(self) -> None:
        self.system.serve()
        self._ports = [self.system.port, *(free_port() for _ in range(PROCESSES - 1))]
        for port in self._ports[1:]:
            started: Running = self.system.start("runserver", "--noreload", str(port))
            wait_for(lambda port=port, started=started: self._answers(port, started), "another API to answer")

    @staticmethod
    def _answers(port: int, started: Running) -> bool:
        assert started.process.poll() is None, started.output
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                return True
        except OSError:
            return False

    def configure(self, line: str) -> None:
        settings = self.system.project / "config" / "settings.py"
        settings.write_text(f"{settings.read_text()}\n{line}\n")

    def post(self, document: str, port: int = 0, key: str = "", **variables: Any) -> bytes:
        """Run a document, under an Idempotency-Key if there is one, and return the answer's body."""
        body = json.dumps({"query": document, "variables": variables}).encode()
        url = f"http://127.0.0.1:{port or self.system.port}/graphql/"
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as response:
            return bytes(response.read())

    def ask(self, document: str, port: int = 0, **variables: Any) -> dict[str, Any]:
        """Run a document and return the answer, with `code` for what it was refused with, if it was."""
        answer: dict[str, Any] = json.loads(self.post(document, port, **variables))
        return answer | {"code": answer["errors"][0]["extensions"]["code"] if "errors" in answer else ""}

    def race(self, name: str) -> Counter[str]:
        """Create one student many times at the same moment, and return how often it came to what."""
        return Counter(self.at_once(lambda port: str(self.ask(CREATE, port, name=name)["code"])))

    def at_once(self, ask: Callable[[int], T]) -> list[T]:
        """Ask many times at the same moment, the processes in turns."""
        start = threading.Barrier(RACERS)

        def run(port: int) -> T:
            start.wait(30)
            return ask(port)

        with ThreadPoolExecutor(RACERS) as pool:
            ports = [port for port, _ in zip(cycle(self._ports), range(RACERS), strict=False)]
            return list(pool.map(run, ports))

    def names(self) -> list[str]:
        answer = self.ask("{ getStudents { name } }")
        return [student["name"] for student in answer["data"]["getStudents"]]

    def events(self) -> int:
        return self.system.manage("events", "--last", "1000").stdout.count("new.student")


@pytest.fixture
def make(tmp_path) -> Iterator[Callable[[str], Races]]:
    """Make the component, with its createStudent declared or written."""
    with system(tmp_path / "students", tmp_path / "state", "Races") as running:

        def made(emit: str = "emit: {event: new.student}") -> Races:
            schema = tmp_path / "schema.yaml"
            schema.write_text(SCHEMA % emit)
            byron_admin("startcomponent", "students", "--schema", str(schema), directory=tmp_path)
            return Races(running)

        yield made


@pytest.mark.parametrize("emit", ["emit: {event: new.student}", ""], ids=["declared", "generated function"])
def test_of_fifty_who_create_one_student_at_once_one_does(make, emit):
    races = make(emit)
    races.serve()
    races.system.sink()
    for number in range(ROUNDS):
        assert races.race(f"student {number:03}") == {"": 1, "CONFLICT": RACERS - 1}

    expected = [f"student {number:03}" for number in range(ROUNDS)]
    wait_for(lambda: races.names() == expected, "the Cache to have each student once")
    assert races.events() == ROUNDS


def test_the_same_holds_while_the_sink_is_stopped(make):
    races = make()
    # A hundred rounds take longer than the Sink may be away by default.
    races.configure("BYRON_CLAIM_SECONDS = 900.0")
    races.serve()
    for number in range(ROUNDS):
        assert races.race(f"student {number:03}") == {"": 1, "CONFLICT": RACERS - 1}

    assert races.names() == []
    races.system.sink()
    wait_for(lambda: len(races.names()) == ROUNDS, "the Sink to catch up")
    assert races.events() == ROUNDS
    assert races.race("student 000") == {"CONFLICT": RACERS}


def test_what_a_rename_or_a_delete_frees_can_be_had_at_once(make):
    races = make()
    races.serve()
    races.system.sink()
    for number in range(5):
        first = races.ask(CREATE, name="Ada")["data"]["createStudent"]["id"]
        wait_for(lambda: races.names() == ["Ada"], "the student")
        assert races.ask(CREATE, name="Ada")["code"] == "CONFLICT"
        assert races.ask(RENAME, id=first, name=f"Jane {number}")["code"] == ""
        wait_for(lambda number=number: races.names() == [f"Jane {number}"], "the rename")
        assert races.race("Ada") == {"": 1, "CONFLICT": RACERS - 1}
        wait_for(lambda number=number: races.names() == ["Ada", f"Jane {number}"], "the second student")
        for student in races.ask("{ getStudents { id } }")["data"]["getStudents"]:
            assert races.ask(REMOVE, id=student["id"])["code"] == ""
        wait_for(lambda: races.names() == [], "both to be gone")


def test_a_sink_that_is_away_for_too_long_makes_mutations_refused_until_it_is_back(make):
    races = make()
    races.configure("BYRON_CLAIM_SECONDS = 12.0")
    races.serve()
    assert races.ask(CREATE, name="first")["code"] == ""
    names = (f"student {number}" for number in range(10**6))
    wait_for(lambda: races.ask(CREATE, name=next(names))["code"] == "CACHE_BEHIND", "a refusal")

    races.system.sink()
    wait_for(lambda: races.ask(CREATE, name="last")["code"] == "", "the Sink to catch up")
    wait_for(lambda: "last" in races.names(), "the last student")
