"""The pytest plugin of components' tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from byron.testing.component import ComponentUnderTest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests that use a component its databases, each test's changes undone after it."""
    for item in items:
        if "component" in getattr(item, "fixturenames", ()) and item.get_closest_marker("django_db") is None:
            item.add_marker(pytest.mark.django_db(databases=_aliases()))


def _aliases() -> list[str]:
    # Imported late: pytest loads plugins before Django's settings are there.
    from byron.schema.installed import installed_components

    return [config.alias for config in installed_components()]


@pytest.fixture
def component(request: pytest.FixtureRequest) -> Iterator[ComponentUnderTest]:
    """The component that the test lies in, or else the project's first."""
    from byron.commands.functions import load_function
    from byron.schema.installed import installed_components
    from byron.testing.component import ComponentUnderTest

    configs = installed_components()
    if not configs:
        pytest.fail("This project has no component to test.")
    around = [config for config in configs if request.path.is_relative_to(config.path)]
    # A test may have replaced a function that an earlier one loaded.
    load_function.cache_clear()
    with ComponentUnderTest((around or configs)[0]).connected() as under_test:
        yield under_test
    load_function.cache_clear()
