"""What every broker promises: an abstract test case over a `broker` fixture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from byron.broker.base import Broker, Consumer, Expected
from byron.events.codec import decode, encode, encode_payload
from byron.events.event import Event, Message, StoredMessage
from byron.events.subjects import SLOTS, split_subject
from byron.exceptions import (
    BrokerError,
    BrokerUnavailableError,
    ConsumerLostError,
    LogMismatchError,
    PartlyKnownError,
    StaleVersionError,
)

TIMEOUT = 5.0


def eventually(condition: Callable[[], object], what: str, timeout: float = 10.0) -> None:
    """Wait until the condition holds; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {timeout} s: {what}")
        time.sleep(0.01)


def make_message(broker: Broker, key: str = "1", name: str = "new.student", size: int = 0) -> Message:
    """Return a fresh message about a key, with a payload of at least `size` bytes."""
    payload = {"id": key, "text": "x" * size}
    event = Event(name=name, key=key, payload=payload, namespace=broker.namespace, source="students")
    return encode(event, encode_payload(payload))


def make_messages(broker: Broker, count: int, name: str = "new.student") -> list[Message]:
    return [make_message(broker, str(number), name) for number in range(count)]


def drain(consumer: Consumer, count: int, *, acknowledge: bool = True) -> list[StoredMessage]:
    """Fetch exactly so many messages."""
    found: list[StoredMessage] = []
    while len(found) < count:
        batch = consumer.fetch(count - len(found), TIMEOUT)
        assert batch, f"only {len(found)} of {count} messages arrived"
        found += batch
        if acknowledge:
            consumer.acknowledge(found[-1].position)
    return found


def positions(items: Iterable[StoredMessage]) -> list[int]:
    return [item.position for item in items]


class SignalConformance:
    """Hints between processes."""

    def test_those_who_listen_hear_a_signal(self, broker: Broker) -> None:
        heard: list[str] = []
        with broker.listen("a", lambda: heard.append("a")), broker.listen("b", lambda: heard.append("b")):
            self._until(broker, "a", heard)
            heard.clear()
            self._until(broker, "a", heard)
            # Once at the beginning, where signals may have been missed before.
            assert heard.count("b") <= 1

    def test_who_no_longer_listens_hears_nothing(self, broker: Broker) -> None:
        heard: list[int] = []
        broker.listen("a", lambda: heard.append(1)).close()
        heard.clear()
        others: list[str] = []
        with broker.listen("a", lambda: others.append("a")):
            self._until(broker, "a", others)
            others.clear()
            self._until(broker, "a", others)
        assert heard == []

    def test_a_signal_to_nobody_is_nothing(self, broker: Broker) -> None:
        broker.signal("nobody")

    @staticmethod
    def _until(broker: Broker, topic: str, heard: list[str]) -> None:
        """Signal until it is heard: a signal may get lost, in the beginning for want of a subscription."""

        def signalled() -> bool:
            broker.signal(topic)
            return topic in heard

        eventually(signalled, "the signal to be heard")


def names_of(count: int) -> list[str]:
    return [f"name-{number}" for number in range(count)]


class ClaimConformance:
    """Claims on names."""

    def test_a_name_goes_to_who_claims_it_first(self, broker: Broker) -> None:
        mine = broker.claim("n", "me", 60, TIMEOUT)
        theirs = broker.claim("n", "you", 60, TIMEOUT)
        assert (mine.holder, mine.is_own) == ("me", True)
        assert (theirs.holder, theirs.is_own, theirs.number) == ("me", False, mine.number)

    def test_its_holder_too_is_told_that_it_is_taken(self, broker: Broker) -> None:
        first, again = (broker.claim("n", "me", 60, TIMEOUT) for _ in range(2))
        assert (again.is_own, again) == (False, first)

    def test_names_are_claimed_independently(self, broker: Broker) -> None:
        assert all(broker.claim(name, "me", 60, TIMEOUT).is_own for name in names_of(5))

    def test_claims_need_no_log(self, empty_broker: Broker) -> None:
        assert empty_broker.claim("n", "me", 60, TIMEOUT).is_own

    @pytest.mark.parametrize("same_name", [True, False])
    def test_of_many_at_once_one_gets_a_name(self, broker: Broker, same_name: bool) -> None:
        for turn in range(5):
            names = [f"n{turn}"] * 50 if same_name else [f"n{turn}-{number}" for number in range(50)]
            with ThreadPoolExecutor(50) as pool:
                found = list(pool.map(lambda each: broker.claim(each[1], str(each[0]), 60, 20.0), enumerate(names)))
            winners = [number for number, claim in enumerate(found) if claim.is_own]
            assert len(winners) == (1 if same_name else 50)
            assert {claim.holder for claim in found} == {str(number) for number in winners}

    def test_a_released_name_is_free_at_once(self, broker: Broker) -> None:
        claim = broker.claim("n", "me", 60, TIMEOUT)
        broker.release(claim, TIMEOUT)
        assert broker.claim("n", "you", 60, TIMEOUT).is_own

    def test_releasing_frees_that_claim_only(self, broker: Broker) -> None:
        first = broker.claim("n", "me", 60, TIMEOUT)
        broker.release(first, TIMEOUT)
        second = broker.claim("n", "me", 60, TIMEOUT)
        broker.release(first, TIMEOUT)
        assert broker.claim("n", "you", 60, TIMEOUT) == second

    def test_a_claim_ends_when_its_time_is_up_and_not_before(self, broker: Broker) -> None:
        began = time.monotonic()
        broker.claim("n", "me", 1, TIMEOUT)
        eventually(lambda: broker.claim("n", "you", 60, TIMEOUT).is_own, "the claim to end")
        assert time.monotonic() - began > 0.99

    def test_a_claim_can_be_replaced_by_who_knows_it(self, broker: Broker) -> None:
        first = broker.claim("n", "me", 60, TIMEOUT)
        standing = broker.claim("n", "you", 60, TIMEOUT)
        second = broker.claim("n", "you", 60, TIMEOUT, over=standing)
        assert (second.is_own, second.holder) == (True, "you")
        late = broker.claim("n", "me", 60, TIMEOUT, over=first)
        assert (late.is_own, late) == (False, second)

    def test_of_many_who_replace_a_claim_at_once_one_does(self, broker: Broker) -> None:
        standing = broker.claim("n", "me", 60, TIMEOUT)
        with ThreadPoolExecutor(20) as pool:
            found = list(pool.map(lambda n: broker.claim("n", str(n), 60, 20.0, over=standing), range(20)))
        assert sum(claim.is_own for claim in found) == 1

    def test_a_claim_that_is_gone_needs_no_replacing(self, broker: Broker) -> None:
        first = broker.claim("n", "me", 60, TIMEOUT)
        broker.release(first, TIMEOUT)
        assert broker.claim("n", "you", 60, TIMEOUT, over=first).is_own

    def test_a_note_is_left_with_the_claim(self, broker: Broker) -> None:
        claim = broker.claim("n", "me", 60, TIMEOUT)
        broker.note(claim, "ü 1")

        def noted() -> bool:
            standing = broker.claim("n", "you", 60, TIMEOUT)
            return (standing.holder, standing.note, standing.is_own) == ("me", "ü 1", False)

        eventually(noted, "the note")
        broker.release(claim, TIMEOUT)
        assert noted()

    def test_a_claim_may_have_a_note_from_the_start(self, broker: Broker) -> None:
        first = broker.claim("n", "me", 60, TIMEOUT, note="one")
        assert broker.claim("n", "you", 60, TIMEOUT, note="mine") == first
        second = broker.claim("n", "me", 60, TIMEOUT, over=first, note="two")
        standing = broker.claim("n", "you", 60, TIMEOUT)
        assert (first.note, second.note, standing.note, standing.number) == ("one", "two", "two", second.number)

    def test_a_claim_s_age_begins_with_its_last_change(self, broker: Broker) -> None:
        began = time.monotonic()
        first = broker.claim("n", "me", 60, TIMEOUT)
        assert 0 <= broker.claim_age(first) <= time.monotonic() - began + 0.05
        eventually(lambda: broker.claim_age(first) > 0.3, "the claim to get older")
        changed = time.monotonic()
        second = broker.claim("n", "me", 60, TIMEOUT, over=first)
        assert broker.claim("n", "you", 60, TIMEOUT) == second
        assert 0 <= broker.claim_age(second) <= time.monotonic() - changed + 0.05
        assert broker.claim_age(first) == 0

    def test_a_claim_that_is_gone_has_no_age(self, broker: Broker) -> None:
        claim = broker.claim("n", "me", 60, TIMEOUT)
        broker.release(claim, TIMEOUT)
        assert broker.claim_age(claim) == 0

    def test_no_note_is_left_with_another_s_claim(self, broker: Broker) -> None:
        first = broker.claim("n", "me", 60, TIMEOUT)
        second = broker.claim("n", "you", 60, TIMEOUT, over=first)
        broker.note(first, "late")
        # Sent after the note over the same connection.
        other = broker.claim("other", "me", 60, TIMEOUT)
        broker.release(other, TIMEOUT)
        assert broker.claim("n", "me", 60, TIMEOUT) == second

    def test_a_closed_broker_takes_no_claims(self, broker: Broker) -> None:
        broker.close()
        with pytest.raises(BrokerUnavailableError, match="closed"):
            broker.claim("n", "me", 60, TIMEOUT)


class LogConformance:
    """Publishing to the log and reading it by position."""

    def test_log_info_of_a_missing_log_says_how_to_create_it(self, empty_broker: Broker) -> None:
        with pytest.raises(LogMismatchError, match=r"no event log for namespace .*ensure_log"):
            empty_broker.log_info()

    def test_publish_without_a_log_says_how_to_create_it(self, empty_broker: Broker) -> None:
        with pytest.raises(BrokerError, match=r"no event log for namespace .*ensure_log"):
            empty_broker.publish([make_message(empty_broker)], TIMEOUT)

    def test_ensure_log_creates_an_empty_log_once(self, broker: Broker) -> None:
        first = broker.ensure_log()
        assert (first.last, first.first <= 1) == (0, True)
        broker.publish([make_message(broker)], TIMEOUT)
        again = broker.ensure_log()
        assert (again.created, again.last) == (first.created, 1)
        assert broker.log_info() == again

    def test_publishing_returns_growing_positions(self, broker: Broker) -> None:
        found = [broker.publish([make_message(broker)], TIMEOUT) for _ in range(3)]
        assert [[(item.position, item.duplicate) for item in items] for items in found] == [
            [(1, False)],
            [(2, False)],
            [(3, False)],
        ]

    def test_publishing_nothing_does_nothing(self, broker: Broker) -> None:
        assert broker.publish([], TIMEOUT) == []

    def test_several_messages_are_stored_in_order_next_to_one_another(self, broker: Broker) -> None:
        broker.publish([make_message(broker)], TIMEOUT)
        messages = make_messages(broker, 5)
        acknowledgements = broker.publish(messages, TIMEOUT)
        assert [item.position for item in acknowledgements] == [2, 3, 4, 5, 6]
        for message, acknowledgement in zip(messages, acknowledgements, strict=True):
            stored = broker.get(acknowledgement.position)
            assert stored is not None
            assert (stored.subject, stored.body) == (message.subject, message.body)

    def test_a_repeated_message_is_not_stored_twice(self, broker: Broker) -> None:
        message = make_message(broker)
        broker.publish([make_message(broker)], TIMEOUT)
        [first] = broker.publish([message], TIMEOUT)
        [again] = broker.publish([message], TIMEOUT)
        assert (first.position, first.duplicate, again.position, again.duplicate) == (2, False, 2, True)
        assert broker.log_info().last == 2

    def test_a_repeated_batch_is_not_stored_twice(self, broker: Broker) -> None:
        messages = make_messages(broker, 3)
        first = broker.publish(messages, TIMEOUT)
        again = broker.publish(messages, TIMEOUT)
        assert [item.position for item in again] == [item.position for item in first] == [1, 2, 3]
        assert all(item.duplicate for item in again)
        assert broker.log_info().last == 3

    @pytest.mark.parametrize("known", [[0], [1, 2], [0, 2, 3]])
    def test_of_a_partly_known_batch_only_the_rest_is_stored(self, broker: Broker, known: list[int]) -> None:
        messages = make_messages(broker, 4)
        broker.publish([messages[index] for index in known], TIMEOUT)
        acknowledgements = broker.publish(messages, TIMEOUT)
        assert [item.duplicate for item in acknowledgements] == [index in known for index in range(4)]
        assert broker.log_info().last == 4
        for message, acknowledgement in zip(messages, acknowledgements, strict=True):
            stored = broker.get(acknowledgement.position)
            assert stored is not None and stored.headers["ce-id"] == message.id

    @pytest.mark.parametrize("known", [[0], [1, 2], [0, 2, 3]])
    def test_of_a_partly_known_batch_nothing_is_stored_where_only_the_whole_will_do(
        self, broker: Broker, known: list[int]
    ) -> None:
        messages = make_messages(broker, 4)
        broker.publish([messages[index] for index in known], TIMEOUT)
        with pytest.raises(PartlyKnownError, match=f"{len(known)} of 4"):
            broker.publish(messages, TIMEOUT, only_whole=True)
        assert broker.log_info().last == len(known)

    def test_a_whole_batch_is_stored_once_however_often_it_is_published(self, broker: Broker) -> None:
        messages = make_messages(broker, 3)
        first, again = (broker.publish(messages, TIMEOUT, only_whole=True) for _ in range(2))
        assert [item.position for item in again] == [item.position for item in first] == [1, 2, 3]
        assert [item.duplicate for item in (*first, *again)] == [False] * 3 + [True] * 3

    def test_a_message_given_twice_in_one_call_is_stored_once(self, broker: Broker) -> None:
        message = make_message(broker)
        acknowledgements = broker.publish([message, make_message(broker), message], TIMEOUT)
        assert [(item.position, item.duplicate) for item in acknowledgements] == [(1, False), (2, False), (1, True)]

    def test_a_message_is_stored_when_its_key_stands_where_it_is_expected(self, broker: Broker) -> None:
        first = broker.publish([make_message(broker, "a")], TIMEOUT, expected=Expected(key="a", position=0))
        broker.publish([make_message(broker, "b")], TIMEOUT)
        [second] = broker.publish(
            [make_message(broker, "a", "student.renamed")],
            TIMEOUT,
            expected=Expected(key="a", position=first[0].position),
        )
        assert second.position == 3

    @pytest.mark.parametrize("position", [0, 2, 99])
    def test_a_message_whose_key_stands_elsewhere_is_not_stored(self, broker: Broker, position: int) -> None:
        broker.publish([make_message(broker, "a")], TIMEOUT)
        with pytest.raises(StaleVersionError):
            broker.publish(
                [make_message(broker, "a", "student.renamed")],
                TIMEOUT,
                expected=Expected(key="a", position=position),
            )
        assert broker.log_info().last == 1

    def test_what_is_expected_of_a_key_without_messages_is_none(self, broker: Broker) -> None:
        with pytest.raises(StaleVersionError):
            broker.publish([make_message(broker, "a")], TIMEOUT, expected=Expected(key="a", position=1))
        # Keys that begin alike, or look like a pattern, are others.
        broker.publish([make_message(broker, "a.b"), make_message(broker, "ab"), make_message(broker, "*")], TIMEOUT)
        broker.publish([make_message(broker, "a")], TIMEOUT, expected=Expected(key="a", position=0))
        assert broker.log_info().last == 4

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_of_several_messages_all_are_stored_or_none(self, broker: Broker, place: int) -> None:
        broker.publish([make_message(broker, "a")], TIMEOUT)
        others = [make_message(broker, "b"), make_message(broker, "c")]
        about = [make_message(broker, "a"), make_message(broker, "a"), make_message(broker, "a", "student.renamed")]
        messages = [*others[:place], *about, *others[place:]]
        with pytest.raises(StaleVersionError):
            broker.publish(messages, TIMEOUT, expected=Expected(key="a", position=9))
        assert broker.log_info().last == 1
        stored = broker.publish(messages, TIMEOUT, expected=Expected(key="a", position=1))
        assert [each.position for each in stored] == [2, 3, 4, 5, 6]

    @pytest.mark.parametrize("count", [1, 3])
    def test_what_the_log_has_already_is_not_compared_again(self, broker: Broker, count: int) -> None:
        messages = [make_message(broker, "a") for _ in range(count)]
        expected = Expected(key="a", position=0)
        first = broker.publish(messages, TIMEOUT, expected=expected)
        # As a try that was not answered is repeated; meanwhile the key may have moved on.
        broker.publish([make_message(broker, "a")], TIMEOUT)
        again = broker.publish(messages, TIMEOUT, expected=expected)
        assert [each.position for each in again] == [each.position for each in first]
        assert all(each.duplicate for each in again)
        assert broker.log_info().last == count + 1

    @pytest.mark.parametrize("count", [1, 2])
    def test_of_many_who_expect_the_same_one_is_stored(self, broker: Broker, count: int) -> None:
        def publish(number: int) -> bool:
            messages = [make_message(broker, "a", f"changed.{number}-{each}") for each in range(count)]
            try:
                broker.publish(messages, TIMEOUT, expected=Expected(key="a", position=0))
            except StaleVersionError:
                return False
            return True

        with ThreadPoolExecutor(20) as pool:
            assert sum(pool.map(publish, range(20))) == 1
        assert broker.log_info().last == count

    def test_something_is_expected_only_of_a_key_that_is_published(self, broker: Broker) -> None:
        with pytest.raises(BrokerError, match="None of the messages is about 'a'"):
            broker.publish([make_message(broker, "b")], TIMEOUT, expected=Expected(key="a", position=0))
        assert broker.log_info().last == 0

    def test_the_last_message_about_a_key_is_known_whatever_its_event(self, broker: Broker) -> None:
        assert broker.last_of("a") == 0
        broker.publish(
            [make_message(broker, "a"), make_message(broker, "a", "x.y"), make_message(broker, "b")], TIMEOUT
        )
        assert (broker.last_of("a"), broker.last_of("b"), broker.last_of("c")) == (2, 3, 0)

    def test_the_first_of_some_events_about_a_key_is_found(self, broker: Broker) -> None:
        for key, name in [("a", "x"), ("a", "y"), ("b", "z"), ("a", "z"), ("a", "y")]:
            broker.publish([make_message(broker, key, name)], TIMEOUT)
        assert broker.first_of("a", ["z", "y"], 0) == (2, "y")
        assert broker.first_of("a", ["z"], 2) == (4, "z")
        assert broker.first_of("a", ["y"], 2) == (5, "y")
        assert broker.first_of("a", ["x"], 1) is None
        assert broker.first_of("a", [], 0) is None
        assert broker.first_of("c", ["x"], 0) is None

    def test_concurrent_publishes_are_each_stored_once(self, broker: Broker) -> None:
        batches = [make_messages(broker, 1 + number % 3) for number in range(40)]
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda batch: broker.publish(batch, 20.0), batches))
        taken = [item.position for items in found for item in items]
        assert sorted(taken) == list(range(1, sum(map(len, batches)) + 1))
        for items in found:
            assert [item.position - items[0].position for item in items] == list(range(len(items)))

    def test_get_returns_the_message_as_it_was_published(self, broker: Broker) -> None:
        message = make_message(broker, key="Zoë Smith/7")
        broker.publish([message], TIMEOUT)
        stored = broker.get(1)
        assert stored is not None
        assert (stored.subject, stored.body, stored.position) == (message.subject, message.body, 1)
        assert dict(message.headers).items() <= dict(stored.headers).items()
        assert decode(stored).key == "Zoë Smith/7"

    @pytest.mark.parametrize("position", [-1, 0, 2, 1000])
    def test_get_returns_none_where_the_log_has_nothing(self, broker: Broker, position: int) -> None:
        broker.publish([make_message(broker)], TIMEOUT)
        assert broker.get(position) is None

    def test_a_message_has_the_time_at_which_the_log_took_it(self, broker: Broker) -> None:
        before = time.time()
        for _ in range(3):
            broker.publish([make_message(broker)], TIMEOUT)
        after = time.time()
        times = [stored.logged for position in (1, 2, 3) if (stored := broker.get(position)) is not None]
        # The server's clock is this machine's, but for what either of them rounds off.
        assert before - 0.01 <= times[0] <= times[1] <= times[2] <= after + 0.01

    def test_find_returns_the_position_of_the_message_with_that_id(self, broker: Broker) -> None:
        messages = [make_message(broker, key) for key in ("1", "2", "1", "1")]
        for message in messages:
            broker.publish([message], TIMEOUT)
        assert [broker.find(message.subject, message.id, 0) for message in messages] == [1, 2, 3, 4]

    def test_find_looks_on_that_subject_only(self, broker: Broker) -> None:
        message = make_message(broker)
        broker.publish([message], TIMEOUT)
        for other in (make_message(broker, key="2"), make_message(broker, name="new.class")):
            broker.publish([other], TIMEOUT)
            assert broker.find(other.subject, message.id, 0) is None

    def test_find_does_not_find_what_the_log_does_not_hold(self, broker: Broker) -> None:
        stored, missing = make_message(broker), make_message(broker)
        broker.publish([stored], TIMEOUT)
        assert broker.find(missing.subject, missing.id, 0) is None

    def test_find_looks_beyond_the_position_only(self, broker: Broker) -> None:
        message = make_message(broker)
        broker.publish([make_message(broker), message, make_message(broker)], TIMEOUT)
        assert [broker.find(message.subject, message.id, after) for after in (0, 1, 2, 3, 100)] == [
            2,
            2,
            None,
            None,
            None,
        ]

    def test_find_all_returns_the_ids_that_the_subject_has_beyond_a_position(self, broker: Broker) -> None:
        messages = [make_message(broker, key) for key in ("1", "2", "1", "1", "1")]
        for message in messages:
            broker.publish([message], TIMEOUT)
        subject, ids = messages[0].subject, [message.id for message in messages]
        found = [broker.find_all(subject, [*ids, "unknown"], after, reader="main") for after in (0, 1, 2, 4, 5, 100)]
        assert found == [{ids[0], *ids[2:]}, set(ids[2:]), set(ids[2:]), {ids[4]}, set(), set()]
        assert broker.find_all(subject, [ids[3]], 0, reader="main") == {ids[3]}
        assert broker.find_all(subject, [], 0, reader="main") == set()

    def test_find_all_looks_through_all_of_the_subject(self, broker: Broker) -> None:
        messages = [make_message(broker) for _ in range(1203)]
        broker.publish(messages[:700], TIMEOUT)
        broker.publish(messages[700:], TIMEOUT)
        ids = {messages[place].id for place in (0, 499, 500, 501, 1000, 1202)}
        for _ in range(2):
            assert broker.find_all(messages[0].subject, ids | {"unknown"}, 0, reader="main") == ids

    def test_find_all_leaves_out_what_was_logged_from_a_time_on(self, broker: Broker) -> None:
        messages = [make_message(broker) for _ in range(4)]
        for message in messages:
            broker.publish([message], TIMEOUT)
        third = broker.get(3)
        assert third is not None
        ids = [message.id for message in messages]
        found = broker.find_all(messages[0].subject, ids, 0, reader="main", until=third.logged)
        assert found <= set(ids[:2])
        assert broker.find_all(messages[0].subject, ids, 0, reader="main", until=third.logged - 3600) == set()
        assert broker.find_all(messages[0].subject, ids, 0, reader="main", until=third.logged + 3600) == set(ids)

    def test_reading_without_a_log_says_how_to_create_it(self, empty_broker: Broker) -> None:
        message = make_message(empty_broker)
        for read in (
            lambda: empty_broker.get(1),
            lambda: empty_broker.find(message.subject, message.id, 0),
            lambda: empty_broker.find_all(message.subject, [message.id], 0, reader="main"),
            lambda: empty_broker.backlog_age(["new.student"], 0),
        ):
            with pytest.raises(LogMismatchError, match=r"no event log for namespace .*ensure_log"):
                read()

    def test_the_backlog_s_age_is_that_of_the_first_message_beyond(self, broker: Broker) -> None:
        began = time.time()
        broker.publish([make_message(broker)], TIMEOUT)
        eventually(lambda: broker.backlog_age(["new.student"], 0) > 0.3, "the message to get old")
        broker.publish([make_message(broker)], TIMEOUT)
        assert 0.3 < broker.backlog_age(["new.student", "new.class"], 0) < time.time() - began + 0.02
        assert 0 <= broker.backlog_age(["new.student"], 1) < 0.3

    def test_there_is_no_backlog_of_other_events_or_slots_or_before(self, broker: Broker) -> None:
        message = make_message(broker)
        slot = split_subject(message.subject)[1]
        broker.publish([message], TIMEOUT)
        eventually(lambda: broker.backlog_age(["new.student"], 0, slots=[slot]) > 0, "some age")
        assert broker.backlog_age(["new.class"], 0) == 0
        assert broker.backlog_age(["new.student"], 0, slots=[(slot + 1) % SLOTS]) == 0
        assert broker.backlog_age(["new.student"], 1) == 0
        assert broker.backlog_age([], 0) == 0

    def test_a_closed_broker_says_so(self, broker: Broker) -> None:
        broker.close()
        broker.close()
        assert not broker.is_connected()
        with pytest.raises(BrokerUnavailableError, match="closed"):
            broker.log_info()


class ConsumerConformance:
    """Reading the log in order through a consumer."""

    def test_messages_arrive_in_the_logs_order(self, broker: Broker) -> None:
        for _ in range(3):
            broker.publish(make_messages(broker, 900), 20.0)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            assert positions(drain(consumer, 2700)) == list(range(1, 2701))

    def test_fetched_messages_are_those_of_the_log(self, broker: Broker) -> None:
        broker.publish(make_messages(broker, 2), TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            assert drain(consumer, 2) == [broker.get(1), broker.get(2)]

    def test_only_the_events_asked_for_arrive(self, broker: Broker) -> None:
        for name in ("new.student", "new.student.note", "new.class", "student", "new.grade"):
            broker.publish([make_message(broker, name=name)], TIMEOUT)
        with broker.consumer("main", ["new.student", "new.grade", "new.student"], 0) as consumer:
            assert positions(drain(consumer, 2)) == [1, 5]
            assert consumer.fetch(10, 0.05) == []

    def test_reading_starts_after_the_position(self, broker: Broker) -> None:
        broker.publish(make_messages(broker, 10), TIMEOUT)
        with broker.consumer("main", ["new.student"], 7) as consumer:
            assert positions(drain(consumer, 3)) == [8, 9, 10]

    def test_fetch_returns_what_is_there_without_filling_up(self, broker: Broker) -> None:
        with broker.consumer("main", ["new.student"], 0) as consumer:
            broker.publish([make_message(broker)], TIMEOUT)
            began = time.monotonic()
            assert positions(consumer.fetch(500, TIMEOUT)) == [1]
            assert time.monotonic() - began < TIMEOUT / 2

    def test_fetch_returns_at_most_the_limit(self, broker: Broker) -> None:
        broker.publish(make_messages(broker, 10), TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            found: list[int] = []
            while len(found) < 10:
                batch = consumer.fetch(3, TIMEOUT)
                assert 1 <= len(batch) <= 3
                found += positions(batch)
            assert found == list(range(1, 11))

    def test_fetch_returns_nothing_when_time_runs_out(self, broker: Broker) -> None:
        with broker.consumer("main", ["new.student"], 0) as consumer:
            began = time.monotonic()
            assert consumer.fetch(10, 0.2) == []
            assert 0.19 < time.monotonic() - began < 1

    def test_a_waiting_fetch_gets_what_is_published_meanwhile(self, broker: Broker) -> None:
        with broker.consumer("main", ["new.student"], 0) as consumer:
            publisher = threading.Timer(0.1, lambda: broker.publish([make_message(broker)], TIMEOUT))
            publisher.start()
            began = time.monotonic()
            assert positions(consumer.fetch(10, TIMEOUT)) == [1]
            assert time.monotonic() - began < TIMEOUT / 2
            publisher.join()

    def test_what_was_fetched_does_not_come_again_while_the_consumer_is_open(self, broker: Broker) -> None:
        broker.publish(make_messages(broker, 3), TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            drain(consumer, 3, acknowledge=False)
            assert consumer.fetch(10, 0.05) == []

    @pytest.mark.parametrize("after", [0, 2, 3, 4, 6])
    def test_a_consumer_opened_anew_goes_on_where_the_caller_says(self, broker: Broker, after: int) -> None:
        broker.publish(make_messages(broker, 6), TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            drain(consumer, 4, acknowledge=False)
            consumer.acknowledge(3)
        with broker.consumer("main", ["new.student"], after) as consumer:
            assert positions(drain(consumer, 6 - after)) == list(range(after + 1, 7))
            assert consumer.fetch(10, 0.05) == []

    def test_a_consumer_opened_anew_can_read_other_events(self, broker: Broker) -> None:
        broker.publish([make_message(broker), make_message(broker, name="new.class")], TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            drain(consumer, 1)
        with broker.consumer("main", ["new.class"], 1) as consumer:
            assert positions(drain(consumer, 1)) == [2]

    @pytest.mark.parametrize("count", [2, 3, 4, SLOTS])
    def test_lanes_together_see_every_message_once_and_in_order(self, broker: Broker, count: int) -> None:
        events = ["new.student", "new.class"]
        for round_ in range(4):
            broker.publish([make_message(broker, f"k{round_ * 7 + n}", events[n % 2]) for n in range(50)], 20.0)
            broker.publish([make_message(broker, f"k{round_}", "ignored")], TIMEOUT)
        slots = {position: split_subject(_get(broker, position).subject)[1] for position in range(1, 205)}
        expected = [position for position in slots if position % 51]
        seen: list[int] = []
        for number in range(count):
            lane = range(number, SLOTS, count)
            mine = [position for position in expected if slots[position] in lane]
            with broker.consumer(f"main-{number}of{count}", events, 0, slots=lane) as consumer:
                assert consumer.pending() == len(mine)
                assert positions(drain(consumer, len(mine))) == mine
                assert (consumer.fetch(10, 0.02), consumer.pending()) == ([], 0)
            seen += mine
        assert sorted(seen) == expected

    def test_a_consumer_opened_anew_can_read_other_slots(self, broker: Broker) -> None:
        messages = [make_message(broker, str(number)) for number in range(60)]
        broker.publish(messages, TIMEOUT)
        slots = [split_subject(message.subject)[1] for message in messages]
        with broker.consumer("main", ["new.student"], 0, slots=[0]) as consumer:
            drain(consumer, slots.count(0))
        with broker.consumer("main", ["new.student"], 20, slots=[3, 5]) as consumer:
            expected = [n for n, slot in enumerate(slots, 1) if slot in (3, 5) and n > 20]
            assert expected and positions(drain(consumer, len(expected))) == expected

    def test_a_consumer_that_is_not_durable_reads_as_any_other(self, broker: Broker) -> None:
        broker.publish(make_messages(broker, 6), TIMEOUT)
        with broker.consumer("passing", ["new.student"], 1, durable=False) as consumer:
            assert positions(drain(consumer, 3)) == [2, 3, 4]
            assert consumer.pending() == 2
        with broker.consumer("passing", ["new.student"], 2, durable=False) as consumer:
            assert positions(drain(consumer, 4)) == [3, 4, 5, 6]

    def test_consumers_of_different_names_read_independently(self, broker: Broker) -> None:
        broker.publish(make_messages(broker, 3), TIMEOUT)
        with (
            broker.consumer("one", ["new.student"], 0) as one,
            broker.consumer("two", ["new.student"], 1) as two,
        ):
            assert positions(drain(one, 3)) == [1, 2, 3]
            assert positions(drain(two, 2)) == [2, 3]

    def test_pending_counts_what_was_not_fetched_yet(self, broker: Broker) -> None:
        broker.publish([*make_messages(broker, 9), make_message(broker, name="new.class")], TIMEOUT)
        with broker.consumer("main", ["new.student"], 0) as consumer:
            assert consumer.pending() == 9
            drain(consumer, 4)
            assert consumer.pending() == 5
            drain(consumer, 5)
            assert consumer.pending() == 0

    def test_a_checkpoint_beyond_the_log_is_refused(self, broker: Broker) -> None:
        broker.publish([make_message(broker)], TIMEOUT)
        with pytest.raises(LogMismatchError, match=r"ends at position 1\b.* 5\b"):
            broker.consumer("main", ["new.student"], 5)

    def test_a_consumer_of_no_events_is_refused(self, broker: Broker) -> None:
        with pytest.raises(BrokerError, match="'main' needs the name of at least one event"):
            broker.consumer("main", [], 0)

    def test_a_consumer_without_a_log_is_refused(self, empty_broker: Broker) -> None:
        with pytest.raises(LogMismatchError, match=r"event log"):
            empty_broker.consumer("main", ["new.student"], 0)

    def test_a_closed_consumer_says_so(self, broker: Broker) -> None:
        consumer = broker.consumer("main", ["new.student"], 0)
        consumer.close()
        consumer.close()
        with pytest.raises(BrokerUnavailableError, match="consumer is closed"):
            consumer.fetch(1, TIMEOUT)

    def test_closing_wakes_a_waiting_fetch(self, broker: Broker) -> None:
        consumer = broker.consumer("main", ["new.student"], 0)
        closer = threading.Timer(0.1, consumer.close)
        closer.start()
        with pytest.raises(BrokerUnavailableError, match="consumer is closed"):
            consumer.fetch(1, TIMEOUT)
        closer.join()

    def test_closing_the_broker_ends_a_waiting_fetch(self, broker: Broker) -> None:
        consumer = broker.consumer("main", ["new.student"], 0)
        closer = threading.Timer(0.1, broker.close)
        closer.start()
        began = time.monotonic()
        with pytest.raises((ConsumerLostError, BrokerUnavailableError), match="closed|connection lost|went away"):
            consumer.fetch(1, TIMEOUT)
        assert time.monotonic() - began < 2
        closer.join()
        consumer.close()


def _get(broker: Broker, position: int) -> StoredMessage:
    stored = broker.get(position)
    assert stored is not None
    return stored


class BrokerConformance(LogConformance, ConsumerConformance, SignalConformance, ClaimConformance):
    """All of it. A subclass gives the fixtures `broker`, with a log, and `empty_broker`, without one."""
