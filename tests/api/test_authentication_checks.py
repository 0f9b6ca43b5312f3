"""System checks of authentication and roles."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import override_settings

pytestmark = pytest.mark.usefixtures("guarded")


@pytest.fixture(autouse=True)
def _debug():
    with override_settings(DEBUG=True):
        yield


def messages(*ids):
    return [message for message in run_checks(tags=["byron"]) if not ids or message.id in ids]


def test_each_mutation_without_roles_is_a_warning(authentication):
    warnings = messages("byron.W002")

    assert [warning.msg for warning in warnings] == [
        "The mutation changeBook of library is open to everyone.",
        "The mutation removeBook of library is open to everyone.",
        "The mutation renameAuthor of library is open to everyone.",
        "The mutation makeEverything of library is open to everyone.",
        *(
            f"The mutation {name} of library is open to everyone."
            for name in (
                "makeShelf",
                "changeShelf",
                "overwriteShelf",
                "dropShelf",
                "fillShelf",
                "sendParcel",
                "wrapParcel",
                "soilParcel",
            )
        ),
        "The mutation createStudent of students is open to everyone.",
    ]
    assert "[anyone]" in warnings[0].hint
    assert messages() == warnings


def test_roles_that_nobody_can_have_are_a_warning_of_the_command_check_alone():
    said = StringIO()
    with override_settings(DEBUG=True):
        call_command("check", tags=["byron"], stderr=said)

    assert (
        "(byron.W003) Nobody can use these commands of library: createAuthor, getAuthor, closeLibrary."
        in said.getvalue()
    )
    assert "BYRON_JWT_KEYS" in said.getvalue()
    assert messages() == []


@pytest.mark.parametrize("name", ["BYRON_JWT_AUDIENCE", "BYRON_JWT_ISSUER"])
def test_audience_and_issuer_are_required(authentication, name):
    with override_settings(**{name: ""}):
        [error] = messages("byron.E009")

    assert error.msg == f"BYRON_JWT_KEYS is set, but {name} is not."


@pytest.mark.parametrize("leeway", [-1, 301, True])
def test_a_leeway_has_bounds(authentication, leeway):
    with override_settings(BYRON_JWT_LEEWAY=leeway):
        [error] = messages("byron.E010")

    assert error.msg == f"BYRON_JWT_LEEWAY is {leeway}."


def test_a_missing_extra_is_an_error(authentication, monkeypatch):
    monkeypatch.setattr("byron.api.identity.authentication.find_spec", lambda name: None)
    [error] = messages("byron.E011")

    assert "pip install 'byron-framework[jwt]'" in error.msg


@pytest.mark.parametrize(
    ("algorithms", "message"),
    [
        (["none"], "lists none, which is not allowed"),
        (["RS256", "None"], "lists None, which is not allowed"),
        (["RS257", "rs256", 5], "lists RS257, rs256, 5, which is not allowed"),
        ([], "is empty"),
        ("RS256", "is a text, and no list"),
    ],
)
def test_algorithms_are_known_ones(authentication, algorithms, message):
    with override_settings(BYRON_JWT_ALGORITHMS=algorithms):
        [error] = messages("byron.E012")

    assert error.msg == f"BYRON_JWT_ALGORITHMS {message}."
    assert "ES256, ES256K" in error.hint


def test_a_file_of_keys_must_be_one(authentication, keys_file):
    keys_file.write_text("{}")
    [error] = messages("byron.E013")
    assert error.msg.endswith('jwks.json cannot be used: it is no JWKS: a JSON object with a list "keys".')

    keys_file.write_text('{"keys": []}')
    with override_settings(BYRON_JWT_ALGORITHMS=["RS256", "ES256"]):
        [error] = messages("byron.E013")
    assert error.msg.endswith("jwks.json holds no key for RS256, ES256.")

    keys_file.unlink()
    [error] = messages("byron.E013")
    assert error.msg.endswith("jwks.json cannot be used: No such file or directory.")


def test_an_address_of_keys_is_not_asked_but_must_be_safe(authentication):
    with override_settings(BYRON_JWT_KEYS="https://login.example.invalid/jwks"):
        assert messages("byron.E013") == []
    with override_settings(BYRON_JWT_KEYS="http://login.example.invalid/jwks"):
        [error] = messages("byron.E013")

    assert "http://login.example.invalid/jwks is no https:// address" in error.msg
