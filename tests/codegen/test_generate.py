"""`manage.py generate`: from one schema.yaml to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from byron.codegen.project import create_project
from byron.schema.types import SCALARS
from tests.processes import run


@pytest.fixture
def project(tmp_path) -> Path:
    return create_project("pupils", tmp_path / "pupils")


@pytest.fixture
def manage(project, tmp_path):
    return lambda *arguments, check=True: run(["manage.py", *arguments], project, tmp_path / "state", check=check)


def change(project: Path, old: str, new: str) -> None:
    schema = project / "pupils/schema.yaml"
    text = schema.read_text()
    assert old in text
    schema.write_text(text.replace(old, new, 1))


def test_a_new_required_attribute_gets_a_migration_that_asks_nothing(project, manage):
    manage("migrate", "-v0")
    everything = "".join(f'\n        - {{name: new{kind}, type: "{kind}!"}}' for kind in SCALARS)
    ingress = '- {name: ingress, type: "Int!"}\n\n'
    change(project, ingress, ingress.rstrip() + everything + '\n        - {name: newList, type: "[Int!]!"}\n\n')

    finished = manage("generate")

    assert "create pupils/migrations/0002_" in finished.stdout
    assert "update pupils/models.py" in finished.stdout
    manage("migrate", "-v0")
    assert "No changes" in manage("makemigrations", "--check", "--dry-run").stdout
    assert "up to date" in manage("generate", "--check").stdout


def test_files_are_named_from_the_folder_in_which_it_is_run(project, manage, tmp_path):
    change(project, "namespace: Calisto", "namespace: Ananke")

    inside = manage("generate", "--dry-run").stdout
    outside = run([f"{project.name}/manage.py", "generate", "--dry-run"], project.parent, tmp_path / "state").stdout

    files = [line.split()[1] for line in inside.splitlines()]
    assert {"pupils/.byron.json", ".byron.json", "deploy/k8s/base/network.yaml"} <= set(files)
    assert all((project / file).exists() for file in files)
    assert [line.split()[1] for line in outside.splitlines()] == [f"{project.name}/{file}" for file in files]


def test_check_fails_while_a_file_is_stale_and_writes_nothing(project, manage):
    change(project, "name: course", "name: subject")
    change(project, "filter: [course]", "filter: [subject]")
    before = (project / "pupils/models.py").read_text()

    stale = manage("generate", "--check", check=False)
    planned = manage("generate", "--dry-run")

    assert stale.returncode == 1
    assert "Run `manage.py generate`: the files above are stale." in stale.stderr
    assert "update pupils/models.py" in planned.stdout
    assert (project / "pupils/models.py").read_text() == before


def test_a_function_that_does_not_take_what_the_schema_gives_it_any_more_is_told(project, manage):
    parameter = '- {name: ingress, type: "Int!"}\n\n  handlers:'
    change(project, parameter, parameter.replace("\n\n", "\n        - {name: email, type: String}\n\n"))

    finished = manage("generate")

    told = [line for line in finished.stdout.splitlines() if "note" in line]
    assert told == [
        "  note createStudent of pupils cannot be called as schema.yaml declares it: got an unexpected keyword "
        "argument 'email'. The function is given: ctx, name, course, ingress, email."
    ]


def test_a_new_command_gets_a_first_function_and_written_ones_stay(project, manage):
    written = project / "pupils/api/commands/create_student.py"
    written.write_text(written.read_text() + "\n# mine\n")
    change(project, "  commands:\n", '  commands:\n    - {name: countStudents, type: query, returnType: "Int!"}\n')

    manage("generate")

    assert "def count_students(ctx):" in (project / "pupils/api/commands/count_students.py").read_text()
    assert written.read_text().endswith("# mine\n")


def test_migrations_of_two_branches_are_named_instead_of_adding_a_third(project, manage):
    change(project, "index: true", "index: false")
    manage("generate")
    migrations = project / "pupils/migrations"
    [second] = migrations.glob("0002_*.py")
    (migrations / "0002_from_another_branch.py").write_text(second.read_text())

    finished = manage("generate", check=False)

    assert finished.returncode == 1
    assert f"pupils has several last migrations: {second.stem}, 0002_from_another_branch." in finished.stderr
    assert "makemigrations --merge pupils" in finished.stderr
    assert len(list(migrations.glob("000*.py"))) == 3


def test_an_edited_generated_file_stops_it(project, manage):
    models = project / "pupils/models.py"
    models.write_text(models.read_text() + "\n# mine\n")
    change(project, "index: true", "index: false")

    finished = manage("generate", check=False)

    assert finished.returncode == 1
    assert "pupils/models.py: generated, but changed by hand since. Nothing was written." in finished.stderr
    assert models.read_text().endswith("# mine\n")


def test_a_schema_with_problems_is_told_in_full_without_a_traceback(project, manage):
    change(project, '"Int!"', "Itn!")

    for command in ("generate", "runsink", "runserver", "check"):
        finished = manage(command, *(["--noreload"] if command == "runserver" else []), check=False)
        assert finished.returncode == 1
        told = [line for line in finished.stderr.splitlines() if "B012" in line]
        assert told == ['pupils/schema.yaml:10:33: B012 unknown type "Itn"; did you mean "Int"?']
        assert "Traceback" not in finished.stderr
