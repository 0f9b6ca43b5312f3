"""`manage.py dev`: one terminal, reload, and nothing left behind."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest

from tests.processes import System, byron_admin, processes_of, system, wait_for

pytestmark = pytest.mark.broker


@pytest.fixture
def project(tmp_path) -> Iterator[System]:
    byron_admin("startcomponent", "students", directory=tmp_path)
    with system(tmp_path / "students", tmp_path / "state", "Calisto") as running:
        yield running


def test_it_runs_everything_and_leaves_nothing_behind(project, tmp_path):
    dev = project.start("dev", str(project.port))
    dev.says("GraphiQL: http://127.0.0.1:")
    dev.says("consuming component=students")
    create = 'mutation { createStudent(name: "Ada", course: "CS", ingress: 1) { id } }'
    made = project.graphql(create)["data"]["createStudent"]
    wait_for(lambda: project.graphql("{ getStudents { id } }")["data"]["getStudents"] == [made], "the student")
    assert any("nats-server" in command for command in processes_of(tmp_path))

    assert dev.stop(signal.SIGINT) == 0

    assert processes_of(tmp_path) == []
    # Once by Byron, and not by Django as well.
    assert "byron.access POST /graphql/ 200" in dev.output
    assert "HTTP/1.1" not in dev.output


def test_its_processes_end_with_it_even_when_it_is_killed(project, tmp_path):
    dev = project.start("dev", str(project.port))
    dev.says("GraphiQL: http://127.0.0.1:")
    dev.stop(signal.SIGKILL)

    def without_broker() -> list[str]:
        return [command for command in processes_of(tmp_path) if "nats-server" not in command]

    wait_for(lambda: not without_broker(), "the API and the Sink to end")


def test_a_change_of_the_schema_generates_migrates_and_restarts(project):
    dev = project.start("dev", str(project.port))
    dev.says("GraphiQL: http://127.0.0.1:")
    schema = project.project / "students/schema.yaml"
    text = schema.read_text()
    schema.write_text(
        text.replace(
            '{name: ingress, type: "Int!"}\n\n',
            '{name: ingress, type: "Int!"}\n        - {name: nick, type: String}\n\n',
            1,  # the type's attribute, not the command's parameter
        )
    )

    wait_for(lambda: b"nick: String" in (project.get("/schema.graphql") or b""), "the new attribute to be served")

    assert project.graphql("{ getStudents { nick } }") == {"data": {"getStudents": []}}


def test_a_function_that_lacks_a_new_parameter_is_named_and_mending_it_is_enough(project):
    dev = project.start("dev", str(project.port))
    dev.says("GraphiQL: http://127.0.0.1:")
    schema, function = project.project / "students/schema.yaml", "students/api/commands/create_student.py"
    schema.write_text(schema.read_text().replace('"Int!"}\n\n', '"Int!"}\n        - {name: nick, type: String}\n\n'))
    dev.says("createStudent of students cannot be called as schema.yaml declares it")
    dev.says("api ended with 1; it starts again with the next change")

    mended = (project.project / function).read_text().replace("ingress)", "ingress, nick)")
    (project.project / function).write_text(mended)

    wait_for(lambda: dev.output.count("GraphiQL: http") == 2, "the restart after the function was mended")


def test_a_schema_with_problems_is_shown_and_the_processes_go_on(project):
    dev = project.start("dev", str(project.port))
    dev.says("GraphiQL: http://127.0.0.1:")
    schema = project.project / "students/schema.yaml"
    text = schema.read_text()
    schema.write_text(text.replace('"Int!"', "Itn"))

    dev.says('B012 unknown type "Itn"; did you mean "Int"?')
    assert project.graphql("{ getStudents { id } }") == {"data": {"getStudents": []}}
    schema.write_text(text)
    wait_for(lambda: dev.output.count("GraphiQL: http") == 2, "the restart after the schema was mended")


def test_a_port_that_is_taken_is_an_error_before_anything_starts(project, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", project.port))
        taken.listen()
        finished = project.manage("dev", str(project.port), check=False)

    assert finished.returncode == 1
    assert f"Port {project.port} is taken by another process" in finished.stderr
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("address", ["http", "0", "70000", "127.0.0.1:x"])
def test_a_bad_address_is_refused(project, address):
    finished = project.manage("dev", address, check=False)

    assert f"'{address}' is not an address; give a port, or HOST:PORT." in finished.stderr
