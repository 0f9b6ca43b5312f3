from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from byron.broker.base import Broker
from byron.broker.memory import MemoryBroker
from byron.exceptions import BrokerUnavailableError
from tests.broker.conformance import TIMEOUT, BrokerConformance, make_message, make_messages, positions


@pytest.fixture
def empty_broker(namespace: str) -> Iterator[Broker]:
    with MemoryBroker(namespace) as broker:
        yield broker


@pytest.fixture
def broker(namespace: str) -> Iterator[MemoryBroker]:
    with MemoryBroker(namespace) as broker:
        broker.ensure_log()
        yield broker


class TestMemoryBroker(BrokerConformance):
    pass


def test_tests_can_read_what_was_published(broker: MemoryBroker) -> None:
    messages = make_messages(broker, 2)
    broker.publish(messages, TIMEOUT)
    assert [message.headers["ce-id"] for message in broker.messages] == [message.id for message in messages]


def test_an_outage_can_be_simulated(broker: MemoryBroker) -> None:
    consumer = broker.consumer("main", ["new.student"], 0)
    broker.available = False
    assert not broker.is_connected()
    for operation in (
        lambda: broker.publish([make_message(broker)], TIMEOUT),
        broker.ensure_log,
        broker.log_info,
        lambda: broker.get(1),
        lambda: consumer.fetch(1, 0.01),
        consumer.pending,
        lambda: broker.consumer("main", ["new.student"], 0),
    ):
        with pytest.raises(BrokerUnavailableError, match="outage is simulated"):
            operation()
    assert broker.messages == []


def test_a_fetch_waits_through_a_short_outage(broker: MemoryBroker) -> None:
    consumer = broker.consumer("main", ["new.student"], 0)
    broker.publish([make_message(broker)], TIMEOUT)
    broker.available = False

    def end_outage() -> None:
        broker.available = True

    timer = threading.Timer(0.1, end_outage)
    timer.start()
    assert positions(consumer.fetch(1, TIMEOUT)) == [1]
    timer.join()
