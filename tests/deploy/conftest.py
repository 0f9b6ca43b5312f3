from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.projects import PROJECTS


@pytest.fixture(scope="session", params=PROJECTS, ids=lambda make: make.__name__)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make: Callable[[Path], Path] = request.param
    return make(tmp_path_factory.mktemp("deploy"))


def tool(name: str, package: str) -> str:
    """Return a program that a package of the extra `dev` brings; skip the test without it."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: pip install {package}")
    return found
