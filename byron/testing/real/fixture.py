"""What the fixture `system` is on real processes: made of a test's marker, its project and its directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections

from byron.broker import server
from byron.schema.installed import installed_components
from byron.testing.real.places import Places
from byron.testing.real.system import RealSystem, migrate


@contextmanager
def real_system(request: pytest.FixtureRequest, marker: pytest.Mark) -> Iterator[RealSystem]:
    """Run the project's components for a test. Raises MissingExtraError without nats-server, and SystemFailure."""
    patience = marker.kwargs.get("patience", 1)
    is_number = isinstance(patience, int | float) and not isinstance(patience, bool)
    if marker.args or set(marker.kwargs) - {"patience"} or not is_number or not 0 < patience < inf:
        pytest.fail("The marker `real` takes seconds by name: @pytest.mark.real(patience=90)", pytrace=False)
    server.find_binary()
    caches = request.getfixturevalue("_migrated_caches")
    directory = request.getfixturevalue("tmp_path") / "system"
    made = RealSystem(installed_components(), _places(request.config, directory), **marker.kwargs)
    with made.running(caches):
        yield made


def migrated_caches(config: pytest.Config, directory: Path) -> Path:
    """Make empty Caches, of which each test gets a copy; return their directory. Raises SystemFailure."""
    return migrate(_places(config, directory))


def _places(config: pytest.Config, directory: Path) -> Places:
    databases = [alias for alias, each in connections.settings.items() if not each["ENGINE"].endswith(".dummy")]
    return Places(
        project=Path(getattr(settings, "BASE_DIR", None) or config.rootpath),
        settings=os.environ["DJANGO_SETTINGS_MODULE"],
        databases=tuple(databases),
        directory=directory,
    )
