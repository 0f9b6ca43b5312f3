"""`byron-admin startcomponent`: a project that works, or an error and nothing at all."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from byron.codegen.project import component_label, create_project
from byron.exceptions import GenerationError, SchemaError
from byron.schema.reader import read_component
from tests.processes import PATIENCE, byron_admin, environment, run

LISTINGS = Path(__file__).parent.parent / "schema" / "listings"
PERSES = Path(__file__).parents[2] / "examples" / "perses"
LIBRARY = Path(__file__).parent.parent / "components" / "library" / "schema.yaml"

EXAMPLE_TREE = [
    ".byron.json",
    ".dockerignore",
    ".env",
    ".env.example",
    ".gitignore",
    "README.md",
    "config/__init__.py",
    "config/asgi.py",
    "config/settings.py",
    "config/urls.py",
    "config/wsgi.py",
    "deploy/.env.example",
    "deploy/Dockerfile",
    "deploy/compose.system.yaml",
    "deploy/compose.yaml",
    "deploy/k8s/base/account.yaml",
    "deploy/k8s/base/api.yaml",
    "deploy/k8s/base/kustomization.yaml",
    "deploy/k8s/base/migrate.yaml",
    "deploy/k8s/base/network.yaml",
    "deploy/k8s/base/sinks.yaml",
    "deploy/k8s/nats/kustomization.yaml",
    "deploy/k8s/nats/nats.conf",
    "deploy/k8s/nats/nats.yaml",
    "deploy/k8s/overlays/development/caches.yaml",
    "deploy/k8s/overlays/development/kustomization.yaml",
    "deploy/k8s/overlays/production/kustomization.yaml",
    "deploy/k8s/scaling/api.yaml",
    "deploy/k8s/scaling/kustomization.yaml",
    "deploy/k8s/sink-scaling/kustomization.yaml",
    "deploy/k8s/sink-scaling/sinks.yaml",
    "deploy/nats.conf",
    "deploy/wheels/README.md",
    "manage.py",
    "pupils/.byron.json",
    "pupils/__init__.py",
    "pupils/api/__init__.py",
    "pupils/api/commands/__init__.py",
    "pupils/api/commands/create_student.py",
    "pupils/apps.py",
    "pupils/hooks/__init__.py",
    "pupils/migrations/0001_initial.py",
    "pupils/migrations/__init__.py",
    "pupils/models.py",
    "pupils/schema.graphql",
    "pupils/schema.yaml",
    "pupils/sink/__init__.py",
    "pupils/sink/handlers/__init__.py",
    "pupils/sink/handlers/new_student.py",
    "pupils/tests/__init__.py",
    "pupils/tests/test_pupils.py",
    "pyproject.toml",
    "requirements-dev.txt",
    "requirements.txt",
]


def files(directory: Path) -> list[str]:
    found = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(str(path.relative_to(directory)) for path in found)


def test_without_a_schema_it_makes_the_student_example(tmp_path):
    create_project("pupils", tmp_path / "pupils")

    assert files(tmp_path / "pupils") == EXAMPLE_TREE
    assert read_component(tmp_path / "pupils/pupils/schema.yaml").name == "Pupils"
    assert os.stat(tmp_path / "pupils/manage.py").st_mode & stat.S_IXUSR


@pytest.mark.parametrize("schema", [LISTINGS / "listing_2.yaml", LIBRARY], ids=["listing 2", "everything"])
def test_what_it_makes_checks_tests_and_is_up_to_date(tmp_path, schema):
    byron_admin("startcomponent", "Shelf", "--schema", str(schema), directory=tmp_path)
    project, state = tmp_path / "shelf", tmp_path / "state"

    assert " passed" in run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], project, state).stdout
    assert "no issues" in run(["manage.py", "check"], project, state).stdout
    assert "up to date" in run(["manage.py", "generate", "--check"], project, state).stdout
    assert "No changes" in run(["manage.py", "makemigrations", "--check", "--dry-run"], project, state).stdout
    run(["-m", "ruff", "check", "--no-cache", "."], project, state)
    run(["-m", "ruff", "format", "--no-cache", "--check", "."], project, state)


MADE, ANNOUNCED = "test_what_{}_makes_can_be_read_once_it_is_applied", "test_{}_announces_what_was_made"
FAULTS, EXAMPLES = "test_faults_leave_the_cache_the_same", "test_every_command_and_event_takes_its_example"


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        (LISTINGS / "listing_2.yaml", [MADE.format("create_student"), ANNOUNCED.format("create_student"), FAULTS]),
        (
            PERSES / "auth/auth/schema.yaml",
            [
                MADE.format("create_user"),
                ANNOUNCED.format("create_user"),
                "test_the_email_of_a_user_is_taken_once",
                FAULTS,
            ],
        ),
        (PERSES / "grouping/grouping/schema.yaml", []),
        (
            Path(__file__).parent / "schema_with_roles_and_hooks.yaml",
            [
                MADE.format("create_student"),
                ANNOUNCED.format("create_student"),
                "test_the_name_of_a_student_is_taken_once",
                FAULTS,
            ],
        ),
        (
            Path(__file__).parent / "schema_of_auctions.yaml",
            [MADE.format("list_item"), ANNOUNCED.format("list_item"), FAULTS],
        ),
    ],
    ids=["listing 2", "auth", "grouping", "roles and hooks", "defaults and nulls"],
)
def test_the_tests_that_it_makes_are_short_tell_what_is_known_and_pass(tmp_path, schema, names):
    create_project("shelf", tmp_path / "shelf", schema=schema)
    tests = (tmp_path / "shelf/shelf/tests/test_shelf.py").read_text()

    assert len(tests.splitlines()) < 40
    assert re.findall(r"^def (\w+)", tests, re.MULTILINE) == [*names, EXAMPLES]
    assert "component.survives(" in tests
    told = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path / "shelf", tmp_path / "state").stdout
    assert f"{len(names) + 1} passed" in told


def test_the_monograph_s_spelling_works(tmp_path):
    byron_admin("component", "init", "pupils", directory=tmp_path)

    assert files(tmp_path / "pupils") == EXAMPLE_TREE


def test_a_namespace_replaces_that_of_the_schema(tmp_path):
    create_project("auth", tmp_path / "a", schema=LISTINGS / "listing_2.yaml", namespace="Perses")

    text = (tmp_path / "a/auth/schema.yaml").read_text()
    assert text == (LISTINGS / "listing_2.yaml").read_text().replace('"Calisto"', "Perses")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../x", "'../x' cannot be a component's name: use letters and digits, a letter first."),
        ("a b", "cannot be a component's name: use letters and digits"),
        ("x'; import os", "cannot be a component's name: use letters and digits"),
        ("x\n", "cannot be a component's name: use letters and digits"),
        ("1st", "cannot be a component's name: use letters and digits"),
        ("_x", "cannot be a component's name: use letters and digits"),
        ("", "cannot be a component's name: use letters and digits"),
        ("étude", "cannot be a component's name: use letters and digits"),
        ("ｃｌａｓｓ", "cannot be a component's name: use letters and digits"),
        ("x" * 41, "is too long for a component's name: 40 characters at most."),
        ("class", "Python, Django or Byron uses 'class' itself."),
        ("json", "Python, Django or Byron uses 'json' itself."),
        ("config", "Python, Django or Byron uses 'config' itself."),
        ("Byron", "Python, Django or Byron uses 'byron' itself."),
        ("django", "a Python module of that name is installed."),
    ],
)
def test_a_bad_name_is_refused_and_nothing_is_made(tmp_path, name, message):
    with pytest.raises(GenerationError) as error:
        create_project(name, tmp_path / "project")

    assert message in str(error.value)
    assert files(tmp_path) == []


def test_a_camel_case_name_becomes_a_python_one():
    assert component_label("studyGroups") == "study_groups"


def test_a_second_run_is_refused_and_changes_nothing(tmp_path):
    create_project("pupils", tmp_path / "pupils")
    before = {file: (tmp_path / "pupils" / file).read_bytes() for file in EXAMPLE_TREE}
    with pytest.raises(GenerationError, match="exists already and is not an empty directory"):
        create_project("pupils", tmp_path / "pupils")

    assert {file: (tmp_path / "pupils" / file).read_bytes() for file in EXAMPLE_TREE} == before


def test_an_empty_directory_may_be_there(tmp_path):
    (tmp_path / "here").mkdir()
    create_project("pupils", tmp_path / "here")

    assert files(tmp_path / "here") == EXAMPLE_TREE


def test_a_schema_with_problems_is_refused_with_all_of_them_and_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        "name: X\nnamespace: Y\ncontent: {types: [{name: T, attributes: [{name: a, type: Strng}]}], more: 1}\n"
    )
    with pytest.raises(SchemaError) as error:
        create_project("pupils", tmp_path / "deep" / "pupils", schema=bad)

    assert str(error.value).splitlines() == [
        'bad.yaml:3:58: B012 unknown type "Strng"; did you mean "String"?',
        'bad.yaml:3:69: B010 unknown key "more"; known here: types, inputs, enums, events, commands, handlers',
    ]
    assert files(tmp_path) == ["bad.yaml"]
    assert not (tmp_path / "deep").exists()


def test_a_schema_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(GenerationError, match=r"none\.yaml cannot be read: No such file or directory\."):
        create_project("pupils", tmp_path / "pupils", schema=tmp_path / "none.yaml")


@pytest.mark.parametrize("namespace", ["a-b", "9", "x\n", "", "Ｐ"])
def test_a_bad_namespace_is_refused(tmp_path, namespace):
    with pytest.raises(GenerationError, match="cannot be a namespace: use letters and digits"):
        create_project("pupils", tmp_path / "pupils", namespace=namespace)


def test_the_command_says_an_error_in_one_line_without_a_traceback(tmp_path):
    finished = byron_admin("startcomponent", "../x", directory=tmp_path, check=False)

    assert finished.returncode == 1
    assert finished.stderr == (
        "CommandError: '../x' cannot be a component's name: use letters and digits, a letter first.\n"
    )


def test_in_a_project_it_adds_a_component_beside_the_others(tmp_path):
    create_project("pupils", tmp_path / "project")
    project, state = tmp_path / "project", tmp_path / "state"
    # What deploys the project is to change with it.
    kept = [file for file in EXAMPLE_TREE if not file.startswith("deploy/") and file != ".byron.json"]
    before = {file: (project / file).read_bytes() for file in kept}

    made = run(["manage.py", "startcomponent", "grades", "--namespace", "Calisto"], project, state)

    assert "Its API answers at /grades/graphql/." in made.stdout
    assert {file: (project / file).read_bytes() for file in kept} == before
    assert "no issues" in run(["manage.py", "check"], project, state).stdout
    assert " passed" in run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "grades"], project, state).stdout
    again = run(["manage.py", "startcomponent", "grades"], project, state, check=False)
    assert again.returncode == 1
    assert "grades exists already; choose another name, or remove it." in again.stderr


def test_it_ends_with_what_is_to_be_written_and_what_comes_next(tmp_path):
    (tmp_path / "clubs.yaml").write_text(
        """
name: Clubs
namespace: Calisto
content:
  types:
    - {name: Club, attributes: [{name: title, type: "String!"}]}
  commands:
    - {name: getClubs, type: query, returnType: "[Club!]!"}
    - {name: getClubsOf, type: query, returnType: "[Club!]!", parameters: [{name: title, type: "String!"}]}
    - {name: findClubs, type: query, returnType: "[Club!]!", parameters: [{name: words, type: "String!"}]}
    - {name: countClubs, type: query, returnType: "Int!", hooks: {before: [askNicely]}}
    - {name: joinClub, type: mutation, returnType: "Boolean!"}
  handlers:
    - {name: newClub, event: new.club}
    - {name: weatherTurned, event: weather.turned}
"""
    )

    made = byron_admin("startcomponent", "clubs", "--schema", "clubs.yaml", directory=tmp_path)

    assert made.stdout.splitlines() == [
        "Made clubs",
        "To be written by you:",
        "  clubs/clubs/api/commands/find_clubs.py       query findClubs",
        "  clubs/clubs/api/commands/count_clubs.py      query countClubs",
        "  clubs/clubs/api/commands/join_club.py        mutation joinClub",
        "  clubs/clubs/sink/handlers/weather_turned.py  handler of weather.turned",
        "  clubs/clubs/hooks/ask_nicely.py              hook before countClubs",
        "Next:",
        "  cd clubs",
        "  python manage.py dev",
        "  python -m pytest",
    ]
    for line in made.stdout.splitlines()[2:7]:
        assert (tmp_path / line.split()[0]).is_file()
    assert "objects.filter(title=title)" in (tmp_path / "clubs/clubs/api/commands/get_clubs_of.py").read_text()


def test_hooks_that_are_not_written_are_told_by_the_examples(tmp_path):
    create_project("shelf", tmp_path / "shelf", schema=Path(__file__).parent / "schema_with_roles_and_hooks.yaml")
    test = tmp_path / "shelf/shelf/tests/test_unwritten.py"
    test.write_text("def test_all(component):\n    component.examples(skip=['renameStudent', 'student.gone'])\n")
    arguments = ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(test)]
    told = subprocess.run(
        [sys.executable, *arguments],
        cwd=tmp_path / "shelf",
        env=environment(tmp_path / "state"),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    ).stdout

    for hook in ("tidyName of createStudent", "welcome of createStudent", "tellDean of new.student"):
        assert f"the hook {hook}: it is not written yet; it only calls ctx.unwritten()" in told, told


def test_directory_is_refused_inside_a_project(tmp_path, settings):
    settings.BASE_DIR = tmp_path
    with pytest.raises(CommandError, match="--directory is for a new project"):
        call_command("startcomponent", "grades", directory=tmp_path / "x")


def test_the_state_file_records_what_is_generated(tmp_path):
    create_project("pupils", tmp_path / "pupils")

    state = json.loads((tmp_path / "pupils/pupils/.byron.json").read_text())
    assert sorted(state["files"]) == ["apps.py", "models.py", "schema.graphql"]
