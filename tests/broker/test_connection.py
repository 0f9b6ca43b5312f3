from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from byron.broker import server as embedded
from byron.broker.connection import broker_for, close_brokers, use_broker
from byron.broker.memory import MemoryBroker
from byron.broker.nats import NatsBroker
from tests.broker.conformance import eventually
from tests.broker.conftest import RealServer

pytestmark = pytest.mark.broker


@pytest.fixture(autouse=True)
def closed_afterwards() -> Iterator[None]:
    yield
    close_brokers()


def test_the_configured_broker_is_used_and_kept(shared_server: RealServer, namespace: str, settings: Any) -> None:
    settings.BYRON_BROKER_URL = shared_server.url
    broker = broker_for(namespace)
    assert broker.ensure_log().last == 0
    assert broker_for(namespace) is broker is broker_for(namespace.lower())
    assert broker_for("Other") is not broker


def test_another_configured_broker_replaces_the_first(shared_server: RealServer, namespace: str, settings: Any) -> None:
    settings.BYRON_BROKER_URL = "nats://127.0.0.1:1"
    first = broker_for(namespace)
    settings.BYRON_BROKER_URL = shared_server.url
    assert broker_for(namespace) is not first
    assert broker_for(namespace).ensure_log().last == 0


def test_without_a_broker_the_error_names_the_setting(namespace: str, settings: Any) -> None:
    settings.BYRON_BROKER_URL = ""
    settings.DEBUG = False
    with pytest.raises(ImproperlyConfigured, match=rf"'{namespace}' has no broker: set BYRON_BROKER_URL"):
        broker_for(namespace)


def test_under_debug_the_embedded_broker_starts_and_starts_again(namespace: str, settings: Any, tmp_path: Path) -> None:
    settings.BYRON_BROKER_URL = ""
    settings.DEBUG = True
    settings.BYRON_STATE_DIRECTORY = str(tmp_path)
    broker = broker_for(namespace)
    created = broker.ensure_log().created
    first = embedded.running(namespace)
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: not broker.is_connected(), "the loss is noticed")
    assert broker_for(namespace).ensure_log().created == created
    second = embedded.running(namespace)
    assert second is not None and second.pid != first.pid
    # Its port is the same unless somebody else has taken it meanwhile.
    assert (broker_for(namespace) is broker) == (second.url == first.url)
    assert embedded.stop(namespace)


def test_a_test_can_install_its_own_broker(namespace: str, settings: Any) -> None:
    settings.BYRON_BROKER_URL = "nats://127.0.0.1:1"
    with MemoryBroker(namespace) as outer, MemoryBroker(namespace) as inner:
        with use_broker(namespace, outer):
            with use_broker(namespace, inner) as installed:
                assert installed is inner is broker_for(namespace.upper())
            assert broker_for(namespace) is outer
        assert isinstance(broker_for(namespace), NatsBroker)
