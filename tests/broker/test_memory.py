from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from byron.broker.base import Broker
from byron.broker.memory import MemoryBroker
from byron.exceptions import BrokerUnavailableError, ConsumerLostError
from tests.broker.conformance import TIMEOUT, BrokerConformance, drain, make_message, make_messages, positions


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
        lambda: broker.find("subject", "id", 0),
        lambda: broker.find_all("subject", ["id"], 0, reader="main"),
        consumer.pending,
        lambda: broker.claim("name", "me", 60, TIMEOUT),
        lambda: broker.backlog_age(["new.student"], 0),
        lambda: broker.consumer("main", ["new.student"], 0),
    ):
        with pytest.raises(BrokerUnavailableError, match="outage is simulated"):
            operation()
    assert broker.messages == []


@pytest.mark.parametrize("over", [False, True])
def test_an_outage_ends_the_readers_also_once_it_is_over(broker: MemoryBroker, over: bool) -> None:
    broker.publish(make_messages(broker, 2), TIMEOUT)
    consumer = broker.consumer("main", ["new.student"], 0)
    assert positions(consumer.fetch(1, TIMEOUT)) == [1]
    broker.available = False
    broker.available = over
    for _ in range(2):
        with pytest.raises(ConsumerLostError, match="lost its place in the log"):
            consumer.fetch(1, TIMEOUT)


def test_an_outage_ends_a_waiting_fetch(broker: MemoryBroker) -> None:
    consumer = broker.consumer("main", ["new.student"], 0)

    def begin_outage() -> None:
        broker.available = False

    timer = threading.Timer(0.1, begin_outage)
    timer.start()
    with pytest.raises(ConsumerLostError, match="lost its place in the log"):
        consumer.fetch(1, TIMEOUT)
    timer.join()


def test_after_an_outage_a_consumer_opened_anew_goes_on(broker: MemoryBroker) -> None:
    broker.publish(make_messages(broker, 3), TIMEOUT)
    drain(broker.consumer("main", ["new.student"], 0), 2)
    broker.available = False
    broker.available = True
    assert positions(drain(broker.consumer("main", ["new.student"], 2), 1)) == [3]
