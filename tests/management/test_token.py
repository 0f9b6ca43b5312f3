"""`manage.py token`: what it makes is accepted, and only in development."""

from __future__ import annotations

import json
import stat
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import RequestFactory, override_settings

from byron.api.identity.authentication import requesting_user


@pytest.fixture
def place(tmp_path):
    given = {"KEYS": str(tmp_path / "jwks.json"), "ISSUER": "development", "AUDIENCE": "library"}
    jwt = {f"BYRON_JWT_{name}": value for name, value in given.items()}
    with override_settings(DEBUG=True, BYRON_STATE_DIRECTORY=str(tmp_path / "state"), **jwt):
        yield tmp_path


def token(*arguments):
    out = StringIO()
    call_command("token", *arguments, stdout=out)
    return out.getvalue().strip()


def user(made):
    return requesting_user(RequestFactory().get("/", headers={"Authorization": f"Bearer {made}"}))


def test_the_token_is_accepted_with_its_roles_and_the_secret_stays_out_of_the_project(place):
    made = user(token("ada", "--role", "teacher", "--role", "admin"))

    assert (made.id, made.roles) == ("ada", {"teacher", "admin"})
    assert "d" not in json.loads((place / "jwks.json").read_text())["keys"][0]
    key = place / "state/development-key.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes(), (place / "jwks.json").read_bytes()
    assert user(token("bob")).roles == frozenset()
    assert (key.read_bytes(), (place / "jwks.json").read_bytes()) == before


def test_roles_go_where_they_are_looked_for(place):
    with override_settings(BYRON_JWT_ROLES_CLAIM="realm_access.roles"):
        assert user(token("ada", "--role", "teacher")).roles == {"teacher"}


def test_outside_debug_it_is_refused_and_makes_nothing(place):
    with override_settings(DEBUG=False), pytest.raises(CommandError, match="`token` is for development"):
        token("ada")

    assert list(place.iterdir()) == []


@pytest.mark.parametrize("missing", ["BYRON_JWT_KEYS", "BYRON_JWT_ISSUER", "BYRON_JWT_AUDIENCE"])
def test_without_settings_it_says_which(place, missing):
    with override_settings(**{missing: ""}), pytest.raises(CommandError, match=f"Put these into .env(.|\n)*{missing}="):
        token("ada")


def test_keys_of_others_are_left_alone(place):
    (place / "jwks.json").write_text('{"keys": []}')

    with pytest.raises(CommandError, match="jwks.json has other keys than this machine's own"):
        token("ada")
    assert (place / "jwks.json").read_text() == '{"keys": []}'
    address = "https://login.example.org/keys"
    with override_settings(BYRON_JWT_KEYS=address), pytest.raises(CommandError, match="have their owner make one"):
        token("ada")
