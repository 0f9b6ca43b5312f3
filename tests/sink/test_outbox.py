"""What handlers emit is stored with their effect and published once, in order."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from byron.broker.base import Broker
from byron.cache.roles import Role, acting_as
from byron.events.codec import decode
from byron.events.event import Message
from byron.events.subjects import split_subject
from byron.exceptions import BrokerError, BrokerUnavailableError, OutcomeUnknownError, PublishDeniedError
from byron.models import Checkpoint, OutboxMessage
from byron.sink.batch import BatchApplier
from byron.sink.effects import Effects
from byron.sink.lanes import Lane
from byron.sink.outbox import Outbox
from byron.sink.triage import Selection, retry_parked
from tests.sink.conftest import keys_of_slots


class Relayed:
    """A broker that a test looks into, and that refuses, goes away or forgets on demand."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.refused: set[str] = set()
        self.error: type[BrokerError] = PublishDeniedError
        self.away: BrokerError | None = None
        self.lost: BrokerError | None = None
        self.publishes = 0
        #: After which position each search was, and for how many ids.
        self.sought: list[tuple[int, int]] = []
        #: The number of messages of each batch that was asked for.
        self.batches: list[int] = []

    def __getattr__(self, name):
        return getattr(self.broker, name)

    def publish(self, messages, timeout):
        self.batches.append(len(messages))
        if self.away is not None:
            raise self.away
        self.publishes += 1
        if any(message.subject.split(".")[2] in self.refused for message in messages):
            raise self.error("not here")
        found = self.broker.publish(messages, timeout)
        if self.lost is not None:
            raise self.lost
        return found

    def find_all(self, subject, ids, after, **options):
        self.sought.append((after, len(ids)))
        return self.broker.find_all(subject, ids, after, **options)

    def forget(self):
        """Let the duplicate window be over."""
        self.broker._positions.clear()


@pytest.fixture
def relayed(bench):
    return Relayed(bench.broker)


@pytest.fixture
def emits(handle):
    """The events, as names and keys, that newAuthor emits for each author; it fails for those without any."""
    plan: dict[str, list[tuple[str, str]]] = {}

    def new_author(ctx, event):
        ctx.db.Author.objects.create(**event.payload)
        for name, key in plan[event.payload["id"]]:
            ctx.emit(name, {"id": key, "of": event.payload["id"]})

    handle("newAuthor", new_author)
    return plan


def apply(bench, *, count=1, number=0):
    """Apply what is in the log without publishing anything, and return the lane's outbox."""
    worker = bench.worker(number, count, lives=False)
    with acting_as(Role.SINK):
        worker.take()
        mine = [m for m in bench.broker.messages if split_subject(m.subject)[1] in worker.lane.slots]
        rest = [message for message in mine if message.subject.endswith(".new.author")]
        while rest:
            position = worker.batches.apply(rest)
            rest = [message for message in rest if message.position > position]
    return worker.effects.outbox


def emitted(bench):
    """Return what was emitted so far, in the log's order."""
    events = [decode(message) for message in bench.broker.messages]
    return [(event.name, event.key) for event in events if event.name != "new.author"]


def age_log(bench, seconds):
    """Let all that is in the log be so many seconds older."""
    bench.broker.messages[:] = [replace(each, logged=each.logged - seconds) for each in bench.broker.messages]


def test_emissions_are_stored_with_the_effect_and_published_afterwards(bench, emits):
    emits["a"] = [("drama.added", "x")]
    bench.author("a")
    outbox = apply(bench)
    assert (bench.authors, len(bench.outbox), emitted(bench)) == (["a"], 1, [])

    assert outbox.relay(bench.broker) == 1
    assert (bench.outbox, emitted(bench)) == ([], [("drama.added", "x")])
    assert outbox.relay(bench.broker) == 0


def test_a_lane_publishes_what_its_events_emit(bench, emits):
    emits.update(a=[("drama.added", "x"), ("author.seen", "a")], b=[])
    bench.author("a")
    bench.author("b")
    worker = bench.run()

    assert emitted(bench) == [("drama.added", "x"), ("author.seen", "a")]
    assert (bench.outbox, worker._progress.emitted) == ([], 2)


def test_an_emission_tells_its_cause(bench, emits):
    emits["a"] = [("drama.added", "x")]
    bench.publish("new.author", {"id": "a", "full_name": "A"}, correlation_id="c1", traceparent="t1")
    emits["b"] = [("drama.added", "y")]
    bench.publish("new.author", {"id": "b", "full_name": "B"})
    bench.run()
    first, second, of_first, of_second = (decode(message) for message in bench.broker.messages)

    assert (of_first.causation_id, of_first.correlation_id, of_first.traceparent) == (first.id, "c1", "t1")
    assert (of_second.causation_id, of_second.correlation_id, of_second.traceparent) == (second.id, second.id, None)
    assert (of_first.namespace, of_first.source, of_first.payload) == ("Perses", "Library", {"id": "x", "of": "a"})


def test_emissions_are_published_in_order_many_at_a_time(bench, emits, relayed):
    expected = []
    for number in range(150):
        emits[str(number)] = [("drama.added", f"{number}-{each}") for each in range(3)]
        expected += emits[str(number)]
        bench.author(str(number))
    outbox = apply(bench)

    assert outbox.relay(relayed) == 450
    assert emitted(bench) == expected
    assert relayed.publishes == 3


def test_handling_an_event_again_emits_the_same_ids(bench, emits):
    emits["a"] = [("drama.added", "x"), ("drama.added", "x"), ("drama.added", "y")]
    bench.author("a")
    bench.run()
    ids = [message.headers["ce-id"] for message in bench.broker.messages[1:]]
    assert len(set(ids)) == 3

    bench.model("Author").delete()
    Checkpoint.objects.using(bench.alias).update(position=0)
    apply(bench)
    assert bench.authors == ["a"]
    assert [row.message_id for row in bench.outbox] == ids


@pytest.mark.parametrize("seconds", [0, 100, 299, 400, 10**6])
def test_a_cache_that_is_built_again_publishes_nothing_twice(bench, emits, relayed, seconds):
    emits["a"] = [("drama.added", "x"), ("drama.added", "y")]
    bench.author("a")
    bench.run()
    bench.model("Author").delete()
    Checkpoint.objects.using(bench.alias).update(position=0)
    age_log(bench, seconds)
    if seconds > 600:
        relayed.forget()

    assert apply(bench).relay(relayed) == 2
    assert emitted(bench) == [("drama.added", "x"), ("drama.added", "y")]
    assert bench.outbox == []
    assert relayed.sought == ([(1, 1), (1, 1)] if seconds > 300 else [])


def test_an_emission_of_an_old_cause_that_the_log_lacks_is_published(bench, emits, relayed):
    emits["a"] = [("drama.added", "x"), ("drama.added", "y")]
    bench.author("a")
    bench.publish("drama.added", {"id": "x"})
    age_log(bench, 10**6)

    assert apply(bench).relay(relayed) == 2
    assert emitted(bench) == [("drama.added", "x"), ("drama.added", "x"), ("drama.added", "y")]


def test_of_an_old_cause_only_the_emissions_that_the_log_lacks_are_published(bench, emits, relayed):
    emits["a"] = [("drama.added", key) for key in "xyz"]
    bench.author("a")
    age_log(bench, 10**6)
    outbox = apply(bench)
    second = bench.outbox[1]
    bench.send(Message(subject=second.subject, headers=json.loads(second.headers), body=bytes(second.body)))
    age_log(bench, 601)
    relayed.forget()

    outbox.relay(relayed)
    assert emitted(bench) == [("drama.added", "y"), ("drama.added", "x"), ("drama.added", "z")]


def test_the_log_is_searched_once_for_a_page_s_messages_of_one_subject(bench, emits, relayed):
    for number in range(250):
        emits[str(number)] = [("drama.added", "one")]
        bench.author(str(number))
    age_log(bench, 10**6)

    assert apply(bench).relay(relayed) == 250
    assert relayed.sought == [(1, 200), (201, 50)]


def test_what_the_broker_remembers_by_itself_is_not_searched_for(bench, emits, relayed, monkeypatch):
    for number in range(3):
        emits[str(number)] = [("drama.added", "one")]
        bench.author(str(number))
    age_log(bench, 10**6)
    outbox = apply(bench)
    looked_at = []
    original = bench.broker.find_all

    def find_all(subject, ids, after, *, reader, until):
        looked_at.append([each.position for each in bench.broker.messages if each.logged < until])
        return original(subject, ids, after, reader=reader, until=until)

    monkeypatch.setattr(bench.broker, "find_all", find_all)
    bench.publish("drama.added", {"id": "one"})

    assert outbox.relay(relayed) == 3
    assert looked_at == [[1, 2, 3]]


def test_a_stop_is_noticed_between_two_pages(bench, emits, relayed):
    emits["a"] = [("drama.added", str(number)) for number in range(500)]
    bench.author("a")
    outbox = apply(bench)

    assert outbox.relay(relayed, lambda: relayed.publishes == 1) == 200
    assert len(bench.outbox) == 300
    assert outbox.relay(relayed) == 300
    assert emitted(bench) == emits["a"]


def test_a_stop_is_noticed_between_two_searches(bench, emits, relayed):
    emits["a"] = [("drama.added", key) for key in "xyz"]
    bench.author("a")
    age_log(bench, 10**6)
    outbox = apply(bench)

    assert outbox.relay(relayed, lambda: len(relayed.sought) == 2) == 0
    assert (relayed.publishes, len(bench.outbox)) == (0, 3)
    assert outbox.relay(relayed) == 3
    assert emitted(bench) == emits["a"]


def test_a_lane_that_is_to_stop_leaves_emissions_to_the_next_process(bench, emits, relayed):
    emits["a"] = [("drama.added", str(number)) for number in range(500)]
    bench.author("a")
    apply(bench)
    worker = bench.worker(lives=False, broker=relayed)
    worker.stop()
    bench.run(worker, turns=1)

    assert relayed.batches == [200, 200]
    assert len(bench.outbox) == 100


def test_large_messages_are_published_few_at_a_time(bench, handle, relayed):
    def new_author(ctx, event):
        ctx.emit("drama.added", {"id": "x", "text": "x" * int(event.payload["full_name"])})

    handle("newAuthor", new_author)
    sizes = [900_000] * 5 + [3_000_000] + [10] * 40
    for number, size in enumerate(sizes):
        bench.publish("new.author", {"id": str(number), "full_name": str(size)})
    outbox = apply(bench)

    assert outbox.relay(relayed) == 46
    assert relayed.batches == [2, 2, 1, 1, 40]
    assert [len(decode(each).payload["text"]) for each in bench.broker.messages[46:]] == sizes


def test_rows_beyond_a_page_s_bytes_are_not_read(bench, handle, relayed, monkeypatch):
    def new_author(ctx, event):
        ctx.emit("drama.added", {"id": "x", "text": "x" * 1_100_000})

    handle("newAuthor", new_author)
    for number in range(40):
        bench.author(str(number))
    outbox = apply(bench)
    read = []
    original = OutboxMessage.from_db.__func__

    def from_db(cls, *arguments):
        read.append(1)
        return original(cls, *arguments)

    monkeypatch.setattr(OutboxMessage, "from_db", classmethod(from_db))
    page = outbox._page(0)

    assert len(page) == 1
    assert len(read) <= 10


def test_a_batch_without_an_answer_is_tried_in_smaller_ones_until_it_passes(bench, emits, relayed, monkeypatch):
    emits["a"] = [("drama.added", str(number)) for number in range(300)]
    bench.author("a")
    outbox = apply(bench)
    original = relayed.publish

    def publish(messages, timeout):
        if len(messages) > 30:
            relayed.batches.append(len(messages))
            raise OutcomeUnknownError("no answer")
        return original(messages, timeout)

    monkeypatch.setattr(relayed, "publish", publish)
    failures = 0
    while bench.outbox:
        try:
            outbox.relay(relayed)
        except OutcomeUnknownError:
            failures += 1
            assert failures < 50

    assert relayed.batches[:5] == [200, 100, 50, 25, 50]
    assert emitted(bench) == emits["a"]


def test_a_publish_whose_outcome_is_unknown_is_repeated_and_stored_once(bench, emits, relayed):
    emits["a"] = [("drama.added", "x"), ("drama.added", "y")]
    bench.author("a")
    outbox = apply(bench)
    relayed.lost = OutcomeUnknownError("no answer")
    for _ in range(2):
        with pytest.raises(OutcomeUnknownError):
            outbox.relay(relayed)
        assert len(bench.outbox) == 2
    relayed.lost = None

    assert outbox.relay(relayed) == 2
    assert (emitted(bench), bench.outbox) == ([("drama.added", "x"), ("drama.added", "y")], [])


def test_while_the_broker_is_away_emissions_wait(bench, emits, relayed):
    emits["a"] = [("drama.added", "x")]
    bench.author("a")
    outbox = apply(bench)
    relayed.away = BrokerUnavailableError("away")
    for _ in range(2):
        with pytest.raises(BrokerUnavailableError):
            outbox.relay(relayed)
    assert len(bench.outbox) == 1
    relayed.away = None

    assert outbox.relay(relayed) == 1
    assert (emitted(bench), bench.outbox) == ([("drama.added", "x")], [])


def test_what_a_crash_left_is_published_by_the_next_process(bench, emits):
    emits["a"] = [("drama.added", "x")]
    bench.author("a")
    apply(bench)
    bench.run()

    assert (emitted(bench), bench.outbox) == ([("drama.added", "x")], [])


@pytest.mark.parametrize("error", [PublishDeniedError, BrokerError])
def test_a_refused_message_holds_back_only_its_key(bench, emits, relayed, settings, caplog, error):
    settings.BYRON_SINK_RETRY_LIMIT = 0
    relayed.refused, relayed.error = {"x"}, error
    emits["a"] = [("drama.added", key) for key in ("w", "x", "y", "x", "z")]
    bench.author("a")
    outbox = apply(bench)

    assert outbox.relay(relayed) == 3
    assert emitted(bench) == [("drama.added", key) for key in "wyz"]
    left = bench.outbox
    assert [split_subject(row.subject)[2] for row in left] == ["x", "x"]
    assert f"emitted event refused component=library subject={left[0].subject} id={left[0].message_id}" in caplog.text

    assert outbox.relay(relayed) == 0
    relayed.refused = set()
    assert outbox.relay(relayed) == 2
    assert [decode(message).id for message in bench.broker.messages[-2:]] == [row.message_id for row in left]


def test_a_refused_message_holds_its_key_back_on_every_page(bench, emits, relayed):
    relayed.refused = {"x"}
    emits["a"] = [("drama.added", "x"), *[("drama.added", f"k{number}") for number in range(250)], ("drama.added", "x")]
    bench.author("a")

    assert apply(bench).relay(relayed) == 250
    assert [split_subject(row.subject)[2] for row in bench.outbox] == ["x", "x"]


def test_a_refused_message_is_left_alone_for_a_while(bench, emits, relayed, settings, monkeypatch):
    settings.BYRON_SINK_RETRY_LIMIT = 30.0
    relayed.refused = {"x"}
    emits["a"] = [("drama.added", "x")]
    bench.author("a")
    outbox = apply(bench)
    now = time.monotonic()
    monkeypatch.setattr("byron.sink.outbox.time.monotonic", lambda: now)
    outbox.relay(relayed)
    tried = relayed.publishes
    relayed.refused = set()
    now += 29
    assert (outbox.relay(relayed), relayed.publishes) == (0, tried)
    now += 2
    assert outbox.relay(relayed) == 1


def test_new_emissions_do_not_wait_for_a_refused_one(bench, emits, relayed, settings):
    settings.BYRON_SINK_RETRY_LIMIT = 1000.0
    relayed.refused = {"x"}
    emits.update(a=[("drama.added", "x")], b=[("drama.added", "y"), ("drama.added", "x")])
    bench.author("a")
    worker = bench.worker(lives=False, broker=relayed)
    bench.run(worker)
    bench.author("b")
    bench.run(worker)

    assert emitted(bench) == [("drama.added", "y")]
    assert [split_subject(row.subject)[2] for row in bench.outbox] == ["x", "x"]


def test_a_lane_publishes_its_own_emissions_only(bench, emits):
    keys = keys_of_slots(2)
    for key in keys:
        emits[key] = [("drama.added", f"of-{key}")]
        bench.author(key)
    boxes = [apply(bench, number=number, count=2) for number in range(2)]
    assert [box.relay(bench.broker) for box in reversed(boxes)] == [1, 1]

    assert emitted(bench) == [("drama.added", f"of-{key}") for key in reversed(keys)]


def test_with_another_number_of_lanes_nothing_stays_behind(bench, emits):
    keys = keys_of_slots()
    for key in keys:
        emits[key] = [("drama.added", key)]
        bench.author(key)
    for number in range(4):
        apply(bench, number=number, count=4)
    outbox = Outbox(bench.alias, Lane(consumer=bench.consumer))

    assert outbox.relay(bench.broker) == 16
    assert bench.outbox == []
    assert {key for _, key in emitted(bench)} == set(keys)


def test_emissions_that_are_in_the_log_by_now_are_not_stored_again(bench, emits):
    keys = keys_of_slots(2)
    for key in [*keys, *keys]:
        identity = f"{key}-{len(emits)}"
        emits[identity] = [("drama.added", identity)]
        bench.author(identity, key=key)
    effects = Effects(bench.config, Lane(consumer=bench.consumer), owner=None)
    batches = BatchApplier(effects)
    effects.emitted_until = {0: 1, 1: 4}
    with acting_as(Role.SINK):
        bench.worker(lives=False).take()
        batches.apply(bench.broker.messages)

    assert [row.cause_position for row in bench.outbox] == [3]


def test_a_message_comes_out_of_the_outbox_as_it_went_in(bench, handle):
    def new_author(ctx, event):
        ctx.emit("drama.added", {"text": 'Zoë "%\x00'}, key="a.b*>/ü\x00")

    handle("newAuthor", new_author)
    bench.author("a")
    bench.run()

    event = decode(bench.broker.messages[1])
    assert (event.key, event.payload) == ("a.b*>/ü\x00", {"text": 'Zoë "%\x00'})


def test_what_another_process_has_a_handler_emit_is_published_by_the_lane_at_work(bench, emits, monkeypatch):
    """`manage.py parked retry` stores emissions, and the Sink that runs beside it publishes them."""
    bench.author("a")
    worker = bench.worker()
    bench.run(worker)
    assert (len(bench.parked), bench.outbox) == (1, [])
    emits["a"] = [("drama.added", "x")]
    [outcome] = retry_parked(bench.config, Selection())
    assert (outcome.applied, len(bench.outbox)) == (1, 1)

    later = time.monotonic() + 60
    monkeypatch.setattr("byron.sink.outbox.time.monotonic", lambda: later)
    bench.run(worker)
    assert (emitted(bench), bench.outbox) == ([("drama.added", "x")], [])


def test_what_waits_when_a_lane_comes_back_to_its_process_is_published(bench, emits):
    """A rebuild takes the lanes for a moment, and leaves what its handlers emitted."""
    emits["a"] = [("drama.added", "x")]
    first = bench.worker()
    bench.run(first)
    with acting_as(Role.SINK):
        first.release()
        bench.author("a")
    second = bench.worker(lives=False)
    with acting_as(Role.SINK):
        second.take()
        second.batches.apply(bench.broker.messages)
        second.release()
    assert len(bench.outbox) == 1

    bench.run(first)
    assert (emitted(bench), bench.outbox) == ([("drama.added", "x")], [])
