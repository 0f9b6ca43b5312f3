"""What the report of a failed test says of the project itself: Byron's checks, which pytest does not run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from byron.codegen.project import create_project
from tests.processes import PATIENCE, environment

SECTION = "What Byron's checks say of the project"

TEST = """
import pytest

def test_it(component):
    component.when("createDepot", city="Sao Paulo").then()

def test_again(component):
    component.when("createDepot", city="Sao Paulo").then()

@pytest.fixture
def broken(component):
    raise RuntimeError("not this time")

def test_broken_fixture(broken): pass

def test_without_a_component():
    assert 1 == 2
"""

Change = Callable[[Path], object]


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    project = tmp_path_factory.mktemp("checks") / "parcels"
    create_project("parcels", project, schema=Path(__file__).parent / "parcels.yaml")
    (project / "test_it.py").write_text(TEST)
    return project


@pytest.fixture
def tell(made, tmp_path) -> Callable[..., str]:
    """Run the tests of a project that was changed; return what pytest prints."""

    def run(change: Change, *options: str) -> str:
        project = tmp_path / "parcels"
        shutil.copytree(made, project, ignore=shutil.ignore_patterns("__pycache__"))
        change(project)
        plugins = ["-p", "byron.testing.plugin", "-p", "pytest_django.plugin", "-p", "no:cacheprovider"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *plugins, *options, "test_it.py"],
            cwd=project,
            env=environment(tmp_path / "state", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        ).stdout

    return run


def edit(file: str, old: str, new: str) -> Change:
    def change(project: Path) -> None:
        text = (project / file).read_text()
        assert old in text
        (project / file).write_text(text.replace(old, new))

    return change


COMMAND = "parcels/api/commands/create_depot.py"

CASES = {
    "a schema that was edited and not generated": (
        edit(
            "parcels/schema.yaml",
            '{name: city, type: "String!"}\n',
            '{name: city, type: "String!"}\n        - {name: street, type: String}\n',
        ),
        [
            "byron.E014: models.py of parcels is not that of its schema.yaml: Depot differs in street.\n"
            "  HINT: Run `manage.py generate`, then `manage.py migrate`",
        ],
    ),
    "a function with other parameters": (
        edit(COMMAND, "create_depot(ctx, city)", "create_depot(ctx, town)"),
        [
            "byron.E006: createDepot of parcels cannot be called as schema.yaml declares it: ",
            "  HINT: The function is given: ctx, city.",
        ],
    ),
    "a function that is missing": (
        edit(COMMAND, "def create_depot", "def make_depot"),
        ["byron.E005: parcels/api/commands/create_depot.py has no function create_depot; schema.yaml declares"],
    ),
    "a file that is no Python": (
        edit(COMMAND, "create_depot(ctx, city)", "create_depot(ctx, city"),
        ["byron.E008: createDepot of parcels cannot be imported: SyntaxError: '(' was never closed (create_depot.py"],
    ),
    "a migration that is missing": (
        lambda project: (project / "parcels/migrations/0001_initial.py").unlink(),
        [
            "The migrations of parcels do not make the tables of its schema.yaml: 0001_initial is missing.\n"
            "  HINT: Run `manage.py generate`, which writes it.",
        ],
    ),
}


@pytest.mark.parametrize(("change", "lines"), CASES.values(), ids=CASES)
def test_what_is_wrong_with_the_project_is_told_once_tests_of_it_have_failed(tell, change, lines):
    told = tell(change)

    assert told.count(SECTION) == 1, told
    for line in lines:
        assert told.count(line) == 1, told
    section = told.partition(SECTION)[2].partition("short test summary")[0].splitlines()[1:-1]
    assert len([line for line in section if line.strip()]) <= 3, told


def test_processes_that_share_the_tests_tell_it_too(tell):
    change, [line] = CASES["a function that is missing"]
    told = tell(change, "-p", "xdist.plugin", "-n", "1")

    assert told.count(SECTION) == 1, told
    assert line in told


@pytest.mark.parametrize("chosen", ["test_broken_fixture", "test_without_a_component"])
def test_it_is_told_of_fixtures_and_not_of_tests_without_a_component(tell, chosen):
    change, [line] = CASES["a function that is missing"]
    told = tell(change, "-k", chosen)

    assert (line in told) == (chosen == "test_broken_fixture"), told


def test_what_a_test_has_replaced_is_not_the_project_s(tell):
    test = """

def test_replaces(component, settings):
    settings.DATABASE_ROUTERS = []
    assert 1 == 2
"""
    told = tell(lambda project: (project / "test_it.py").write_text(TEST + test), "-k", "replaces")

    assert "1 failed" in told, told
    assert SECTION not in told


def test_nothing_is_told_of_a_project_that_is_as_it_should_be(tell):
    told = tell(lambda project: None)

    assert "3 failed, 1 error" in told, told
    assert SECTION not in told


def test_a_project_without_migrations_lacks_none_when_tables_are_made_of_models(tell):
    assert SECTION not in tell(lambda project: None, "--nomigrations")


def test_of_many_problems_the_first_are_told(tell):
    def edit_much(project: Path) -> None:
        commands = "".join(f"    - {{name: count{number}, type: query, returnType: Int}}\n" for number in range(30))
        schema = project / "parcels/schema.yaml"
        schema.write_text(schema.read_text().replace("  handlers:\n", f"{commands}  handlers:\n"))

    told = tell(edit_much)

    assert told.count("byron.E005: count9 has no file parcels/api/commands/count9.py") == 1, told
    assert "count29" not in told
    assert told.count("… 40 more lines") == 1, told


def test_checks_that_fail_themselves_are_told_in_a_line(tell):
    told = tell(edit(COMMAND, '"""The mutation createDepot."""', "raise SystemExit('enough')"))

    assert told.count(f"{SECTION} ") == 1, told
    assert told.count("Byron's checks could not be run: SystemExit: enough\n") == 1, told
    assert "INTERNALERROR" not in told
