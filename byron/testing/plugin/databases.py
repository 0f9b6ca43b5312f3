"""Which databases a test may use: those of the components, for the tests that use one.

Nothing of Byron or Django is imported on top: pytest loads its plugins before Django's settings are there.
"""

from __future__ import annotations

import pytest

#: The fixtures whose tests need the Caches' databases in this process.
_FIXTURES = {"component", "system"}

#: pytest-django's fixtures that stand for its marker.
_DATABASE = {"db", "transactional_db"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the tests that use a component its databases, each test's changes undone after it.

    So, too, those marked `django_db` without naming any: Django would take `default`, which a project of components
    leaves empty, and no later test could use a database. Of a run without Django, or without components, nothing is
    touched.
    """
    is_marker_known = any(line.startswith("django_db") for line in config.getini("markers"))
    aliases = usable_databases() if is_marker_known else []
    for item in items if aliases else ():
        marker = item.get_closest_marker("django_db")
        if marker is not None:
            if "databases" not in marker.kwargs and not marker.args:
                item.add_marker(pytest.mark.django_db(**marker.kwargs, databases=aliases), append=False)
        elif _wants_database(item):
            item.add_marker(pytest.mark.django_db(databases=aliases))


def usable_databases() -> list[str]:
    """Return the databases that tests may use when they name none; none without Django, or without components."""
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


def is_fixture_ours(item: pytest.Item, name: str) -> bool:
    """Whether a fixture is this plugin's, or one that builds upon it; another plugin's may have the same name."""
    definitions = getattr(item, "_fixtureinfo").name2fixturedefs.get(name, ())  # noqa: B009
    for definition in reversed(definitions):
        if definition.func.__module__.startswith(f"{__package__}."):
            return True
        if name not in definition.argnames:
            break
    return False


def _wants_database(item: pytest.Item) -> bool:
    asked = set(getattr(item, "fixturenames", ()))
    if not asked.isdisjoint(_DATABASE):
        return True
    is_real = item.get_closest_marker("real") is not None
    return any(is_fixture_ours(item, name) for name in _FIXTURES & asked) and not is_real
