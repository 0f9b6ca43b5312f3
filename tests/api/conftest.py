"""A component with roles, and authentication that is on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.test import override_settings

from byron.api.identity.authentication import _verifier
from byron.schema.installed import ComponentConfig
from byron.schema.model import Component
from tests.api.issuer import AUDIENCE, ISSUER, Issuer, jwks

ROLES = {
    "createAuthor": ["teacher", "admin"],
    "getAuthor": ["teacher"],
    "closeLibrary": ["authenticated"],
    "addBook": ["anyone"],
}


@pytest.fixture
def guarded(library: ComponentConfig, monkeypatch: pytest.MonkeyPatch) -> Component:
    """The library with roles on some of its commands."""
    data = yaml.safe_load(library.schema_path.read_text())
    for command in data["content"]["commands"]:
        if command["name"] in ROLES:
            command["roles"] = ROLES[command["name"]]
    component = Component.model_validate(data)
    monkeypatch.setitem(library.__dict__, "component", component)
    return component


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def keys_file(tmp_path: Path, issuer: Issuer) -> Path:
    path = tmp_path / "jwks.json"
    path.write_text(jwks(issuer))
    return path


@pytest.fixture
def authentication(keys_file: Path) -> Iterator[None]:
    """Settings under which the issuer's tokens are accepted."""
    _verifier.cache_clear()
    with override_settings(BYRON_JWT_KEYS=str(keys_file), BYRON_JWT_AUDIENCE=AUDIENCE, BYRON_JWT_ISSUER=ISSUER):
        yield
    _verifier.cache_clear()
