"""The system checks of the broker's credentials, and of what they are to allow."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from byron.broker.access import new_seed
from byron.schema.installed import installed_component


def messages(*ids):
    return [message for message in run_checks(tags=["byron"]) if message.id in ids]


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://x", "has the scheme http://"),
        ("garbage", "has no scheme"),
        ("user:secret@broker", "has no scheme"),
        ("us er:secret://broker", "has no scheme"),
        ("nats://a:4222,http://b:4222", "has the scheme http://"),
        ("nats://a:4222,", "has an empty address"),
        ("nats://user:secret@:4222", "has an address without a host"),
        ("nats://user:se/cret@broker:4222", "has a host or port that cannot be read; in a password, / is written %2F"),
        ("nats://broker:secret", "has a host or port that cannot be read"),
        ("nats://user:12#secret@broker:4222", "has more than a host and a port; in a password, / is written %2F"),
        ("nats://broker:4222/secret?a=b", "has more than a host and a port"),
        ("nats://a:4222,ws://b:80", "mixes addresses of WebSockets with others"),
    ],
)
def test_an_address_that_is_no_broker_s_is_an_error_that_keeps_passwords(url, problem):
    with override_settings(BYRON_BROKER_URL=url):
        [error] = messages("byron.E001", "byron.E019")

    assert error.id == "byron.E019"
    assert error.msg.startswith(f"BYRON_BROKER_URL {problem}")
    assert "secret" not in error.msg + error.hint
    assert "nats://user:password@broker:4222" in error.hint


@pytest.mark.parametrize(
    "url",
    [
        "nats://broker",
        "tls://user:p%40ss@broker:4222",
        "nats://a:4222, nats://b:4222,c:4222",
        "ws://a:80,wss://b/path",
        "nats://token@[::1]:4222",
        "127.0.0.1:4222",
    ],
)
def test_addresses_that_the_client_takes_are_none(url):
    with override_settings(BYRON_BROKER_URL=url):
        assert messages("byron.E001", "byron.E019") == []


def test_credentials_that_cannot_be_used_are_an_error(tmp_path):
    path = tmp_path / "api.nk"
    with override_settings(BYRON_BROKER_URL="nats://broker:4222", BYRON_BROKER_CREDENTIALS=str(path)):
        [error] = messages("byron.E015")
    assert error.msg == f"BYRON_BROKER_CREDENTIALS: {path} cannot be read: No such file or directory."


def test_with_rights_mutations_that_do_not_say_what_they_emit_are_named(tmp_path):
    path = tmp_path / "api.nk"
    path.write_text(new_seed())
    path.chmod(0o600)
    with override_settings(BYRON_BROKER_URL="nats://broker:4222"):
        assert messages("byron.E015", "byron.W004") == []
        with override_settings(BYRON_BROKER_CREDENTIALS=str(path)):
            told = [message.msg for message in messages("byron.E015", "byron.W004")]
    silent = installed_component("library").component.silent_mutations
    assert silent
    assert f"The broker will refuse what these mutations of library emit: {', '.join(silent)}." in told
