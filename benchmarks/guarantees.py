"""What a mutation's guarantees cost, side by side in one run: uniqueness, batches, receipts, keys, versions.

Prints one JSON line a measure, times in milliseconds. Everything is real: processes, nats-server, SQLite. `mutation` is
the one to compare with: one event, on the broker's disk when it is answered. `event to Cache` begins with that answer
and ends with that of a strict read; `visible` begins with the mutation.

    python benchmarks/guarantees.py [--rounds 300]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from hello import byron, free_port, report, running, wait_for_answer

CREATE = 'mutation($name: String!) { createStudent(name: $name, course: "c", ingress: 1) { id } }'
MOVE = "mutation($id: ID!, $course: String!) { moveStudent(id: $id, course: $course) { id } }"
MOVE_SEEN = """mutation($id: ID!, $course: String!, $version: ID!) {
    moveSeenStudent(id: $id, course: $course, version: $version) { version } }"""
VERSION = '{ getStudents(where: {name: {eq: "first"}}) { id version } }'
READ = '{ getStudents(where: {name: {eq: "%s"}}) { id } }'
SCHEMA = """
name: Students
namespace: Calisto
content:
  types: [{name: Student, attributes: [{name: name, type: "String!", index: true}, {name: course, type: "String!"},
    {name: ingress, type: "Int!"}]}, {name: Badge, attributes: [{name: name, type: "String!", unique: true}]}]
  commands:
    - name: createBadge
      type: mutation
      returnType: "Badge!"
      parameters: [{name: name, type: "String!"}]
      emit: {event: new.badge}
    - {name: createTwins, type: mutation, returnType: "Student!", parameters: [{name: name, type: "String!"}]}
    - {name: getStudents, type: query, returnType: "[Student!]!", read: {list: Student, filter: [name]}}
    - name: createStudent
      type: mutation
      returnType: "Student!"
      parameters: [{name: name, type: "String!"}, {name: course, type: "String!"}, {name: ingress, type: "Int!"}]
      emit: {event: new.student}
    - name: moveStudent
      type: mutation
      returnType: "Student!"
      parameters: [{name: id, type: "ID!"}, {name: course, type: "String!"}]
      emit: {event: student.moved, update: Student}
    - name: moveSeenStudent
      type: mutation
      version: true
      returnType: "Student!"
      parameters: [{name: id, type: "ID!"}, {name: course, type: "String!"}]
      emit: {event: student.moved, update: Student}
  handlers:
    - {name: newBadge, event: new.badge, apply: {create: Badge}}
    - {name: newStudent, event: new.student, apply: {create: Student}}
    - {name: studentMoved, event: student.moved, apply: {update: Student}}
"""
CREATE_TWINS = """
def create_twins(ctx, name):
    for number in range(2):
        student = ctx.db.Student(id=ctx.uuid(), name=f"{name} {number}", course="c", ingress=1)
        ctx.emit("new.student", student)
    return student
"""
BADGE = "mutation($name: String!) { createBadge(name: $name) { id } }"
TWINS = "mutation($name: String!) { createTwins(name: $name) { id } }"


class Client:
    """Asks on one connection that it keeps."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, query: str, headers: dict[str, str] | None = None, **variables: Any) -> tuple[dict[str, Any], str]:
        """Return an answer's data and its receipt."""
        body = json.dumps({"query": query, "variables": variables})
        self._connection.request("POST", "/graphql/", body, {"Content-Type": "application/json", **(headers or {})})
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        if "errors" in answer:
            raise SystemExit(f"unexpected: {answer}")
        return answer["data"], response.headers.get("Byron-Receipt", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="Measure each of them so often, in turns.")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="byron-bench-") as name:
        place = Path(name)
        environment = {**os.environ, "XDG_STATE_HOME": str(place / "state"), "PYTHONUNBUFFERED": "1"}
        (place / "schema.yaml").write_text(SCHEMA)
        byron("startcomponent", "students", "--schema", "schema.yaml", cwd=place, environment=environment)
        project = place / "students"
        (project / "students/api/commands/create_twins.py").write_text(CREATE_TWINS)
        try:
            measure(project, environment, rounds)
        finally:
            byron("infrastructure", "down", "-N", "Calisto", cwd=project, environment=environment)


def measure(project: Path, environment: dict[str, str], rounds: int) -> None:
    port = free_port()
    measures = (
        "query",
        "mutation",
        "mutation of a unique value",
        "mutation of two events",
        "mutation with a key",
        "the same again",
        "update",
        "update with version",
        "event to Cache",
        "visible by receipt",
        "visible by polling",
    )
    times: dict[str, list[float]] = {measure: [] for measure in measures}
    asked = 0
    with (
        running(project, environment, "serve", "--workers", "1", "--port", str(port)),
        running(project, environment, "runsink"),
    ):
        wait_for_answer(port)
        client = Client(port)
        # The first ones load code and make the log.
        _, receipt = client.ask(CREATE, {"Idempotency-Key": "first"}, name="first")
        client.ask(READ % "first", {"Byron-After": receipt, "Byron-Consistency": "strict"})
        for number in range(rounds):
            began = time.perf_counter()
            client.ask(READ % "first")
            times["query"].append(time.perf_counter() - began)

            began = time.perf_counter()
            _, receipt = client.ask(CREATE, name=f"a{number}")
            answered = time.perf_counter()
            times["mutation"].append(answered - began)
            data, _ = client.ask(READ % f"a{number}", {"Byron-After": receipt, "Byron-Consistency": "strict"})
            times["event to Cache"].append(time.perf_counter() - answered)
            times["visible by receipt"].append(time.perf_counter() - began)
            if len(data["getStudents"]) != 1:
                raise SystemExit("a strict read did not see its own write")

            for name, document in (("mutation of a unique value", BADGE), ("mutation of two events", TWINS)):
                began = time.perf_counter()
                client.ask(document, name=f"n{number}")
                times[name].append(time.perf_counter() - began)

            key = {"Idempotency-Key": f"key-{number}"}
            began = time.perf_counter()
            made = client.ask(CREATE, key, name=f"c{number}")
            times["mutation with a key"].append(time.perf_counter() - began)
            began = time.perf_counter()
            again = client.ask(CREATE, key, name=f"c{number}")
            times["the same again"].append(time.perf_counter() - began)
            if again != made:
                raise SystemExit("a repeated mutation was answered otherwise")

            after = {"Byron-After": receipt, "Byron-Consistency": "strict"}
            first = client.ask(VERSION, after)[0]["getStudents"][0]["id"]
            began = time.perf_counter()
            _, receipt = client.ask(MOVE, id=first, course=f"c{number}")
            times["update"].append(time.perf_counter() - began)
            after = {"Byron-After": receipt, "Byron-Consistency": "strict"}
            version = client.ask(VERSION, after)[0]["getStudents"][0]["version"]
            began = time.perf_counter()
            _, receipt = client.ask(MOVE_SEEN, id=first, course=f"d{number}", version=version)
            times["update with version"].append(time.perf_counter() - began)
            client.ask(VERSION, {"Byron-After": receipt, "Byron-Consistency": "strict"})

            began = time.perf_counter()
            client.ask(CREATE, name=f"b{number}")
            while not client.ask(READ % f"b{number}")[0]["getStudents"]:
                asked += 1
            times["visible by polling"].append(time.perf_counter() - began)
    for name, seconds in times.items():
        report(name, seconds, **({"queries_in_vain": asked} if name == "visible by polling" else {}))


if __name__ == "__main__":
    main()
