"""Of the project Perses: what goes wrong around its tests, by the environment."""

import os

import pytest

from byron.exceptions import MissingExtraError


@pytest.fixture(autouse=True, scope="session")
def _without_server():
    if "WITHOUT_SERVER" not in os.environ:
        yield
        return

    def nothing():
        raise MissingExtraError("There is none.")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("byron.broker.server.find_binary", nothing)
        yield
