from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import signal
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any

import nats
import pytest

from byron.broker.base import Broker, Claim, Consumer, Expected
from byron.broker.nats import NatsBroker, reading
from byron.broker.nats import consumer as consuming
from byron.broker.nats.session import Session
from byron.events.codec import decode
from byron.events.event import Message, StoredMessage
from byron.events.subjects import stream_name
from byron.exceptions import (
    BrokerError,
    BrokerUnavailableError,
    ConsumerLostError,
    EventError,
    LogMismatchError,
    MessageTooLargeError,
    OutcomeUnknownError,
    PublishDeniedError,
    PublishRefusedError,
)
from tests.broker.conformance import (
    TIMEOUT,
    BrokerConformance,
    drain,
    eventually,
    make_message,
    make_messages,
    positions,
)
from tests.broker.conftest import RealServer

pytestmark = pytest.mark.broker


@pytest.fixture
def empty_broker(shared_server: RealServer, namespace: str) -> Iterator[NatsBroker]:
    with NatsBroker(namespace, shared_server.url) as broker:
        yield broker


@pytest.fixture
def broker(empty_broker: NatsBroker) -> NatsBroker:
    empty_broker.ensure_log()
    return empty_broker


class TestNatsBroker(BrokerConformance):
    pass


def ask(server: RealServer, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a request past Byron, as an administrator or another program would."""

    async def request() -> dict[str, Any]:
        client = await nats.connect(server.url)
        answer = await client.request(subject, json.dumps(body).encode() if body else b"", timeout=5)
        await client.close()
        return dict(json.loads(answer.data))

    return run(request())


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def publish_surely(broker: NatsBroker, messages: list[Message]) -> None:
    """Publish as an outbox does: with the same ids, until the log has it."""
    deadline = time.monotonic() + 15
    while True:
        try:
            broker.publish(messages, 1.0)
            return
        except (BrokerUnavailableError, OutcomeUnknownError):
            assert time.monotonic() < deadline
            time.sleep(0.02)


class TestLog:
    def test_the_stream_never_drops_an_event(self, broker: NatsBroker, shared_server: RealServer) -> None:
        config = ask(shared_server, f"$JS.API.STREAM.INFO.{stream_name(broker.namespace)}")["config"]
        expected = {
            "subjects": [f"{broker.namespace.lower()}.*.*.>"],
            "storage": "file",
            "retention": "limits",
            "discard": "new",
            "max_age": 0,
            "max_bytes": -1,
            "max_msgs": -1,
            "deny_delete": True,
            "deny_purge": True,
            "allow_atomic": True,
            "duplicate_window": 600 * 10**9,
            "num_replicas": 1,
        }
        assert {key: config[key] for key in expected} == expected

    def test_a_stream_of_that_name_with_other_subjects_is_left_alone(
        self, empty_broker: NatsBroker, shared_server: RealServer
    ) -> None:
        name = stream_name(empty_broker.namespace)
        ask(shared_server, f"$JS.API.STREAM.CREATE.{name}", {"name": name, "subjects": [f"other.{name}"]})
        with pytest.raises(BrokerError, match=rf"exists with the subjects other\.{name}, .* has {name}\.\*\.\*\.>"):
            empty_broker.ensure_log()

    def test_processes_may_create_the_log_at_once(self, shared_server: RealServer, namespace: str) -> None:
        brokers = [NatsBroker(namespace, shared_server.url) for _ in range(6)]
        created: list[Any] = []
        threads = [threading.Thread(target=lambda b=b: created.append(b.ensure_log().created)) for b in brokers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for broker in brokers:
            broker.close()
        assert len(created) == 6 and len(set(created)) == 1


class TestPublishing:
    def test_a_message_beyond_the_servers_limit_is_refused_and_the_connection_kept(self, broker: NatsBroker) -> None:
        with pytest.raises(BrokerError, match=r"takes 10\d{5} bytes; the broker takes at most 1048576"):
            broker.publish([make_message(broker, size=1024 * 1024)], TIMEOUT)
        assert broker.is_connected()
        assert broker.publish([make_message(broker, size=1000 * 1000)], TIMEOUT)[0].position == 1

    def test_headers_count_towards_the_limit(self, broker: NatsBroker) -> None:
        small = make_message(broker)
        message = Message(subject=small.subject, headers=small.headers, body=b"x" * (1024 * 1024 - 10))
        with pytest.raises(MessageTooLargeError, match="at most 1048576"):
            broker.publish([message], TIMEOUT)
        assert broker.is_connected()

    def test_a_batch_beyond_the_servers_limit_is_refused(self, broker: NatsBroker) -> None:
        with pytest.raises(PublishRefusedError, match="1001 messages do not fit into one batch; at most 1000 do"):
            broker.publish(make_messages(broker, 1001), TIMEOUT)
        assert len(broker.publish(make_messages(broker, 1000), 20.0)) == 1000

    def test_a_batch_with_an_oversized_message_stores_nothing(self, broker: NatsBroker) -> None:
        messages = [make_message(broker), make_message(broker, size=1024 * 1024), make_message(broker)]
        with pytest.raises(BrokerError, match="at most 1048576"):
            broker.publish(messages, TIMEOUT)
        assert broker.log_info().last == 0

    def test_a_denied_publish_is_reported_at_once(self, broker: NatsBroker, shared_server: RealServer) -> None:
        message = make_message(broker, key="Ann", name="forbidden")
        with NatsBroker(broker.namespace, shared_server.url_for("limited")) as limited:
            began = time.monotonic()
            with pytest.raises(PublishDeniedError, match=rf"do not allow publishing on '{message.subject}'"):
                limited.publish([message], TIMEOUT)
            assert time.monotonic() - began < TIMEOUT / 2
            assert limited.publish([make_message(broker, name="allowed")], TIMEOUT)[0].position == 1

    @pytest.mark.parametrize("denied", [0, 1, 2])
    def test_a_partly_denied_batch_stores_nothing(
        self, broker: NatsBroker, shared_server: RealServer, denied: int
    ) -> None:
        names = ["allowed"] * 3
        names[denied] = "forbidden"
        with NatsBroker(broker.namespace, shared_server.url_for("limited")) as limited:
            with pytest.raises(PublishDeniedError, match="forbidden"):
                limited.publish([make_message(broker, name=name) for name in names], TIMEOUT)
            assert broker.log_info().last == 0

    def test_a_publish_while_the_server_is_down_fails_at_once_and_is_never_sent(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.publish([make_message(own_broker)], TIMEOUT)
        own_server.end()
        eventually(lambda: not own_broker.is_connected(), "the loss is noticed")
        for messages in (make_messages(own_broker, 1), make_messages(own_broker, 3)):
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:\d+ cannot be reached"):
                own_broker.publish(messages, TIMEOUT)
            assert time.monotonic() - began < TIMEOUT / 2
        own_server.start()
        eventually(own_broker.is_connected, "the connection is back")
        [acknowledgement] = own_broker.publish([make_message(own_broker)], TIMEOUT)
        assert acknowledgement.position == 2

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_publish_to_a_stopped_server_is_unknown_and_stored_at_most_once(
        self, own_broker: NatsBroker, own_server: RealServer, count: int
    ) -> None:
        messages = make_messages(own_broker, count)
        own_broker.log_info()
        own_server.pause()
        began = time.monotonic()
        with pytest.raises((OutcomeUnknownError, BrokerUnavailableError), match="may or may not|cannot be reached"):
            own_broker.publish(messages, 0.6)
        assert 0.5 < time.monotonic() - began < 1.5
        own_server.resume()
        assert own_broker.publish([make_message(own_broker)], TIMEOUT)
        assert own_broker.log_info().last in (1, count + 1)
        publish_surely(own_broker, messages)
        assert own_broker.log_info().last == count + 1

    @pytest.mark.parametrize("count", [1, 3])
    def test_a_repeated_try_is_not_refused_because_of_the_first(
        self, own_broker: NatsBroker, own_server: RealServer, count: int
    ) -> None:
        own_server.pause()
        # The first try is answered after the second one has begun.
        resume = threading.Timer(0.9, own_server.resume)
        resume.start()
        messages = [make_message(own_broker, "a", f"n{number}") for number in range(count)]
        stored = own_broker.publish(messages, 2.0, expected=Expected(key="a", position=0))
        resume.join()
        assert [each.position for each in stored] == list(range(1, count + 1))
        assert own_broker.log_info().last == count

    def test_nothing_that_a_stopped_server_did_not_take_is_sent_later(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.log_info()
        own_server.pause()
        filler = make_message(own_broker, size=900_000)
        for _ in range(12):
            with pytest.raises((OutcomeUnknownError, BrokerUnavailableError)):
                own_broker.publish([filler], 0.05)
        late = make_message(own_broker, name="late")
        with pytest.raises((OutcomeUnknownError, BrokerUnavailableError)):
            own_broker.publish([late], 0.05)
        own_server.resume()
        [acknowledgement] = own_broker.publish([make_message(own_broker, name="last")], TIMEOUT)
        stored = [own_broker.get(position) for position in range(1, acknowledgement.position)]
        assert [item.headers["ce-id"] for item in stored if item] in ([], [filler.id])

    def test_publishing_survives_a_restart_of_the_server(self, own_broker: NatsBroker, own_server: RealServer) -> None:
        own_broker.publish([make_message(own_broker)], TIMEOUT)
        for number in (signal.SIGKILL, signal.SIGTERM):
            own_server.end(number)
            own_server.start()
            publish_surely(own_broker, [make_message(own_broker)])
        assert own_broker.log_info().last == 3


class TestClaims:
    def test_claims_outlive_a_restart_of_the_server(self, own_broker: NatsBroker, own_server: RealServer) -> None:
        first = own_broker.claim("n", "me", 60, TIMEOUT)
        for number in (signal.SIGKILL, signal.SIGTERM):
            own_server.end(number)
            own_server.start()
            eventually(own_broker.is_connected, "the connection is back")
            assert claim_surely(own_broker, "n", "you") == first

    def test_a_claim_s_time_goes_on_while_the_server_is_down(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.claim("n", "me", 1, TIMEOUT)
        own_server.end()
        own_server.start()
        eventually(lambda: claim_surely(own_broker, "n", "you").is_own, "the claim to end", timeout=5)

    def test_a_claim_while_the_server_is_down_fails_at_once_and_is_never_made(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.claim("other", "me", 60, TIMEOUT)
        own_server.end()
        eventually(lambda: not own_broker.is_connected(), "the loss is noticed")
        began = time.monotonic()
        with pytest.raises(BrokerUnavailableError, match="cannot be reached"):
            own_broker.claim("n", "me", 60, TIMEOUT)
        assert time.monotonic() - began < TIMEOUT / 2
        own_server.start()
        assert claim_surely(own_broker, "n", "you").is_own

    def test_a_claim_that_is_not_answered_ends_in_time_as_unavailable(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.claim("other", "me", 60, TIMEOUT)
        own_server.pause()
        began = time.monotonic()
        with pytest.raises(BrokerUnavailableError):
            own_broker.claim("n", "me", 60, 0.6)
        assert 0.3 < time.monotonic() - began < 1.5
        own_server.resume()

    def test_a_claim_that_was_not_answered_is_free_once_the_server_is_back(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.claim("other", "me", 60, TIMEOUT)
        own_server.pause()
        with pytest.raises(BrokerUnavailableError):
            own_broker.claim("n", "me", 60, 0.6)
        own_server.resume()
        with NatsBroker(own_broker.namespace, own_server.url) as another:
            # What was sent may arrive now, and is taken back.
            eventually(lambda: claim_surely(another, "n", "you").is_own, "the claim to be undone", timeout=8)

    def test_a_claim_whose_answer_is_late_is_known_again(self, own_broker: NatsBroker, own_server: RealServer) -> None:
        own_broker.claim("other", "me", 60, TIMEOUT)
        own_server.pause()
        resume = threading.Timer(1.0, own_server.resume)
        resume.start()
        claim = own_broker.claim("n", "me", 60, 2.0)
        resume.join()
        assert (claim.is_own, claim.holder) == (True, "me")
        assert own_broker.claim("n", "you", 60, TIMEOUT) == claim

    def test_a_release_during_an_outage_is_made_up_for(self, own_broker: NatsBroker, own_server: RealServer) -> None:
        claim = own_broker.claim("n", "me", 60, TIMEOUT)
        own_server.end()
        own_broker.release(claim, 0.0)
        own_server.start()
        eventually(lambda: claim_surely(own_broker, "n", "you").is_own, "the release")

    def test_a_forked_process_claims_by_itself(self, broker: NatsBroker) -> None:
        broker.claim("n", "parent", 60, TIMEOUT)
        child = multiprocessing.get_context("fork").Process(target=_claim_and_close, args=(broker,))
        child.start()
        child.join(10)
        assert child.exitcode == 0
        assert broker.claim("child's", "parent", 60, TIMEOUT).holder == "child"

    def test_a_denied_claim_is_reported(self, broker: NatsBroker, shared_server: RealServer) -> None:
        broker.claim("n", "me", 60, TIMEOUT)
        with (
            NatsBroker(broker.namespace, shared_server.url_for("limited")) as limited,
            pytest.raises(PublishDeniedError, match=r"do not allow publishing on '\$KV\.byron-"),
        ):
            limited.claim("n", "me", 60, TIMEOUT)

    def test_claims_are_a_bucket_on_disk_beside_the_log(self, broker: NatsBroker, shared_server: RealServer) -> None:
        broker.claim("n", "me", 60, TIMEOUT)
        name = f"KV_byron-{broker.namespace.lower()}"
        config = ask(shared_server, f"$JS.API.STREAM.INFO.{name}")["config"]
        expected = {"storage": "file", "max_msgs_per_subject": 1, "allow_msg_ttl": True, "num_replicas": 1}
        assert {key: config[key] for key in expected} == expected
        assert broker.log_info().last == 0


def claim_surely(broker: NatsBroker, name: str, holder: str) -> Claim:
    """Claim once the broker is back."""
    deadline = time.monotonic() + 15
    while True:
        try:
            return broker.claim(name, holder, 60, 1.0)
        except BrokerUnavailableError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _claim_and_close(broker: NatsBroker) -> None:
    with broker:
        assert broker.claim("n", "child", 60, TIMEOUT).holder == "parent"
        assert broker.claim("child's", "child", 60, TIMEOUT).is_own


class TestConnecting:
    def test_a_missing_server_fails_fast_and_is_found_later(self, own_server: RealServer, namespace: str) -> None:
        own_server.end()
        with NatsBroker(namespace, own_server.url) as broker:
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:\d+ cannot be reached: .*Connect call"):
                broker.ensure_log()
            assert time.monotonic() - began < TIMEOUT / 2
            assert not broker.is_connected()
            own_server.start()
            assert broker.ensure_log().last == 0
            assert broker.is_connected()

    def test_a_silent_server_fails_within_the_connect_timeout(self, own_server: RealServer, namespace: str) -> None:
        own_server.pause()
        with NatsBroker(namespace, own_server.url, connect_timeout=0.3) as broker:
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError, match="cannot be reached"):
                broker.ensure_log()
            assert time.monotonic() - began < 1.5
        own_server.resume()

    def test_a_wrong_password_is_named_and_not_shown(self, shared_server: RealServer, namespace: str) -> None:
        with (
            NatsBroker(namespace, shared_server.url_for("admin", "wr0ng")) as broker,
            pytest.raises(BrokerUnavailableError, match="Authorization Violation|user or password") as caught,
        ):
            broker.ensure_log()
        assert "wr0ng" not in str(caught.value)

    def test_an_unusable_address_is_refused(self, namespace: str) -> None:
        with pytest.raises(BrokerError, match="not a URL"):
            NatsBroker(namespace, "nats://127.0.0.1:notaport")

    def test_an_outage_takes_one_line_in_the_log(
        self, own_broker: NatsBroker, own_server: RealServer, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "byron.broker"):
            own_server.end()
            eventually(lambda: not own_broker.is_connected(), "the loss is noticed")
            for _ in range(3):
                with pytest.raises(BrokerUnavailableError):
                    own_broker.log_info()
            own_server.start()
            eventually(own_broker.is_connected, "the connection is back")
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        assert "secret" not in caplog.text

    def test_a_forked_process_has_a_connection_of_its_own(self, broker: NatsBroker) -> None:
        broker.publish([make_message(broker)], TIMEOUT)
        context = multiprocessing.get_context("fork")
        child = context.Process(target=_publish_and_close, args=(broker,))
        child.start()
        child.join(10)
        assert child.exitcode == 0
        assert broker.publish([make_message(broker)], TIMEOUT)[0].position == 3

    def test_closing_ends_the_thread(self, shared_server: RealServer, namespace: str) -> None:
        before = set(threading.enumerate())
        broker = NatsBroker(namespace, shared_server.url)
        broker.ensure_log()
        assert len(set(threading.enumerate()) - before) == 1
        broker.close()
        assert set(threading.enumerate()) <= before

    def test_closing_does_not_wait_for_a_stopped_server(self, own_server: RealServer, namespace: str) -> None:
        broker = NatsBroker(namespace, own_server.url)
        broker.ensure_log()
        own_server.pause()
        began = time.monotonic()
        broker.close()
        assert time.monotonic() - began < 3
        own_server.resume()


def _publish_and_close(broker: NatsBroker) -> None:
    with broker:
        broker.publish([make_message(broker)], TIMEOUT)


class Reader:
    """A caller that opens its consumer anew, whenever it is lost, after the last position it handled."""

    def __init__(self, broker: NatsBroker) -> None:
        self.found: list[int] = []
        self.losses = 0
        self._broker = broker
        self._consumer: Consumer | None = None

    def read(self, count: int) -> None:
        """Handle messages until there are so many."""
        deadline = time.monotonic() + 30
        while len(self.found) < count:
            assert time.monotonic() < deadline, f"only {len(self.found)} of {count} messages arrived"
            try:
                if self._consumer is None:
                    self._consumer = self._broker.consumer("main", ["new.student"], self.position)
                self.found += positions(self._consumer.fetch(200, TIMEOUT))
                self._consumer.acknowledge(self.position)
            except ConsumerLostError:
                self.losses += 1
                self.close()
            except BrokerUnavailableError:
                time.sleep(0.02)

    @property
    def position(self) -> int:
        return self.found[-1] if self.found else 0

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None


def fetch_until_lost(consumer: Consumer, reason: str) -> list[int]:
    """Fetch what was received, until the consumer says that it is lost, and see that it stays lost."""
    found: list[int] = []
    with pytest.raises(ConsumerLostError, match=rf"The consumer 'main' lost its place in the log: .*({reason})"):
        while batch := consumer.fetch(2, TIMEOUT):
            found += positions(batch)
    with pytest.raises(ConsumerLostError):
        consumer.fetch(1, TIMEOUT)
    return found


async def steal(server: RealServer, broker: NatsBroker, count: int, *, last: bool = False) -> int:
    """Publish messages while another reader asks for the consumer's next ones, and return how many it was given.

    With `last`, nothing is published after a message that it was given.
    """
    client = await nats.connect(server.url)
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    request = json.dumps({"batch": 5, "expires": 10**10}).encode()
    subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream_name(broker.namespace)}.main"
    await client.publish(subject, request, inbox)
    await client.flush()
    stolen = 0
    for number in range(count):
        await asyncio.to_thread(broker.publish, [make_message(broker, str(number))], TIMEOUT)
        with contextlib.suppress(nats.errors.TimeoutError):
            await subscription.next_msg(0.2)
            stolen += 1
        if stolen and last:
            break
    await client.close()
    return stolen


class TestConsuming:
    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
    def test_over_restarts_of_the_server_nothing_is_lost_or_repeated_or_reordered(
        self, own_broker: NatsBroker, own_server: RealServer, number: signal.Signals
    ) -> None:
        count = 3000

        def publish_all() -> None:
            for _ in range(0, count, 100):
                publish_surely(own_broker, make_messages(own_broker, 100))

        publisher = threading.Thread(target=publish_all)
        publisher.start()
        reader = Reader(own_broker)
        for until in (count // 5, count // 2):
            reader.read(until)
            own_server.end(number)
            own_server.start()
        reader.read(count)
        publisher.join()
        reader.close()
        assert reader.found == list(range(1, count + 1))
        assert reader.losses >= 2

    def test_what_was_received_before_an_outage_is_handed_out_before_the_loss_is_told(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.publish(make_messages(own_broker, 5), TIMEOUT)
        with own_broker.consumer("main", ["new.student"], 0) as consumer:
            eventually(lambda: len(consumer._buffer) == 5, "all are received")
            assert positions(consumer.fetch(2, TIMEOUT)) == [1, 2]
            own_server.end()
            eventually(lambda: not own_broker.is_connected(), "the loss is noticed")
            assert fetch_until_lost(consumer, "connection lost") == [3, 4, 5]

    def test_a_lost_consumer_stays_lost_when_the_server_is_back(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.publish(make_messages(own_broker, 3), TIMEOUT)
        with own_broker.consumer("main", ["new.student"], 0) as consumer:
            assert positions(drain(consumer, 2, acknowledge=False)) == [1, 2]
            own_server.end()
            own_server.start()
            publish_surely(own_broker, [make_message(own_broker)])
            assert fetch_until_lost(consumer, "connection lost") in ([], [3])
        with own_broker.consumer("main", ["new.student"], 2) as consumer:
            assert positions(drain(consumer, 2)) == [3, 4]

    def test_a_waiting_fetch_hears_of_the_loss_at_once(self, own_broker: NatsBroker, own_server: RealServer) -> None:
        with own_broker.consumer("main", ["new.student"], 0) as consumer:
            threading.Timer(0.1, own_server.end).start()
            began = time.monotonic()
            assert fetch_until_lost(consumer, "connection lost") == []
            assert time.monotonic() - began < 2

    def test_a_consumer_is_not_opened_while_the_server_is_away(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_server.end()
        eventually(lambda: not own_broker.is_connected(), "the loss is noticed")
        with pytest.raises(BrokerUnavailableError, match="cannot be reached"):
            own_broker.consumer("main", ["new.student"], 0)

    def test_a_server_that_falls_silent_ends_the_reader(
        self, own_broker: NatsBroker, own_server: RealServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consuming, "_HEARTBEAT", 0.1)
        monkeypatch.setattr(consuming, "_SILENCE", 0.3)
        with own_broker.consumer("main", ["new.student"], 0) as consumer:
            # Heartbeats keep a quiet consumer.
            assert consumer.fetch(1, 1.0) == []
            own_server.pause()
            assert fetch_until_lost(consumer, "silence") == []
            own_server.resume()

    def test_acknowledgements_of_before_a_restart_do_no_harm(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.publish(make_messages(own_broker, 4), TIMEOUT)
        with own_broker.consumer("main", ["new.student"], 0) as lost:
            drain(lost, 2, acknowledge=False)
            own_server.end()
            own_server.start()
            publish_surely(own_broker, [make_message(own_broker)])
            lost.acknowledge(1)
            with own_broker.consumer("main", ["new.student"], 2) as consumer:
                lost.acknowledge(2)
                assert positions(drain(consumer, 2)) == [3, 4]
                consumer.acknowledge(2)
                consumer.acknowledge(4)
                assert positions(drain(consumer, 1)) == [5]

    def test_a_message_that_another_reader_took_is_not_passed_over(
        self, broker: NatsBroker, shared_server: RealServer
    ) -> None:
        reader = Reader(broker)
        broker.publish([make_message(broker)], TIMEOUT)
        reader.read(1)

        assert run(steal(shared_server, broker, 4)) > 0
        reader.read(5)
        reader.close()
        assert (reader.found, reader.losses) == ([1, 2, 3, 4, 5], 1)

    def test_a_last_message_that_another_reader_took_is_missed_by_the_heartbeat(
        self, broker: NatsBroker, shared_server: RealServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(consuming, "_HEARTBEAT", 0.2)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            # The server serves its readers in turn.
            assert run(steal(shared_server, broker, 10, last=True)) == 1
            received = fetch_until_lost(consumer, "delivery missing")
            assert received == list(range(1, broker.log_info().last))

    def test_a_second_reader_of_a_name_takes_it_from_the_first(self, broker: NatsBroker) -> None:
        broker.publish(make_messages(broker, 2), TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as first:
            assert positions(drain(first, 2)) == [1, 2]
            with broker.consumer("main", ["new.student"], 0) as second:
                assert fetch_until_lost(first, "deleted at the broker|no responders|409") == []
                broker.publish([make_message(broker)], TIMEOUT)
                assert positions(drain(second, 3)) == [1, 2, 3]

    def test_an_acknowledged_durable_consumer_is_used_again(
        self, broker: NatsBroker, shared_server: RealServer
    ) -> None:
        subject = f"$JS.API.CONSUMER.INFO.{stream_name(broker.namespace)}.main"
        broker.publish(make_messages(broker, 3), TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            drain(consumer, 3)
            eventually(lambda: ask(shared_server, subject)["ack_floor"]["stream_seq"] == 3, "acknowledged")
        created = ask(shared_server, subject)["created"]
        with broker.consumer("main", ["new.student"], 3):
            assert ask(shared_server, subject)["created"] == created
        with broker.consumer("main", ["new.student"], 2):
            assert ask(shared_server, subject)["created"] != created

    def test_a_durable_consumer_stays_at_the_broker_and_another_is_forgotten(
        self, broker: NatsBroker, shared_server: RealServer
    ) -> None:
        subject = f"$JS.API.CONSUMER.INFO.{stream_name(broker.namespace)}"
        with (
            broker.consumer("lasting", ["new.student"], 0),
            broker.consumer("passing", ["new.student"], 0, durable=False),
        ):
            lasting = ask(shared_server, f"{subject}.lasting")["config"]
            passing = ask(shared_server, f"{subject}.passing")["config"]
        assert (lasting["durable_name"], lasting.get("inactive_threshold", 0)) == ("lasting", 0)
        assert (passing.get("durable_name"), passing["inactive_threshold"]) == (None, 300 * 10**9)
        common = {"ack_policy": "all", "max_deliver": -1, "max_ack_pending": 10_000, "ack_wait": 24 * 3600 * 10**9}
        for config in (lasting, passing):
            assert {key: config[key] for key in common} == common

    @pytest.mark.parametrize("durable", [True, False])
    def test_a_consumer_of_the_other_kind_is_replaced(
        self, broker: NatsBroker, shared_server: RealServer, durable: bool
    ) -> None:
        with broker.consumer("main", ["new.student"], 0, durable=not durable):
            pass
        with broker.consumer("main", ["new.student"], 0, durable=durable):
            config = ask(shared_server, f"$JS.API.CONSUMER.INFO.{stream_name(broker.namespace)}.main")["config"]
        assert ("durable_name" in config) == durable

    def test_a_lane_filters_its_slots_at_the_broker(self, broker: NatsBroker, shared_server: RealServer) -> None:
        name = stream_name(broker.namespace)

        def filters(events: list[str], **slots: Any) -> list[str]:
            with broker.consumer("main", events, 0, **slots):
                config = ask(shared_server, f"$JS.API.CONSUMER.INFO.{name}.main")["config"]
            return config.get("filter_subjects") or [config["filter_subject"]]

        assert filters(["new.student"]) == [f"{name}.*.*.new.student"]
        assert filters(["a", "b"], slots=range(1, 16, 8)) == [f"{name}.{slot}.*.{e}" for e in "ab" for slot in (1, 9)]

    def test_a_deleted_durable_consumer_ends_the_reader_and_is_made_anew(
        self, broker: NatsBroker, shared_server: RealServer
    ) -> None:
        broker.publish(make_messages(broker, 3), TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            assert positions(drain(consumer, 2, acknowledge=False)) == [1, 2]
            ask(shared_server, f"$JS.API.CONSUMER.DELETE.{stream_name(broker.namespace)}.main")
            assert fetch_until_lost(consumer, "deleted at the broker") in ([], [3])
            with pytest.raises(ConsumerLostError, match="'main' was deleted at the broker"):
                consumer.pending()
        with broker.consumer("main", ["new.student"], 2) as consumer:
            assert positions(drain(consumer, 1)) == [3]

    def test_a_deleted_log_ends_the_reader_and_opens_no_other(
        self, broker: NatsBroker, shared_server: RealServer
    ) -> None:
        with broker.consumer("main", ["new.student"], 0) as consumer:
            assert consumer.fetch(1, 0.05) == []
            ask(shared_server, f"$JS.API.STREAM.DELETE.{stream_name(broker.namespace)}")
            assert fetch_until_lost(consumer, "deleted at the broker|no responders") == []
        with pytest.raises(LogMismatchError, match="does not exist"):
            broker.consumer("main", ["new.student"], 0)

    def test_a_log_made_anew_ends_the_reader_before_it_gives_other_messages(
        self, broker: NatsBroker, shared_server: RealServer
    ) -> None:
        broker.publish(make_messages(broker, 2), TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            drain(consumer, 2)
            ask(shared_server, f"$JS.API.STREAM.DELETE.{stream_name(broker.namespace)}")
            broker.ensure_log()
            broker.publish(make_messages(broker, 5), TIMEOUT)
            assert fetch_until_lost(consumer, "deleted at the broker|no responders") == []

    def test_a_log_made_anew_during_an_outage_ends_the_reader_and_refuses_its_checkpoint(
        self, own_broker: NatsBroker, own_server: RealServer
    ) -> None:
        own_broker.publish(make_messages(own_broker, 2), TIMEOUT)
        with own_broker.consumer("main", ["new.student"], 0) as consumer:
            drain(consumer, 2)
            own_server.end()
            eventually(lambda: not own_broker.is_connected(), "the loss is noticed")
            (own_server.directory / "data").rename(own_server.directory / "lost")
            own_server.start()
            with pytest.raises(LogMismatchError, match="does not exist"):
                own_broker.consumer("main", ["new.student"], 2)
            own_broker.ensure_log()
            own_broker.publish([make_message(own_broker)], TIMEOUT)
            assert fetch_until_lost(consumer, "connection lost") == []
        with pytest.raises(LogMismatchError, match="ends at position 1, but this consumer already has position 2"):
            own_broker.consumer("main", ["new.student"], 2)

    @pytest.mark.parametrize("key", [b"\xff", b"a\x00b", b"="])
    def test_a_subject_that_is_not_byron_s_does_not_stop_the_reader(
        self, broker: NatsBroker, shared_server: RealServer, key: bytes
    ) -> None:
        broker.publish([make_message(broker)], TIMEOUT)
        name = stream_name(broker.namespace)
        shared_server.send(b"PUB %s.0.%s.new.student 2\r\n{}\r\n" % (name.encode(), key))
        broker.publish([make_message(broker)], TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            found = drain(consumer, 3)
        assert positions(found) == [1, 2, 3]
        assert found[1] == broker.get(2)
        with pytest.raises(EventError):
            decode(found[1])

    def test_find_passes_over_messages_without_an_id(self, broker: NatsBroker, shared_server: RealServer) -> None:
        message = make_message(broker)
        for _ in range(2):
            shared_server.send(b"PUB %s 2\r\n{}\r\n" % message.subject.encode())
        broker.publish([message], TIMEOUT)
        assert broker.find(message.subject, message.id, 0) == 3

    def test_a_search_that_lost_its_consumer_does_not_pass_for_a_search_without_result(
        self, broker: NatsBroker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        messages = [make_message(broker) for _ in range(700)]
        broker.publish(messages, TIMEOUT)
        original = reading._pull

        async def pull(session: Session, stream: str, name: str, limit: int) -> Sequence[StoredMessage]:
            found = await original(session, stream, name, limit)
            await reading._forget(session, stream, name)
            return found

        monkeypatch.setattr(reading, "_pull", pull)
        with pytest.raises(BrokerUnavailableError, match="status 503"):
            broker.find_all(messages[0].subject, [messages[-1].id], 0, reader="main")

    def test_large_messages_are_buffered_within_bounds(self, broker: NatsBroker) -> None:
        for _ in range(60):
            broker.publish([make_message(broker, size=900_000)], TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            eventually(lambda: consumer._buffered_bytes > 10_000_000, "the buffer fills")
            found = positions(drain(consumer, 1))
            assert consumer._buffered_bytes < 40_000_000
            found += positions(drain(consumer, 59))
            assert found == list(range(1, 61))

    def test_a_bad_consumer_name_is_refused(self, broker: Broker) -> None:
        with pytest.raises(BrokerError, match="'students.main' cannot name a consumer"):
            broker.consumer("students.main", ["new.student"], 0)
