"""Changes of a schema.yaml with rows in the Cache: what is kept, what is lost, and what `generate` says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from byron.codegen.project import create_project
from tests.postgres import PostgresServer, why_not
from tests.processes import run

SCHEMA = """\
name: School
namespace: Calisto
content:
  enums: [{name: Course, values: [CS, MATH]}]
  types:
    - name: Professor
      attributes: [{name: fullName, type: "String!"}]
    - name: Student
      attributes:
        - {name: name, type: "String!", unique: true}
        - {name: course, type: "Course!", index: true}
        - {name: ingress, type: "Int"}
        - {name: advisor, type: "Professor"}
        - {name: teachers, type: "[Professor!]!"}
  handlers:
    - {name: newStudent, event: new.student, apply: {create: Student}}
    - {name: newProfessor, event: new.professor, apply: {create: Professor}}
"""

ROWS = """
from school.models import Professor, Student
Professor.objects.using("school").create(id="p", full_name="Ada")
for name, ingress in (("Bob", 2020), ("Eve", None)):
    Student.objects.using("school").create(
        id=name, name=name, course="CS", ingress=ingress, advisor="p", teachers=["p"]
    )
"""


class Project:
    """A project with two students and a professor in its Cache."""

    def __init__(self, root: Path, state: Path) -> None:
        self.root, self._state = root, state

    def manage(self, *arguments: str, check: bool = True) -> Any:
        return run(["manage.py", *arguments], self.root, self._state, check=check)

    def change(self, *replacements: tuple[str, str]) -> None:
        """Change the schema; each text must be in it."""
        schema = self.root / "school/schema.yaml"
        text = schema.read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        schema.write_text(text)

    def rows(self, model: str) -> list[dict[str, Any]]:
        """Return a table's rows, by id."""
        code = (
            f"import json; from school import models; rows = models.{model}.objects.using('school').order_by('id'); "
            "print(json.dumps(list(rows.values())))"
        )
        return json.loads(self.manage("shell", "--no-imports", "-c", code).stdout)

    def migrations(self) -> list[str]:
        return sorted(path.stem for path in (self.root / "school/migrations").glob("0*.py"))

    def is_settled(self) -> bool:
        """Whether neither `generate` nor Django finds anything to be done."""
        settled = "up to date" in self.manage("generate", "--check").stdout
        return settled and "No changes" in self.manage("makemigrations", "--check", "--dry-run").stdout


@pytest.fixture(scope="session")
def postgres(tmp_path_factory) -> Iterator[PostgresServer]:
    if why_not():
        pytest.skip(f"no PostgreSQL: {why_not()}")
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


def made(tmp_path: Path, url: str = "") -> Project:
    schema = tmp_path / "schema.yaml"
    schema.write_text(SCHEMA)
    project = Project(create_project("school", tmp_path / "school", schema=schema), tmp_path / "state")
    if url:
        (project.root / ".env").write_text(f"DEBUG=true\nCACHE_URL={url}\n")
    project.manage("migrate", "-v0")
    project.manage("shell", "--no-imports", "-c", ROWS)
    return project


@pytest.fixture
def project(tmp_path) -> Project:
    return made(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def anywhere(request, tmp_path) -> Project:
    """The project on each engine."""
    if request.param == "sqlite":
        return made(tmp_path)
    return made(tmp_path, request.getfixturevalue("postgres").create_database("school"))


def test_what_is_renamed_keeps_its_rows_and_is_renamed_once(anywhere):
    anywhere.change(
        ("name: Professor\n", "name: Teacher\n      renamedFrom: Professor\n"),
        ("Professor}", "Teacher}"),
        ('"Professor"', '"Teacher"'),
        ('"[Professor!]!"', '"[Teacher!]!"'),
        ("name: advisor,", "name: mentor, renamedFrom: advisor,"),
        ("name: course,", "name: subject, renamedFrom: [topic, course],"),
    )

    printed = anywhere.manage("generate").stdout
    anywhere.manage("migrate", "-v0")

    assert "note" not in printed
    [student, _] = anywhere.rows("Student")
    assert (student["mentor_id"], student["subject"], student["teachers"]) == ("p", "CS", ["p"])
    assert anywhere.rows("Teacher") == [{"id": "p", "full_name": "Ada"}]
    assert len(anywhere.migrations()) == 2
    assert anywhere.is_settled()


def test_what_is_renamed_and_changed_at_once_keeps_its_rows_in_one_migration(anywhere):
    anywhere.change(
        ('name: ingress, type: "Int"', 'name: year, type: "Float", renamedFrom: ingress'),
        ('{name: fullName, type: "String!"}', '{name: name, type: "String", unique: true, renamedFrom: fullName}'),
    )

    anywhere.manage("generate")
    anywhere.manage("migrate", "-v0")

    assert [row["year"] for row in anywhere.rows("Student")] == [2020.0, None]
    assert anywhere.rows("Professor") == [{"id": "p", "name": "Ada"}]
    assert len(anywhere.migrations()) == 2
    assert anywhere.is_settled()


def test_a_new_database_gets_what_was_renamed_under_its_new_name(project):
    project.change(("name: course,", "name: subject, renamedFrom: course,"))
    project.manage("generate")
    for file in project.root.glob("*.sqlite3*"):
        file.unlink()

    project.manage("migrate", "-v0")

    assert project.rows("Student") == []
    assert project.is_settled()


def test_a_second_rename_follows_the_first(project):
    project.change(("name: course,", "name: subject, renamedFrom: course,"))
    project.manage("generate")
    project.change(("name: subject, renamedFrom: course,", "name: topic, renamedFrom: [subject, course],"))
    project.manage("generate")
    project.manage("migrate", "-v0")

    assert [row["topic"] for row in project.rows("Student")] == ["CS", "CS"]
    assert len(project.migrations()) == 3
