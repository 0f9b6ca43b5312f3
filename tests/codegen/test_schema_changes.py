"""Changes of a schema.yaml with rows in the Cache: what is kept, what is lost, and what `generate` says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.state import ModelState, ProjectState

from byron.codegen.consequences import Consequences
from byron.codegen.fields import model_fields
from byron.codegen.migrations import EmptyValues
from byron.codegen.project import create_project
from byron.codegen.renames import apply_renames
from byron.schema.reader import parse_component
from tests import mongodb, postgres
from tests.processes import run, system

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


REBUILD = (
    "The log keeps everything: after `manage.py migrate`, `manage.py rebuildcache school` builds the Cache anew from "
    "it while API and Sink go on."
)
EMPTY = (
    " If the migration fails: stop the Sinks, `manage.py flush --database school`, migrate, and start them again; they "
    "fill the Cache from the log."
)
PARKED = (
    "cannot be applied any more; a rebuild parks them: new.student (newStudent). If there are any, keep the attribute "
    "optional and as it was, or handle them in Python, without a declaration under events:."
)

NEW_DEFAULT = (
    "Student.ingress: its default changes from 1999 to 2000. Rows that are there keep what they have; events in the "
    "log that lack it mean the new one, and a rebuild stores that."
)

#: A default of each kind of type, as schema.yaml has it.
DEFAULTS = {
    "ID": "$x",
    "String": '""',
    "Int": "0",
    "Float": "1.5",
    "Boolean": "true",
    "DateTime": "2024-02-29T14:30:00+02:00",
    "Date": "2024-02-29",
    "Time": "12:30:00",
    "Decimal": "'12.50'",
    "UUID": "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f",
    "JSON": "{$a: [1, ~]}",
    "Course": "MATH",
    "Professor": "p",
}

CREATE = """\
  commands:
    - name: createProfessor
      type: mutation
      returnType: "Professor!"
      parameters: [{name: fullName, type: "String!"}]
      emit: {event: new.professor}
"""
OLD_NAME = '{name: legalName, type: "String!", renamedFrom: fullName}]\n    - name: S'


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
            "print(json.dumps(list(rows.values()), default=str))"
        )
        return json.loads(self.manage("shell", "--no-imports", "-c", code).stdout)

    def migrations(self) -> list[str]:
        return sorted(path.stem for path in (self.root / "school/migrations").glob("0*.py"))

    def is_settled(self) -> bool:
        """Whether neither `generate` nor Django finds anything to be done."""
        settled = "up to date" in self.manage("generate", "--check").stdout
        return settled and "No changes" in self.manage("makemigrations", "--check", "--dry-run").stdout


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory) -> Iterator[postgres.PostgresServer]:
    if reason := postgres.why_not():
        pytest.skip(f"no PostgreSQL: {reason}")
    with postgres.PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def mongo(tmp_path_factory) -> Iterator[mongodb.MongoServer]:
    if reason := mongodb.why_not():
        pytest.skip(f"no MongoDB: {reason}")
    with mongodb.MongoServer(tmp_path_factory.mktemp("mongodb")) as server:
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


@pytest.fixture(params=["sqlite", "postgresql", "mongo"])
def anywhere(request, tmp_path) -> Project:
    """The project on each engine."""
    if request.param == "sqlite":
        return made(tmp_path)
    return made(tmp_path, request.getfixturevalue(request.param).create_database("school"))


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


def test_what_a_migration_cannot_fill_is_said_when_it_is_made_and_when_it_is_applied(anywhere):
    anywhere.change(
        ('name: ingress, type: "Int"}', 'name: ingress, type: "Int"}\n        - {name: homeTown, type: "String!"}'),
        (
            "  handlers:",
            '  commands:\n    - {name: changeName, type: mutation, returnType: "Student!", version: true, '
            'parameters: [{name: id, type: "ID!"}], emits: []}\n  handlers:',
        ),
    )

    checked = anywhere.manage("generate", "--check", check=False)
    assert checked.returncode == 1
    assert len(anywhere.migrations()) == 1
    printed = anywhere.manage("generate").stdout
    applied = anywhere.manage("migrate", "-v0")

    for output in (checked.stdout, printed):
        assert "note Student.homeTown: rows that are there get '' until `manage.py rebuildcache school`." in output
        assert f"note Student.homeTown: events in the log that lack it {PARKED}" in output
        assert "note Student.version: rows that are there get version 0, and changes that compare it" in output
        assert f"note {REBUILD}\n" in output
    assert (
        "Rows of the Cache school have a stand-in for Student.home_town, Student.version. Fill them from the log, "
        "while API and Sink go on: manage.py rebuildcache school"
    ) in applied.stderr
    assert [row["home_town"] for row in anywhere.rows("Student")] == ["", ""]


def test_a_migration_fills_rows_with_defaults_of_every_type(anywhere):
    anywhere.change(
        (
            '{name: ingress, type: "Int"}',
            '{name: ingress, type: "Int!", default: 1999}'
            + "".join(
                f'\n        - {{name: new{kind}, type: "{kind}!", default: {default}}}'
                for kind, default in DEFAULTS.items()
            )
            + '\n        - {name: marks, type: "[Decimal!]!", default: ["1.50", 2]}'
            + '\n        - {name: note, type: "String", default: none yet}',
        ),
    )

    assert "note Student.ingress: rows without a value get its default, 1999;" in anywhere.manage("generate").stdout
    applied = anywhere.manage("migrate", "-v0")

    assert "stand-in" not in applied.stderr
    assert [row["ingress"] for row in anywhere.rows("Student")] == [2020, 1999]
    code = (
        "from school.models import Student; row = Student.objects.using('school').first(); "
        "print(repr({field.attname: getattr(row, field.attname) for field in row._meta.fields}))"
    )
    printed = anywhere.manage("shell", "--no-imports", "-c", code).stdout
    for value in (
        "'new_id': '$x'", "'new_string': ''", "'new_int': 0", "'new_float': 1.5", "'new_boolean': True",
        "'new_date_time': datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc)",
        "'new_date': datetime.date(2024, 2, 29)", "'new_time': datetime.time(12, 30)",
        "'new_decimal': Decimal('12.50')", "'new_uuid': UUID('0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f')",
        "'new_json': {'$a': [1, None]}", "'new_course': 'MATH'", "'new_professor_id': 'p'",
        "'marks': [Decimal('1.50'), Decimal('2')]", "'note': 'none yet'",
    ):  # fmt: skip
        assert value in printed
    assert anywhere.is_settled()

    anywhere.change(("default: 1999", "default: 2000"))
    assert f"note {NEW_DEFAULT}" in anywhere.manage("generate").stdout
    anywhere.manage("migrate", "-v0")
    assert [row["ingress"] for row in anywhere.rows("Student")] == [2020, 1999]


def test_a_cache_without_rows_has_nothing_to_be_filled(project):
    project.change(('{name: fullName, type: "String!"}', '{name: fullName, type: "String!"}, {name: x, type: "Int!"}'))
    project.manage("generate")
    for file in project.root.glob("*.sqlite3*"):
        file.unlink()

    assert "stand-in" not in project.manage("migrate", "-v0").stderr


def test_events_of_before_a_rename_build_the_cache_anew_after_it(tmp_path):
    schema, state = tmp_path / "schema.yaml", tmp_path / "state"
    schema.write_text(SCHEMA.replace("  handlers:", f"{CREATE}  handlers:").replace("Calisto", "Renames"))
    project = Project(create_project("school", tmp_path / "school", schema=schema), state)
    with system(project.root, state, "Renames") as running:
        running.manage("migrate", "-v0")
        running.serve()
        made = running.graphql('mutation { createProfessor(fullName: "Ada") { id } }')
        running.end_all("runserver")
        project.change(
            ("name: Professor\n", "name: Teacher\n      renamedFrom: Professor\n"),
            ("Professor!", "Teacher!"),
            ('"Professor"', '"Teacher"'),
            ("create: Professor", "create: Teacher"),
            ('{name: fullName, type: "String!"}]\n    - name: S', OLD_NAME),
            ("[{name: fullName, type", "[{name: legalName, type"),
        )
        running.manage("generate")
        running.manage("migrate", "-v0")

        printed = running.manage("rebuildcache").stdout

    assert "1 events applied" in printed
    assert project.rows("Teacher") == [{"id": made["data"]["createProfessor"]["id"], "legal_name": "Ada"}]


# What is said, without a project.


def sentences(old: str, new: str, *, before: str = SCHEMA) -> tuple[str, ...]:
    """Return what there is to say when a text of the schema is replaced by another."""
    assert old in before
    states = [state_of(before), state_of(before.replace(old, new))]
    component = parse_component(before.replace(old, new))
    current = states[0].clone()
    renames = apply_renames(component, "school", current)
    detector = MigrationAutodetector(current, states[1], EmptyValues(states[1], "school"))
    found = detector.changes(graph=MigrationGraph())
    operations = [*renames, *(found["school"][0].operations if found else [])]
    return Consequences(component, "school", operations, states[0]).sentences()


def state_of(schema: str) -> ProjectState:
    component, state = parse_component(schema), ProjectState()
    for kind in component.content.types:
        columns = [(column.name, column.build("school")) for column in model_fields(kind, component)]
        state.add_model(ModelState("school", kind.name, columns))
    return state


def test_a_dropped_attribute_is_named_with_its_column_and_what_might_be_meant():
    assert sentences('{name: ingress, type: "Int"}', '{name: year, type: "Int"}') == (
        "Student.ingress: its column is dropped with all that it holds. If it is only called otherwise now "
        "(Student.year), write renamedFrom: there first, and it is kept.",
        REBUILD,
    )
    assert sentences('        - {name: ingress, type: "Int"}\n', "") == (
        "Student.ingress: its column is dropped with all that it holds.",
        REBUILD,
    )


def test_a_dropped_attribute_of_a_declared_payload_is_missed_in_the_log_too():
    before = SCHEMA.replace("  handlers:", "  events: [{name: new.student, payload: Student}]\n  handlers:")

    assert sentences('        - {name: ingress, type: "Int"}\n', "", before=before)[1] == (
        "Student.ingress: events in the log that have it cannot be applied any more, since they are declared under "
        "events:; a rebuild parks them: new.student (newStudent)."
    )


def test_a_dropped_type_is_named_with_its_rows():
    text = '    - {name: Book, attributes: [{name: title, type: "String!"}]}\n'
    with_book = SCHEMA.replace("  handlers:", f"{text}  handlers:")

    assert sentences(text, "", before=with_book) == ("Book: its table is dropped with all of its rows.", REBUILD)


def test_a_type_that_is_narrowed_may_fail():
    first, second, third = sentences('{name: name, type: "String!"', '{name: name, type: "Int!"')

    assert first == (
        "Student.name: its type changes from String to Int. Values that cannot be converted make the migration fail, "
        "or stay in the column and cannot be read."
    )
    assert second == f"Student.name: events in the log that have a value there that does not fit {PARKED}"
    assert third == REBUILD + EMPTY


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name: ingress, type: "Int"', 'name: ingress, type: "Float"'),
        ('name: course, type: "Course!"', 'name: course, type: "String!"'),
        ('name: name, type: "String!"', 'name: name, type: "String"'),
        ("unique: true", "index: true"),
        ("name: ingress,", "name: year, renamedFrom: ingress,"),
        ('{name: ingress, type: "Int"}', '{name: ingress, type: "Int"}\n        - {name: town, type: "String"}'),
    ],
)
def test_nothing_is_said_of_a_change_that_loses_nothing(old, new):
    assert sentences(old, new) == ()


def test_a_value_that_becomes_required_is_a_stand_in_and_is_missing_in_the_log():
    assert sentences('name: ingress, type: "Int"', 'name: year, renamedFrom: ingress, type: "Int!"') == (
        "Student.year: rows without a value get 0 until `manage.py rebuildcache school`.",
        f"Student.year: events in the log that lack it, or have null there, {PARKED}",
        REBUILD,
    )


def test_nothing_is_missing_of_a_new_attribute_with_a_default():
    added = '{name: ingress, type: "Int"}\n        - {name: town, type: "String!", default: here}'

    assert sentences('{name: ingress, type: "Int"}', added) == ()


def test_a_value_that_becomes_required_with_a_default_is_that():
    assert sentences('name: ingress, type: "Int"', 'name: ingress, type: "Int!", default: 1999') == (
        "Student.ingress: rows without a value get its default, 1999; events without one mean it.",
        REBUILD,
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('type: "Int!", default: 1999', 'type: "Int!", default: 2000', (NEW_DEFAULT, REBUILD)),
        (
            'type: "Int"',
            'type: "Int", default: 1999',
            (
                "Student.ingress: its default is 1999 now. Rows that are there keep what they have; events in the log "
                "that lack it mean the default, and a rebuild stores that.",
                REBUILD,
            ),
        ),
        (
            'type: "Int", default: 1999',
            'type: "Int"',
            (
                "Student.ingress: it has no default any more. Rows that are there keep what they have.",
                "Student.ingress: events in the log that lack it mean null from now on; a rebuild stores that.",
                REBUILD,
            ),
        ),
        (
            'type: "Int!", default: 1999',
            'type: "Int!"',
            (
                "Student.ingress: it has no default any more. Rows that are there keep what they have.",
                f"Student.ingress: events in the log that lack it {PARKED}",
                REBUILD,
            ),
        ),
        ('type: "Int!"', 'type: "Int!", default: 1999', ()),
    ],
)
def test_another_default_does_nothing_to_rows_and_is_told_of_older_events(old, new, said):
    before = SCHEMA.replace('name: ingress, type: "Int"', f"name: ingress, {old}")

    assert sentences(f"name: ingress, {old}", f"name: ingress, {new}", before=before) == said


def test_a_value_that_becomes_unique_may_fail():
    assert sentences("index: true", "unique: true") == (
        "Student.course: it becomes unique. Two rows with the same value make the migration fail.",
        REBUILD + EMPTY,
    )


def test_a_new_value_that_is_required_and_unique_may_fail():
    added = '{name: ingress, type: "Int"}\n        - {name: number, type: "Int!", unique: true}'

    assert sentences('{name: ingress, type: "Int"}', added)[1::2] == (
        "Student.number: it is unique, and all of them get the same: with two rows the migration fails.",
        REBUILD + EMPTY,
    )


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        ("  events: [{name: seen, payload: Student}]\n  handlers:\n    - {name: seen, event: seen}\n", "seen (seen)"),
        ("  handlers:\n    - {name: moved, event: moved, apply: {upsert: Student}}\n", "moved (moved)"),
    ],
)
def test_handlers_that_need_a_new_attribute_are_named(declared, named):
    before = SCHEMA.replace("  handlers:\n", declared)
    added = '{name: ingress, type: "Int"}\n        - {name: town, type: "String!"}'

    assert f" {named}, new.student (newStudent)." in sentences('{name: ingress, type: "Int"}', added, before=before)[1]


def test_handlers_that_do_not_need_a_new_attribute_are_not_named():
    declared = "    - {name: changed, event: student.changed, apply: {update: Student}}\n"
    added = '{name: ingress, type: "Int"}\n        - {name: town, type: "String!"}'

    said = sentences('{name: ingress, type: "Int"}', added, before=SCHEMA + declared)[1]

    assert said == f"Student.town: events in the log that lack it {PARKED}"
