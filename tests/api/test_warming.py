"""What a process does before its first request."""

from __future__ import annotations

import pytest
from django.test import RequestFactory, override_settings

from byron.api.identity.authentication import requesting_user
from byron.api.urls import services
from byron.api.warming import warm_up
from byron.broker.connection import use_broker
from byron.broker.memory import MemoryBroker
from byron.exceptions import BrokerUnavailableError
from tests.api.issuer import KeyServer, jwks

NAMESPACES = sorted({service.config.component.namespace for service in services.values()})


def test_every_broker_is_connected_to_and_every_component_asked(monkeypatch):
    asked = []
    for label, service in services.items():
        monkeypatch.setattr(service, "execute", lambda query, label=label: asked.append((label, query)))
    brokers = {namespace: MemoryBroker(namespace) for namespace in NAMESPACES}
    connected = []
    for namespace, broker in brokers.items():
        monkeypatch.setattr(broker, "ensure_log", lambda namespace=namespace: connected.append(namespace))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("byron.api.warming.broker_for", brokers.__getitem__)
        warm_up()

    assert asked == [(label, "{ __typename }") for label in services]
    assert connected == NAMESPACES
    assert services


def test_a_broker_that_is_away_is_no_error(caplog):
    class Away(MemoryBroker):
        def ensure_log(self):
            raise BrokerUnavailableError("nobody there")

    namespace = NAMESPACES[0]
    with use_broker(namespace, Away(namespace)):
        warm_up()

    assert f"starting without the broker namespace={namespace} error=nobody there" in caplog.messages


@pytest.fixture
def brokers(monkeypatch):
    monkeypatch.setattr("byron.api.warming.broker_for", MemoryBroker)


def test_the_keys_of_an_address_are_fetched(authentication, issuer, brokers):
    with KeyServer().running() as server, override_settings(BYRON_JWT_KEYS=server.url):
        server.text = jwks(issuer)
        warm_up()
        assert server.asked == 1
        server.open.clear()

        request = RequestFactory().post("/", headers={"Authorization": f"Bearer {issuer.token()}"})
        assert requesting_user(request).id == "ada"


def test_keys_that_cannot_be_had_are_no_error(authentication, brokers, caplog):
    with KeyServer().running() as gone:
        pass
    with override_settings(BYRON_JWT_KEYS=gone.url):
        warm_up()

    [told] = [record for record in caplog.records if "without the keys" in record.message]
    assert told.levelname == "WARNING"
    assert told.message.startswith(f"starting without the keys of tokens error=No keys from {gone.url}: ")
