"""A component whose Cache gets lost and comes back, asked all the while: what tests on each server share."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import Running, System, byron_admin, wait_for
from tests.servers import DatabaseServer

_LISTING_2 = Path(__file__).parent.parent / "schema" / "listings" / "listing_2.yaml"

#: A mutation that asks the Cache for nothing.
_CREATE_STUDENT = """def create_student(ctx, name, course, ingress):
    student = ctx.db.Student(id=ctx.uuid(), name=name, course=course, ingress=ingress)
    ctx.emit("new.student", student)
    return student
"""


def make_students(directory: Path) -> Path:
    """Generate the project."""
    byron_admin("startcomponent", "students", "--schema", str(_LISTING_2), directory=directory)
    project = directory / "students"
    (project / "students/api/commands/create_student.py").write_text(_CREATE_STUDENT)
    return project


class Students:
    """The running component, and the server that it depends on."""

    def __init__(self, running: System, server: DatabaseServer) -> None:
        self.system, self.server = running, server
        self.sink: Running
        self._read = 0
        self.api: Running

    def start(self, *, api: str, sink: str) -> None:
        """Start API and Sink, each with a CACHE_URL of its own."""
        self.api = self.system.start("serve", "--port", str(self.system.port), "--workers", "1", CACHE_URL=api)
        self.api.says("serving at ")
        self.sink = self.system.start("runsink", CACHE_URL=sink)
        self.sink.says("consuming component=")

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

    def is_well(self, *, interrupted: bool = False) -> None:
        """Wait until every thread of the API answers, and the Sink applies.

        Where a command was interrupted, the API tells at what; otherwise it knows what happened.
        """
        wait_for(lambda: all(self.code() == "OK" for _ in range(12)), "queries to be answered")
        wait_for(lambda: self.ready() == 200, "the API to be ready")
        name = f"after {len(self.names())}"
        self.create(name)
        wait_for(lambda: name in self.names(), "the Sink to apply an event")
        assert self.api.process.poll() is None
        assert self.sink.process.poll() is None
        output = self.api.output
        assert interrupted or "Traceback" not in output[self._read :]
        self._read = len(output)

    def is_told_of(self) -> None:
        """See that the API says that its Cache is away, and lives."""
        assert self.code() == "CACHE_UNAVAILABLE"
        wait_for(lambda: self.ready() == 503, "the API not to be ready")
        assert self.system.get("/healthz") == b'{"status": "ok"}'

    def is_told_to_who_waits(self, receipt: str) -> None:
        """See that a query that waits for a mutation is told as well."""
        with pytest.raises(urllib.error.HTTPError) as caught:
            self.system.request("{ getStudents { name } }", headers={"Byron-After": receipt})
        code = json.loads(caught.value.read())["errors"][0]["extensions"]["code"]
        assert (caught.value.code, code) == (503, "CACHE_UNAVAILABLE")

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
