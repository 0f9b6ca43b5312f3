"""Which databases a test may use: those of the components, for the tests that use one.

Nothing of Byron or Django is imported on top: pytest loads its plugins before Django's settings are there.
"""

from __future__ import annotations

from typing import Any

import pytest

#: What stands for all databases.
_ALL = "__all__"

#: The fixtures of components, whose tests need the Caches' databases unless they run on real processes.
_FIXTURES = {"component", "system"}

#: pytest-django's fixtures that stand for its marker.
_DATABASE = {"db", "transactional_db"}


#: The arguments of pytest-django's marker, in order.
_ARGUMENTS = ("transaction", "reset_sequences", "databases", "serialized_rollback", "available_apps")

#: Why a test is not run: it names a database that is none.
_REFUSED = pytest.StashKey[str]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests that use a component its databases, each test's changes undone after it.

    So, too, Django's TestCase and tests marked `django_db` that name no databases, or all: Django would take `default`,
    which a project of components leaves empty, and no later test could use a database. Whoever names `default`
    is told so. Of a run without Django, or without components, nothing is touched.
    """
    is_marker_known = any(line.startswith("django_db") for line in config.getini("markers"))
    aliases = usable_databases() if is_marker_known else []
    for item in items if aliases else ():
        marker = item.get_closest_marker("django_db")
        if marker is not None:
            given = {**dict(zip(_ARGUMENTS, marker.args, strict=False)), **marker.kwargs}
            databases = _databases(item, given.get("databases"), aliases)
            if databases != given.get("databases"):
                item.add_marker(pytest.mark.django_db(**{**given, "databases": databases}), append=False)
        elif _wants_database(item):
            item.add_marker(pytest.mark.django_db(databases=aliases))
        _mend_class(item, aliases)


def refuse_missing(item: pytest.Item) -> None:
    """Fail a test that names a database which is none, before it keeps all later ones from theirs."""
    if (refused := item.stash.get(_REFUSED, None)) is not None:
        pytest.fail(refused, pytrace=False)


def _mend_class(item: pytest.Item, aliases: list[str]) -> None:
    """Do the same for a test of Django's TestCase, which names its databases by an attribute."""
    from django.test import SimpleTestCase

    cls: Any = getattr(item, "cls", None)
    if cls is None or not issubclass(cls, SimpleTestCase) or not cls.databases:
        return
    own = [each for each in cls.__mro__ if not each.__module__.startswith("django.")]
    is_named = _is_default_there() or any("databases" in vars(each) for each in own)
    databases = _databases(item, cls.databases if is_named else None, aliases)
    if databases != cls.databases:
        cls.databases = set(databases)


def _databases(item: pytest.Item, named: Any, aliases: list[str]) -> Any:
    """Return the databases of a test that names these; note it for refusal when it names one that is none."""
    from django.db import DEFAULT_DB_ALIAS, connections

    if named is None:
        return aliases
    if _is_default_there():
        return named
    if named == _ALL:
        return [alias for alias in connections.settings if alias != DEFAULT_DB_ALIAS]
    if DEFAULT_DB_ALIAS in named:
        item.stash[_REFUSED] = (
            f"This test names the database `default`, which the project leaves empty: write databases={aliases}."
        )
    return named


def _is_default_there() -> bool:
    from django.db import DEFAULT_DB_ALIAS, connections

    return not str(connections.settings[DEFAULT_DB_ALIAS]["ENGINE"]).endswith(".dummy")


def usable_databases() -> list[str]:
    """Return the databases that tests may use when they name none; none without Django, or without components."""
    from django.apps import apps

    if not apps.ready:
        return []
    from django.db import DEFAULT_DB_ALIAS

    from byron.schema.installed import installed_components

    components = [config.alias for config in installed_components()]
    if not components or not _is_default_there():
        return components
    return [DEFAULT_DB_ALIAS, *(each for each in components if each != DEFAULT_DB_ALIAS)]


def is_fixture_ours(item: pytest.Item, name: str) -> bool:
    """Whether a fixture is this plugin's, or one that builds upon it; another plugin's may have the same name."""
    definitions = getattr(item, "_fixtureinfo").name2fixturedefs.get(name, ())  # noqa: B009
    for definition in reversed(definitions):
        if definition.func.__module__.startswith(f"{__package__}."):
            return True
        if name not in definition.argnames:
            break
    return False


def uses_component(item: pytest.Item) -> bool:
    """Whether a test asks for a component, or for the system of all."""
    return any(is_fixture_ours(item, name) for name in _FIXTURES & set(getattr(item, "fixturenames", ())))


def _wants_database(item: pytest.Item) -> bool:
    if not _DATABASE.isdisjoint(getattr(item, "fixturenames", ())):
        return True
    return uses_component(item) and item.get_closest_marker("real") is None
