"""A generated project with its Cache on MongoDB: API and Sink are processes of their own."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.mongodb import MongoServer, why_not
from tests.processes import byron_admin, run, system, wait_for

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no MongoDB: {why_not()}")

CREATE = 'mutation { createStudent(name: "NAME", course: "c", ingress: 1) { id } }'


def test_a_project_on_mongodb_goes_on_when_its_sink_is_killed_and_its_server_restarts(tmp_path: Path) -> None:
    byron_admin("startcomponent", "students", directory=tmp_path)
    project = tmp_path / "students"
    with MongoServer(tmp_path / "mongodb") as server:
        url = server.create_database("students")
        (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={url}\nBYRON_SINK_LANES=2\n")
        with system(project, tmp_path / "state", "Calisto") as running:
            running.serve()

            def names() -> list[str]:
                answer = running.graphql("{ getStudents { name } }")
                return sorted(each["name"] for each in (answer.get("data") or {}).get("getStudents") or [])

            sink = running.sink()
            running.graphql(CREATE.replace("NAME", "one"))
            wait_for(lambda: names() == ["one"], "the first student")

            sink.process.send_signal(signal.SIGKILL)
            sink.process.wait()
            running.graphql(CREATE.replace("NAME", "two"))
            sink = running.sink()
            wait_for(lambda: names() == ["one", "two"], "another Sink to go on")

            server.stop()
            assert running.graphql("{ getStudents { name } }")["errors"]
            server.start()
            running.graphql(CREATE.replace("NAME", "three"))
            wait_for(lambda: names() == ["one", "three", "two"], "API and Sink to go on after the server is back")
            assert sink.process.poll() is None

            with server.client() as client:
                client["students"]["students_student"].update_one({"name": "two"}, {"$set": {"name": "wrong"}})
            assert names() == ["one", "three", "wrong"]
            printed = running.manage("rebuildcache").stdout
            assert "students_student: 3 rows, -1 +1 rows" in printed
            assert names() == ["one", "three", "two"]
            running.graphql(CREATE.replace("NAME", "four"))
            wait_for(lambda: names() == ["four", "one", "three", "two"], "the Sink to go on after the rebuild")
            sink.process.send_signal(signal.SIGTERM)
            assert sink.process.wait(30) == 0


def test_a_project_s_own_tests_pass_on_mongodb_and_leave_no_database_behind(tmp_path: Path) -> None:
    byron_admin("startcomponent", "students", directory=tmp_path)
    project = tmp_path / "students"
    assert "component.survives(" in (project / "students/tests/test_students.py").read_text()
    with MongoServer(tmp_path / "mongodb") as server:
        (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={server.create_database('students')}\n")
        told = run(["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"], project, tmp_path / "state").stdout
        assert re.search(r"^\d+ passed in", told, re.MULTILINE), told
        with server.client() as client:
            assert [name for name in client.list_database_names() if "students" in name] == []
