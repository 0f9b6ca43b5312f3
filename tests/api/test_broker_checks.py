"""The system checks of the broker's credentials, and of what they are to allow."""

from __future__ import annotations

from django.core.checks import run_checks
from django.test import override_settings

from byron.broker.access import new_seed
from byron.schema.installed import installed_component


def messages(*ids):
    return [message for message in run_checks(tags=["byron"]) if message.id in ids]


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
