"""`infrastructure reset` on a real component: nothing is left of its past once its Cache is built anew."""

from __future__ import annotations

import pytest

from tests.processes import byron_admin, system, wait_for

pytestmark = pytest.mark.broker

CREATE = 'mutation { createStudent(name: "Ada", course: "CS", ingress: 1) { id } }'


def test_after_a_reset_and_a_rebuild_the_system_begins_from_nothing(tmp_path):
    byron_admin("startcomponent", "students", directory=tmp_path)
    # The state of byron_admin in this folder.
    with system(tmp_path / "students", tmp_path / ".state", "Calisto") as students:
        students.serve()
        students.sink()
        first = students.graphql(CREATE)["data"]["createStudent"]
        wait_for(lambda: students.graphql("{ getStudents { id } }")["data"]["getStudents"] == [first], "the student")
        students.end_all("runserver")
        students.end_all("runsink")
        byron_admin("infrastructure", "down", "-N", "Calisto", directory=tmp_path)

        said = byron_admin("infrastructure", "reset", "-N", "Calisto", "--yes", directory=tmp_path).stdout

        assert "`python manage.py rebuildcache COMPONENT`" in said
        students.manage("rebuildcache", "students")
        students.serve()
        students.sink()
        assert students.graphql("{ getStudents { id } }")["data"] == {"getStudents": []}
        second = students.graphql(CREATE)["data"]["createStudent"]
        wait_for(lambda: students.graphql("{ getStudents { id } }")["data"]["getStudents"] == [second], "the student")
