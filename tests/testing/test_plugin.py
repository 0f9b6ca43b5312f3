"""The pytest plugin in projects of other kinds: what it takes care of, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import PATIENCE

ROOT = Path(__file__).parents[2]

Run = Callable[..., str]


@pytest.fixture
def run_tests(tmp_path: Path) -> Run:
    """Run tests, given as text, in a process of their own; return what pytest prints."""

    def run(text: str, *options: str, settings: str = "tests.settings") -> str:
        (tmp_path / "test_it.py").write_text(f"import pytest\n\n{text}")
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        # Other plugins that happen to be installed take seconds to load.
        plugins = ["-p", "byron.testing.plugin", "-p", "no:cacheprovider"]
        if "no:django" not in options:
            plugins += ["-p", "pytest_django.plugin"]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}
        kept |= {"DJANGO_SETTINGS_MODULE": settings} if settings else {}
        paths = os.pathsep.join([str(ROOT), str(ROOT / "examples/hello")])
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--strict-markers", *plugins, *options, "test_it.py"],
            cwd=tmp_path,
            env=kept | {"PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        ).stdout

    return run


OTHERS = """
@pytest.fixture
def component():
    return "mine"

@pytest.fixture
def system(component):
    return component

def test_mine(system):
    assert system == "mine"
"""


def test_a_test_that_names_no_database_gets_the_components(run_tests):
    told = run_tests("""
from django.apps import apps

@pytest.mark.django_db
def test_marked():
    assert apps.get_model("library", "Book").objects.using("library").count() == 0

@pytest.mark.django_db
def test_marked_with_component(component):
    component.settle()

@pytest.mark.django_db(transaction=True)
def test_marked_with_more(component):
    component.settle()

def test_by_fixture(db):
    assert apps.get_model("library", "Book").objects.using("library").count() == 0

def test_after_them(component):
    component.settle()
""")
    assert "5 passed" in told, told


def test_a_marker_that_names_databases_is_left_alone(run_tests):
    told = run_tests("""
@pytest.mark.django_db(databases=["library"])
def test_it():
    from django.apps import apps
    apps.get_model("students", "Student").objects.using("students").count()
""")
    assert "Database queries to 'students' are not allowed in this test." in told


def test_fixtures_of_others_may_have_the_same_names(run_tests):
    assert "1 passed" in run_tests(OTHERS, settings="")
    assert "1 passed" in run_tests(OTHERS, "-p", "no:django")


def test_a_fixture_that_builds_upon_ours_gets_the_databases(run_tests):
    told = run_tests("""
@pytest.fixture
def component(component):
    component.settle()
    return component

def test_it(component):
    assert component.events == []
""")
    assert "1 passed" in told, told


@pytest.mark.parametrize("fixture", ["component", "system"])
@pytest.mark.parametrize("settings", ["", "tests.settings"], ids=["no settings", "no plugin of Django"])
def test_without_django_the_fixtures_say_what_is_missing(run_tests, fixture, settings):
    options = ["-p", "no:django"] if settings else []
    told = run_tests(f"def test_it({fixture}): pass\n\ndef test_other(): pass", *options, settings=settings)

    assert "1 passed, 1 error" in told, told
    assert "The fixtures `component` and `system` need Django: set DJANGO_SETTINGS_MODULE" in told
    assert "INTERNALERROR" not in told


def test_real_is_for_system_and_takes_its_seconds_by_name(run_tests):
    told = run_tests("""
@pytest.mark.real
def test_component(component): pass

@pytest.mark.real(5)
def test_seconds(system): pass
""")
    assert "`real` is for the fixture `system`: ask for system.… in place of `component`." in told
    assert "The marker `real` takes seconds by name: @pytest.mark.real(patience=90)" in told or "not run" in told


def test_also_real_is_for_system(run_tests):
    told = run_tests("""
@pytest.mark.also_real
def test_component(component): pass
""")
    assert "test_it.py::test_component: `also_real` is for tests of the fixture `system`." in told
