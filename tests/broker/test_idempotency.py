"""The record of an Idempotency-Key at a real server, while that is away or does not answer."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from django.test import override_settings

from byron.broker.connection import use_broker
from byron.broker.nats import NatsBroker
from byron.commands.idempotency import Attempt, IdempotencyKeys
from byron.commands.records import Announced, Decision, mark_of
from byron.events.event import Message
from byron.exceptions import BrokerUnavailableError, CommandError, OutcomeUnknownError, PartlyKnownError
from byron.schema.installed import ComponentConfig
from tests.broker.conformance import TIMEOUT, eventually, make_messages
from tests.broker.conftest import RealServer

pytestmark = pytest.mark.broker


@pytest.fixture
def keys(library: ComponentConfig, own_broker: NatsBroker) -> Iterator[IdempotencyKeys]:
    with use_broker(library.component.namespace, own_broker), override_settings(BYRON_PUBLISH_TIMEOUT=1.0):
        yield IdempotencyKeys(library)


def begin(keys: IdempotencyKeys) -> Attempt:
    """Begin as a client does that tries again until it is told something."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return keys.begin("k1", None, "asked")
        except (CommandError, BrokerUnavailableError):
            if time.monotonic() > deadline:
                raise


def decide(broker: NatsBroker, attempt: Attempt, count: int) -> list[Message]:
    """Decide to publish some messages, and return them."""
    first, *rest = make_messages(broker, count)
    first = replace(first, headers={**first.headers, "ce-id": attempt.first_id, "Nats-Msg-Id": attempt.first_id})
    messages = [first, *rest]
    events = tuple(Announced(each.id, "new.thing", "k", each.subject) for each in messages)
    attempt.decide(Decision(value="v", events=events, mark=mark_of(first)))
    return messages


@pytest.mark.parametrize("count", [1, 3])
def test_what_was_published_without_an_answer_is_known_when_it_is_asked_again(
    keys: IdempotencyKeys, own_broker: NatsBroker, own_server: RealServer, count: int
) -> None:
    attempt = begin(keys)
    messages = decide(own_broker, attempt, count)
    attempt.time_to_publish(1.0)
    own_server.pause()
    with pytest.raises(OutcomeUnknownError):
        own_broker.publish(messages, 0.3, only_whole=True)
    own_server.resume()
    again = begin(keys)

    # Either it is in the log, or it never will be: then it is run again.
    if again.known is None:
        messages = decide(own_broker, again, count)
        own_broker.publish(messages, TIMEOUT, only_whole=True)
        again = begin(keys)
    assert again.known is not None and again.known.value == "v"
    assert [each.position for each in again.events] == list(range(1, count + 1))
    assert own_broker.log_info().last == count


def test_a_record_outlives_a_crash_of_the_server(
    keys: IdempotencyKeys, own_broker: NatsBroker, own_server: RealServer
) -> None:
    attempt = begin(keys)
    messages = decide(own_broker, attempt, 2)
    own_broker.publish(messages, TIMEOUT, only_whole=True)
    own_server.end(signal.SIGKILL)
    own_server.start()
    eventually(own_broker.is_connected, "the connection is back")
    again = begin(keys)

    assert [each.id for each in again.events] == [each.id for each in messages]


def test_of_two_runs_the_log_has_one(keys: IdempotencyKeys, own_broker: NatsBroker) -> None:
    with override_settings(BYRON_PUBLISH_TIMEOUT=0.1):
        slow = begin(keys)
        late = decide(own_broker, slow, 3)
        follower = begin(keys)
        assert follower.known is None
        assert follower.first_id == slow.first_id
        messages = decide(own_broker, follower, 2)
    held = own_broker.publish(late, TIMEOUT, only_whole=True)
    slow.require_own(late[0], held[0])
    with pytest.raises(PartlyKnownError, match="1 of 2 messages from someone else"):
        own_broker.publish(messages, TIMEOUT, only_whole=True)
    again = begin(keys)

    assert [each.id for each in again.events] == [each.id for each in late]
    assert own_broker.log_info().last == 3


@pytest.mark.parametrize("question", ["find", "get", "claim_age"])
def test_a_key_is_not_looked_after_for_longer_than_a_mutation_may_take(
    keys: IdempotencyKeys,
    own_broker: NatsBroker,
    own_server: RealServer,
    monkeypatch: pytest.MonkeyPatch,
    question: str,
) -> None:
    messages = decide(own_broker, begin(keys), 1)
    if question == "get":
        own_broker.publish(messages, TIMEOUT)
    ask, began = getattr(own_broker, question), []

    def ask_in_vain(*arguments: object) -> object:
        own_server.pause()
        began.append(time.monotonic())
        return ask(*arguments)

    monkeypatch.setattr(own_broker, question, ask_in_vain)
    with pytest.raises(BrokerUnavailableError):
        keys.begin("k1", None, "asked")
    assert time.monotonic() - began[0] < 2.5
