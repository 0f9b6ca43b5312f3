"""A mutation at a server that falls silent: it ends within its time, whatever it asks of the broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
from django.test import override_settings

from byron.broker.base import Claim
from byron.broker.connection import broker_for, use_broker
from byron.broker.nats import NatsBroker
from byron.broker.nats.api import API_TIMEOUT
from byron.broker.patience import answers_within, patience
from byron.events.event import Message
from byron.exceptions import BrokerUnavailableError
from byron.schema.installed import ComponentConfig
from byron.testing import GraphQLFailure, event
from byron.testing.component import ComponentUnderTest
from tests.broker.conformance import TIMEOUT
from tests.broker.conftest import RealServer
from tests.conftest import publish_foreign

pytestmark = pytest.mark.broker


ASKING: dict[str, Callable[[NatsBroker], object]] = {
    "ensure_log": lambda broker: broker.ensure_log(),
    "last_of": lambda broker: broker.last_of("k"),
    "first_of": lambda broker: broker.first_of("k", ["a.b", "c.d"], 0),
    "backlog_age": lambda broker: broker.backlog_age(["a.b"], 0),
    "get": lambda broker: broker.get(1),
    "claim_age": lambda broker: broker.claim_age(Claim(name="n", holder="h", number=1)),
}


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING)
def test_who_has_only_so_much_time_is_told_in_time(
    own_broker: NatsBroker, own_server: RealServer, ask: Callable[[NatsBroker], object]
) -> None:
    own_server.pause()
    began = time.monotonic()
    with answers_within(0.3):
        for _ in range(3):
            with pytest.raises(BrokerUnavailableError):
                ask(own_broker)
    assert 0.3 <= time.monotonic() - began < 2
    own_server.resume()
    with answers_within(20):
        ask(own_broker)


def test_the_inner_one_of_two_holds() -> None:
    assert patience() is None
    with answers_within(0):
        assert patience() == 0
        with answers_within(60):
            assert 0 < (patience() or 0) <= 60
        assert patience() == 0
    assert patience() is None


@pytest.fixture
def shelf(
    component: ComponentUnderTest, library: ComponentConfig, own_server: RealServer
) -> Iterator[ComponentUnderTest]:
    """A shelf, and a log at a real server with one more event about it that the Cache has not applied."""
    component.publish(event("shelf.made", id="s1", label="top", count=0))
    component.settle()
    publish_foreign(component, event("shelf.painted", id="s1"))
    with NatsBroker(library.component.namespace, own_server.url) as broker:
        broker.ensure_log()
        for each in component.broker.messages:
            broker.publish([Message(subject=each.subject, headers=each.headers, body=each.body)], TIMEOUT)
        with use_broker(library.component.namespace, broker):
            yield component


CREATE, CHANGE = ("createAuthor", {"fullName": "Ada"}), ("changeShelf", {"id": "s1", "count": 1, "version": "1"})


@pytest.mark.parametrize(
    ("question", "mutation"),
    [("ensure_log", CREATE), ("get", CREATE), ("backlog_age", CREATE), ("last_of", CHANGE), ("first_of", CHANGE)],
)
def test_a_mutation_ends_in_time_when_the_server_falls_silent(
    shelf: ComponentUnderTest,
    library: ComponentConfig,
    own_server: RealServer,
    question: str,
    mutation: tuple[str, dict[str, Any]],
) -> None:
    broker = broker_for(library.component.namespace)
    ask, began = getattr(broker, question), []

    def ask_in_vain(*arguments: Any, **options: Any) -> Any:
        if not began:
            own_server.pause()
            began.append(time.monotonic())
        return ask(*arguments, **options)

    with (
        override_settings(BYRON_PUBLISH_TIMEOUT=1.0),
        mock.patch.object(broker, question, ask_in_vain),
        pytest.raises(GraphQLFailure) as failure,
    ):
        shelf.mutate(mutation[0], **mutation[1])
    taken = time.monotonic() - began[0]
    own_server.resume()

    assert failure.value.code == "BROKER_UNAVAILABLE"
    # What is asked has a limit of its own, which is longer.
    assert taken < 2.5 < API_TIMEOUT
    assert broker.log_info().last == 2
