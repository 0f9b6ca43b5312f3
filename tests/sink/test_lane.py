"""A lane: taken by one process at a time, careful after a crash, and never past what the log lost."""

from __future__ import annotations

from collections import Counter
from itertools import count as count_up

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from byron.broker.memory import MemoryBroker
from byron.cache.checkpoint import note_attempt, owners_of
from byron.cache.roles import Role, acting_as
from byron.events.subjects import SLOTS, slot_of
from byron.exceptions import LaneLostError, LogMismatchError
from byron.models import Checkpoint, ParkedEvent, SinkMember
from byron.sink.lane import starting_position
from byron.sink.lanes import Lane, lanes_of
from tests.sink.conftest import Failures, KilledError, Workbench, keys_of_slots

RETRYING, PARKED, BEHIND, _ = ParkedEvent.State


def take(worker):
    with acting_as(Role.SINK):
        return worker.take()


def release(worker):
    with acting_as(Role.SINK):
        worker.release()


def kill(worker):
    """Let a worker's process be gone, without a word."""
    SinkMember.objects.using("library").filter(id=worker._membership.id).delete()


def checkpoint_rows(bench):
    return Checkpoint.objects.using(bench.alias).filter(consumer=bench.consumer)


def owners(bench):
    return owners_of(bench.alias, bench.consumer, range(SLOTS))


# Who has the lane.


def test_a_lane_of_a_living_process_is_not_taken(bench):
    first, second = bench.worker(), bench.worker()

    assert (take(first), take(second)) == (True, False)
    assert owners(bench) == {first._membership.id}


def test_a_lane_that_was_let_go_of_is_taken_at_once_and_not_suspected(bench, failures):
    for identity in "ab":
        bench.author(identity)
    first, second = bench.worker(), bench.worker()
    bench.run(first, turns=0)
    release(first)
    bench.run(second)

    assert failures.called == ["a", "b"]
    assert not second._careful


def test_a_lane_of_a_process_that_is_gone_is_taken_with_care(bench):
    first, second = bench.worker(), bench.worker()
    take(first)
    kill(first)

    assert take(second)
    assert second._careful
    assert owners(bench) == {second._membership.id}


def test_lanes_of_different_slots_are_taken_side_by_side(bench):
    workers = [bench.worker(number, 4) for number in range(4)]

    assert [take(worker) for worker in workers] == [True] * 4
    assert not take(bench.worker())
    assert not take(bench.worker(0, 2))
    for worker in (workers[0], workers[2]):
        release(worker)
    assert take(bench.worker(0, 2))
    assert not take(bench.worker(1, 2))


def test_who_lost_its_lane_stores_nothing_more(bench, failures):
    failures.emits = True
    bench.author("a")
    first, second = bench.worker(), bench.worker()
    bench.run(first)
    for identity in "bc":
        bench.author(identity)
    failures.add("c")
    with acting_as(Role.SINK):
        broker, consumer = first.open()
        kill(first)
        assert second.take()
        with pytest.raises(LaneLostError, match="Slot 0 of library was taken by another Sink"):
            first.turn(broker, consumer, 0)

    assert (bench.authors, bench.position, bench.parked, bench.outbox) == (["a"], 1, [], [])
    assert failures.called == ["a"]
    assert owners(bench) == {second._membership.id}
    bench.run(second)
    assert (bench.authors, [row.position for row in bench.parked]) == (["a", "b"], [4])


def test_who_lost_its_lane_retries_nothing_more(bench, failures):
    failures.add("a")
    bench.author("a")
    first, second = bench.run(bench.worker()), bench.worker()
    kill(first)
    assert take(second)
    failures.clear()
    with pytest.raises(LaneLostError):
        bench.retry(first, "a")

    assert (bench.authors, bench.states) == ([], [(1, RETRYING)])
    assert bench.retry(second, "a") == (1, None)


def test_who_lost_a_single_slot_of_its_lane_stores_nothing_more(bench, failures):
    bench.author("a")
    first = bench.worker()
    with acting_as(Role.SINK):
        first.take()
        broker, consumer = first.open()
        kill(first)
        assert bench.worker(15, 16).take()
        with pytest.raises(LaneLostError, match="Slot 15 of library"):
            first.turn(broker, consumer, 0)

    assert (bench.authors, bench.position) == ([], 0)


def test_a_lane_that_is_lost_between_two_attempts_at_a_batch_stores_nothing_of_it(bench, failures, monkeypatch):
    failures.add("b")
    for identity in "abc":
        bench.author(identity)
    first, second = bench.worker(), bench.worker()
    judge = first.effects.is_external

    def lose_the_lane(error):
        # The first attempt was rolled back, and the second has not begun.
        checkpoint_rows(bench).update(owner=second._membership.id)
        return judge(error)

    monkeypatch.setattr(first.effects, "is_external", lose_the_lane)
    with pytest.raises(LaneLostError):
        bench.run(first)

    assert failures.called == ["a", "b"]
    assert (bench.authors, bench.parked, bench.position) == ([], [], 0)


def test_who_lost_its_lane_notes_no_attempts_in_it(bench, failures):
    bench.author("a")
    crashed, first, second = bench.worker(), bench.worker(), bench.worker()
    take(crashed)
    kill(crashed)
    with acting_as(Role.SINK):
        assert first.take()
        broker, consumer = first.open()
        kill(first)
        assert second.take()
        with pytest.raises(LaneLostError):
            first.turn(broker, consumer, 0)

    assert set(checkpoint_rows(bench).values_list("trying", "tries")) == {(None, 0)}


def test_letting_go_of_a_lane_that_another_has_does_nothing(bench):
    first, second = bench.worker(), bench.worker()
    take(first)
    kill(first)
    take(second)
    release(first)

    assert owners(bench) == {second._membership.id}


def test_checkpoints_that_were_removed_end_the_lane(bench, failures):
    bench.author("a")
    worker = bench.worker()
    with acting_as(Role.SINK):
        worker.take()
        broker, consumer = worker.open()
        checkpoint_rows(bench).delete()
        with pytest.raises(LaneLostError, match="was removed meanwhile"):
            worker.turn(broker, consumer, 0)
        assert worker.take()

    assert bench.authors == []


def test_a_worker_that_is_to_stop_ends_after_the_event_at_hand(bench, handle):
    worker = bench.worker()

    def new_author(ctx, event):
        ctx.db.Author.objects.create(**event.payload)
        if event.payload["id"] == "b":
            worker.stop()

    handle("newAuthor", new_author)
    for identity in "abcd":
        bench.author(identity)
    bench.run(worker, turns=1)

    assert (bench.authors, bench.position) == (["a", "b"], 2)
    release(worker)
    bench.run(bench.worker())
    assert bench.authors == ["a", "b", "c", "d"]


# After a crash.


def test_after_a_crash_events_come_one_by_one_each_noted_before_it_is_tried(bench, handle, settings):
    settings.BYRON_SINK_BATCH_SIZE = 3
    noted = []

    def new_author(ctx, event):
        rows = checkpoint_rows(bench).exclude(trying=None).values_list("slot", "trying", "tries")
        noted.append((event.payload["id"], list(rows)))
        ctx.db.Author.objects.create(**event.payload)

    crashed = bench.worker()
    take(crashed)
    kill(crashed)
    handle("newAuthor", new_author)
    for identity in "abcdef":
        bench.author(identity)
    bench.run(bench.worker())

    slots = {identity: slot_of(identity) for identity in "abcdef"}
    # As many as were in a batch that the crash may have been in; then as ever.
    assert noted == [
        ("a", [(slots["a"], 1, 2)]),
        ("b", [(slots["b"], 2, 2)]),
        ("c", [(slots["c"], 3, 2)]),
        ("d", []),
        ("e", []),
        ("f", []),
    ]
    assert bench.position == 6
    assert not checkpoint_rows(bench).exclude(trying=None).exists()


def test_without_a_crash_nothing_is_noted(bench, handle):
    noted = []

    def new_author(ctx, event):
        noted.append(checkpoint_rows(bench).exclude(trying=None).count())

    handle("newAuthor", new_author)
    bench.author("a")
    bench.author("b")
    bench.run(bench.worker())

    assert noted == [0, 0]


def test_an_event_during_which_five_processes_ended_is_parked_and_others_pass(bench, failures):
    for identity in "abc":
        bench.author(identity)
    take(crashed := bench.worker())
    note_attempt(bench.alias, bench.consumer, slot_of("b"), 2, 5)
    kill(crashed)
    bench.run(bench.worker())

    [row] = bench.parked
    assert (row.position, row.state, row.tries, row.next_try) == (2, PARKED, 1, None)
    assert row.error == "ProcessEndedError: 5 processes ended while they applied this event"
    assert (bench.authors, failures.called) == (["a", "c"], ["a", "c"])
    assert not checkpoint_rows(bench).exclude(trying=None).exists()


@pytest.mark.parametrize("tries", [1, 2, 4])
def test_an_event_during_which_fewer_ended_is_tried_again(bench, failures, tries):
    bench.author("a")
    take(crashed := bench.worker())
    note_attempt(bench.alias, bench.consumer, slot_of("a"), 1, tries)
    kill(crashed)
    bench.run(bench.worker())

    assert (bench.authors, bench.parked) == (["a"], [])


def test_an_event_that_ends_each_process_is_parked_after_five(bench, handle):
    called = Counter()

    def new_author(ctx, event):
        called[event.payload["id"]] += 1
        ctx.db.Author.objects.create(**event.payload)
        if event.payload["id"] == "c":
            raise KilledError

    handle("newAuthor", new_author)
    for identity, key in (("a", "a"), ("b", "b"), ("c", "k"), ("d", "k"), ("e", "e")):
        bench.author(identity, key=key)
    for _ in range(5):
        with pytest.raises(KilledError):
            bench.run(worker := bench.worker())
        kill(worker)
    bench.run(bench.worker())

    assert bench.authors == ["a", "b", "e"]
    assert bench.states == [(3, PARKED), (4, BEHIND)]
    assert called["c"] == 5
    # The first crash was in a batch, so what came before the culprit was done again.
    assert (called["a"], called["b"], called["d"], called["e"]) == (2, 2, 0, 1)


def test_a_broken_message_that_is_noted_is_parked_for_what_it_is(bench):
    bench.publish_raw("new.book", b"{", key="k")
    take(crashed := bench.worker())
    note_attempt(bench.alias, bench.consumer, slot_of("k"), 1, 5)
    kill(crashed)
    bench.run(bench.worker())

    [row] = bench.parked
    assert row.error.startswith("EventError: Message 1 (new.book) has an unusable payload")


def test_an_attempt_that_its_lane_is_beyond_does_no_harm(bench, failures):
    bench.author("a")
    bench.run(worker := bench.worker())
    note_attempt(bench.alias, bench.consumer, slot_of("a"), 1, 5)
    kill(worker)
    bench.author("b")
    bench.run(bench.worker())

    assert (bench.authors, bench.parked, failures.called) == (["a", "b"], [], ["a", "b"])


# Where the lane goes on.


def starts_at(bench, number=0, count=1, *, broker=None):
    lane = Lane(consumer=bench.consumer, number=number, count=count)
    return starting_position(bench.config, lane, broker or bench.broker)


def applied(bench, *identities):
    for identity in identities:
        bench.author(identity)
    release(bench.run())


def another_log(bench, *identities):
    """Return a log with other events than the first one."""
    other = Workbench(bench.config, MemoryBroker("Perses"))
    for identity in identities:
        other.author(identity)
    return other.broker


def test_an_empty_cache_starts_at_the_beginning(bench):
    assert starts_at(bench) == 0
    take(bench.worker())
    assert starts_at(bench) == 0


def test_a_lane_goes_on_after_its_checkpoint(bench):
    applied(bench, "a", "b")

    assert starts_at(bench) == 2


def test_a_lane_goes_on_after_the_lowest_of_its_slots(bench):
    applied(bench, "a", "b", "c")
    ids = [message.headers["ce-id"] for message in bench.broker.messages]
    for slot, position in ((1, 2), (4, 1)):
        checkpoint_rows(bench).filter(slot=slot).update(position=position, event_id=ids[position - 1])

    assert [starts_at(bench, number, 4) for number in range(4)] == [1, 2, 3, 3]
    assert starts_at(bench) == 1


def test_a_lane_with_a_slot_that_has_applied_nothing_starts_at_the_beginning(bench):
    applied(bench, "a", "b")
    checkpoint_rows(bench).filter(slot=9).update(position=0, event_id="")

    assert starts_at(bench) == 0
    assert starts_at(bench, 0, 2) == 2


@pytest.mark.parametrize(
    "others", [[], ["x"], ["x", "y"], ["x", "y", "z"]], ids=["empty", "shorter", "as long", "longer"]
)
def test_a_lane_stops_when_the_log_does_not_hold_what_was_applied(bench, others):
    applied(bench, "a", "b")
    event = bench.broker.messages[1].headers["ce-id"]

    with pytest.raises(LogMismatchError) as refusal:
        starts_at(bench, broker=another_log(bench, *others))
    message = str(refusal.value)
    assert f"The Cache of library has applied event {event} at position 2, but the log of Perses" in message
    assert f"(positions 1 to {len(others)}, created " in message
    assert message.endswith("with `manage.py rebuildcache library`.")


def test_one_slot_that_the_log_does_not_follow_stops_its_lane_only(bench):
    applied(bench, "a", "b", "c")
    checkpoint_rows(bench).filter(slot=6).update(position=2, event_id="another")

    with pytest.raises(LogMismatchError, match="event another at position 2"):
        starts_at(bench)
    with pytest.raises(LogMismatchError):
        starts_at(bench, 2, 4)
    assert [starts_at(bench, number, 4) for number in (0, 1, 3)] == [3, 3, 3]


def test_a_lane_goes_on_after_a_foreign_message_without_an_id(bench):
    bench.publish_raw("new.book", b"{}", key="k", ce_id=None)
    bench.run()

    assert starts_at(bench) == 1


def test_a_worker_skips_nothing_of_another_log(bench, failures):
    applied(bench, "a", "b")
    other = another_log(bench, "x", "y", "z")
    with pytest.raises(LogMismatchError):
        bench.run(bench.worker(broker=other))

    assert bench.authors == ["a", "b"]


# Lanes that change in number.


def test_the_lanes_share_the_slots():
    for count in range(1, SLOTS + 1):
        lanes = [Lane(consumer="c", number=number, count=count) for number in range(count)]
        assert sorted(slot for lane in lanes for slot in lane.slots) == list(range(SLOTS))
        assert len({lane.name for lane in lanes}) == count


def test_a_single_lane_has_the_component_s_name():
    assert (Lane(consumer="c").name, Lane(consumer="c", number=1, count=4).name) == ("c", "c-1of4")


def test_a_component_on_sqlite_has_one_lane(bench, settings):
    settings.BYRON_SINK_LANES = 4

    assert lanes_of(bench.config) == [Lane(consumer="library")]


def test_elsewhere_the_setting_says_how_many(bench, settings, monkeypatch):
    settings.BYRON_SINK_LANES = 4
    monkeypatch.setattr(connections["library"], "vendor", "postgresql")

    assert lanes_of(bench.config) == [Lane(consumer="library", number=number, count=4) for number in range(4)]


@pytest.mark.parametrize("lanes", [0, 17, -1, "4", 2.5, None])
def test_an_impossible_number_of_lanes_is_refused(bench, settings, lanes):
    settings.BYRON_SINK_LANES = lanes

    with pytest.raises(ImproperlyConfigured, match=r"BYRON_SINK_LANES is .*; a component has 1 to 16 lanes\."):
        lanes_of(bench.config)


def test_from_one_lane_to_four_and_back_each_event_is_applied_once_and_in_order(bench, handle, settings):
    settings.BYRON_SINK_BATCH_SIZE = 7
    effects = record_effects(handle)
    keys = keys_of_slots()
    numbers = count_up()

    def publish(many):
        for number in range(many):
            bench.author(str(next(numbers)), key=keys[number * 5 % 16])

    publish(60)
    run_some(bench, 0, 1, turns=3)
    publish(60)
    # Each of the four is somewhere else when they are one again.
    for number in range(4):
        run_some(bench, number, 4, turns=number)
    publish(60)
    assert len(set(bench.checkpoints.values())) > 1
    run_some(bench, 0, 1, turns=None)

    assert bench.parked == []
    assert bench.position == 180
    assert_once_and_in_order(bench, effects)


def record_effects(handle):
    """Store an author for each event, named by the order in which that was done."""
    order = count_up()

    def new_author(ctx, event):
        ctx.db.Author.objects.create(id=event.payload["id"], full_name=f"{next(order):06d} {event.key}")

    handle("newAuthor", new_author)
    return order


def run_some(bench, number, count, *, turns, crash=False):
    worker = bench.worker(number, count, lives=False)
    bench.run(worker, turns=turns)
    if not crash:
        release(worker)


def assert_once_and_in_order(bench, effects):
    authors = list(bench.model("Author").order_by("full_name").values_list("id", "full_name"))
    assert sorted((identity for identity, _ in authors), key=int) == [
        str(number) for number in range(len(bench.broker.messages))
    ]
    by_key: dict[str, list[int]] = {}
    for identity, effect in authors:
        by_key.setdefault(effect.split(" ", 1)[1], []).append(int(identity))
    for applied_order in by_key.values():
        assert applied_order == sorted(applied_order)


class Flaky(Failures):
    """A handler that fails a given number of times for each event, and notes what it has done in the Cache."""

    def __init__(self):
        super().__init__()
        self.left: dict[str, int] = {}
        self.order = count_up()

    def __call__(self, ctx, event):
        identity = event.payload["id"]
        name = f"{next(self.order):06d} {event.key}"
        ctx.db.Author.objects.create(id=f"{ctx.config.name}{identity}", full_name=name)
        if self.left.get(identity, 0):
            self.left[identity] -= 1
            raise RuntimeError("not yet")


#: What happens one after the other: events are published, about a key each, with how often their handler fails; or
#: a lane of so many is worked on for some fetches, ends in order or crashes, or tries parked events again.
_events = st.lists(st.tuples(st.integers(0, 5), st.sampled_from([0, 0, 0, 0, 1, 3])), min_size=1, max_size=8)
_work = st.tuples(st.sampled_from([1, 1, 2, 3, 4, 16]), st.integers(0, 15), st.integers(0, 2), st.booleans())
_steps = st.lists(st.one_of(_events, _work, st.just("retry")), max_size=25)


@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(steps=_steps, batch_size=st.sampled_from([1, 2, 3, 500]))
def test_whatever_happens_each_event_is_applied_once_and_in_order(bench, handle, settings, steps, batch_size):
    settings.BYRON_SINK_BATCH_SIZE = batch_size
    settings.BYRON_SINK_RETRY_DELAY = 0.0
    settings.BYRON_SINK_TRIES = 100
    flaky = Flaky()
    handle("newAuthor", flaky)
    mine = fresh(bench)
    for step in steps:
        if step == "retry":
            retry_due(mine)
        elif isinstance(step, list):
            for key, fails in step:
                identity = str(len(mine.broker.messages))
                flaky.left[identity] = fails
                mine.author(identity, key=f"key {key}")
        else:
            count, number, turns, crash = step
            run_some(mine, number % count, count, turns=turns, crash=crash)
    run_some(mine, 0, 1, turns=None)
    for _ in range(1000):
        if not retry_due(mine):
            break

    assert mine.parked == []
    expected: dict[str, list[str]] = {}
    for number, message in enumerate(mine.broker.messages):
        expected.setdefault(message.subject.split(".")[2], []).append(f"library{number}")
    found: dict[str, list[str]] = {}
    for identity, effect in mine.model("Author").order_by("full_name").values_list("id", "full_name"):
        found.setdefault(effect.split(" ", 1)[1].replace(" ", "=20"), []).append(identity)
    assert found == expected


def fresh(bench):
    """Return a workbench with an empty log, over the same tables, which are emptied."""
    mine = Workbench(bench.config, MemoryBroker("Perses"))
    for model in (Checkpoint, ParkedEvent, SinkMember):
        model.objects.using(bench.alias).all().delete()
    mine.model("Author").all().delete()
    return mine


def retry_due(bench):
    """Try all that is due, and return how many events are parked."""
    worker = bench.worker(lives=False)
    with acting_as(Role.SINK):
        assert worker.take()
        for digest in worker.effects.parking.due():
            worker.retries.retry(digest)
        worker.release()
    return len(bench.parked)


def test_the_lag_is_what_the_lane_has_not_been_given_yet(bench, failures):
    worker = bench.worker()
    for number in range(5):
        bench.author(str(number))
    with acting_as(Role.SINK):
        assert worker.take()
        _, consumer = worker.open()
        with consumer:
            worker._note_lag(consumer)
            assert worker._progress.lag == {worker.lane.name: 5}
            consumer.fetch(3, 0)
            worker._lag_at = 0.0
            worker._note_lag(consumer)
            assert worker._progress.lag == {worker.lane.name: 2}
