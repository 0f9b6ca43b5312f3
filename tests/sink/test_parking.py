"""Events that cannot be applied are set aside; what is behind them of their key waits, all else goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from byron.cache.roles import Role, acting_as
from byron.events.codec import encode_payload
from byron.events.subjects import encode_key
from byron.models import ParkedEvent
from byron.sink import effects
from byron.sink.batch import BatchApplier
from byron.sink.effects import Effects
from byron.sink.lanes import Lane
from byron.sink.parking import stored_message
from tests.sink.conftest import keys_of_slots

RETRYING, PARKED, BEHIND, DISCARDED = ParkedEvent.State

BOOK = {"id": "b", "title": "T", "genre": "POETRY", "author": "a", "tags": []}


def make_due(bench):
    """Let the pauses before the next tries be over."""
    bench.rows(state=RETRYING).update(next_try=datetime.now(UTC) - timedelta(seconds=1))


def test_a_failing_event_is_set_aside_and_events_of_other_keys_go_on(bench, failures):
    failures.add("b")
    for identity in "abc":
        bench.author(identity)
    bench.run()

    assert bench.authors == ["a", "c"]
    assert bench.position == 3
    [row] = bench.parked
    assert (row.position, row.state, row.tries, row.name, row.key) == (2, RETRYING, 1, "new.author", "b")
    assert (row.handler, row.error) == ("newAuthor", "RuntimeError: b is not welcome")
    assert "in __call__" in row.traceback
    assert row.event_id == bench.broker.messages[1].headers["ce-id"]


def test_later_events_of_its_key_wait_behind_it(bench, failures):
    failures.add("k1")
    for identity, key in (("k1", "k"), ("k2", "k"), ("a", "a"), ("k3", "k")):
        bench.author(identity, key=key)
    worker = bench.run()
    assert bench.authors == ["a"]
    assert bench.states == [(1, RETRYING), (2, BEHIND), (4, BEHIND)]

    bench.author("k4", key="k")
    bench.author("b")
    bench.run(worker)

    assert bench.authors == ["a", "b"]
    assert bench.states == [(1, RETRYING), (2, BEHIND), (4, BEHIND), (5, BEHIND)]
    assert set(failures.called) == {"k1", "a", "b"}


def test_a_process_that_takes_over_keeps_later_events_behind(bench, failures):
    failures.add("k1")
    bench.author("k1", key="k")
    bench.run()
    failures.clear()
    bench.author("k2", key="k")
    bench.run(bench.worker())

    assert bench.states == [(1, RETRYING), (2, BEHIND)]


def test_once_all_of_a_key_is_applied_its_next_events_are_applied_at_once(bench, failures):
    failures.add("k1")
    bench.author("k1", key="k")
    worker = bench.run()
    failures.clear()
    assert bench.retry(worker, "k") == (1, None)
    bench.author("k2", key="k")
    bench.run(worker)

    assert (bench.authors, bench.parked) == (["k1", "k2"], [])


def test_what_was_set_aside_does_not_come_twice(bench, failures):
    failures.add("b")
    for identity in "abc":
        bench.author(identity)
    worker = bench.run()
    failures.clear()
    with acting_as(Role.SINK):
        assert worker.batches.apply(bench.broker.messages) == 3

    assert (bench.authors, bench.states) == (["a", "c"], [(2, RETRYING)])


def test_tries_are_made_with_growing_pauses_and_end(bench, failures, settings):
    settings.BYRON_SINK_TRIES = 5
    settings.BYRON_SINK_RETRY_DELAY = 100.0
    settings.BYRON_SINK_RETRY_LIMIT = 300.0
    failures.add("a")
    bench.author("a")
    began = datetime.now(UTC)
    worker = bench.run()

    for tries, pause in ((1, 100), (2, 200), (3, 300), (4, 300)):
        [row] = bench.parked
        assert (row.state, row.tries) == (RETRYING, tries)
        assert began <= row.next_try - timedelta(seconds=pause) <= datetime.now(UTC)
        assert worker.effects.parking.due() == []
        make_due(bench)
        assert worker.effects.parking.due() == [row.key_digest]
        began = datetime.now(UTC)
        applied, problem = bench.retry(worker, "a")
        assert (applied, str(problem.error)) == (0, "a is not welcome")

    [row] = bench.parked
    assert (row.state, row.tries, row.next_try) == (PARKED, 5, None)
    assert worker.effects.parking.due() == []
    assert bench.authors == []


def test_a_retry_applies_a_key_in_order_and_stops_at_the_next_that_fails(bench, failures):
    failures.add("k1")
    for number in range(1, 6):
        bench.author(f"k{number}", key="k")
    worker = bench.run()
    failures.clear()
    failures.add("k4")
    failures.called.clear()
    applied, problem = bench.retry(worker, "k")

    assert (applied, str(problem.error)) == (3, "k4 is not welcome")
    assert failures.called == ["k1", "k2", "k3", "k4"]
    assert bench.authors == ["k1", "k2", "k3"]
    assert bench.states == [(4, RETRYING), (5, BEHIND)]
    assert bench.parked[0].tries == 1

    failures.clear()
    assert bench.retry(worker, "k") == (2, None)
    assert (bench.authors, bench.parked) == (["k1", "k2", "k3", "k4", "k5"], [])


def test_a_long_retry_ends_after_a_while_and_the_rest_is_due_at_once(bench, failures, monkeypatch):
    failures.add("k1")
    for number in range(1, 4):
        bench.author(f"k{number}", key="k")
    worker = bench.run()
    failures.clear()
    monkeypatch.setattr(effects, "_LONGEST_TRANSACTION", -1)
    for left in (["k2", "k3"], ["k3"], []):
        if failures.called[-1] == "k1":
            make_due(bench)
        [digest] = worker.effects.parking.due()
        assert bench.retry_digest(worker, digest) == (1, None)
        assert len(bench.parked) == len(left)

    assert worker.effects.parking.due() == []
    assert failures.called[-3:] == ["k1", "k2", "k3"]


def test_a_key_with_more_parked_events_than_one_retry_takes_is_applied_in_order(bench, failures):
    failures.add("0")
    for number in range(601):
        bench.author(str(number), key="k")
    worker = bench.run()
    failures.clear()
    failures.called.clear()
    make_due(bench)
    while due := worker.effects.parking.due():
        assert bench.retry_digest(worker, due[0])[1] is None

    assert failures.called == [str(number) for number in range(601)]
    assert bench.parked == []


@pytest.fixture
def bodies(monkeypatch):
    """The positions of the parked events whose messages are read, as they are."""
    read = []
    original = ParkedEvent.from_db.__func__

    def from_db(cls, db, names, values):
        row = original(cls, db, names, values)
        if "body" in names:
            read.append(row.position)
        return row

    monkeypatch.setattr(ParkedEvent, "from_db", classmethod(from_db))
    return read


def test_what_is_behind_an_event_that_fails_again_is_left_alone(bench, failures, handle, bodies):
    failures.add("k1")
    for number in range(1, 40):
        bench.author(f"k{number}", key="k")
    worker = bench.run()
    assert bench.retry(worker, "k")[0] == 0
    bodies.clear()
    begun = []

    def note(ctx, event):
        begun.append([row.position for row in bench.rows(begun__gt=0).only("position")])
        raise RuntimeError("still not welcome")

    handle("newAuthor", note)
    applied, problem = bench.retry(worker, "k")

    assert (applied, problem.summary) == (0, "RuntimeError: still not welcome")
    assert (bodies, begun) == ([1], [[1]])


def test_messages_behind_are_read_one_at_a_time(bench, failures, bodies):
    failures.add("k1")
    for number in range(1, 6):
        bench.author(f"k{number}", key="k")
    worker = bench.run()
    failures.clear()
    failures.add("k3")
    bodies.clear()
    applied, problem = bench.retry(worker, "k")

    assert (applied, str(problem.error)) == (2, "k3 is not welcome")
    assert bodies == [1, 2, 3]


def test_a_lane_retries_its_own_slots_only(bench, failures):
    first, second = keys_of_slots(2)
    failures.update((first, second))
    bench.author(first)
    bench.author(second)
    workers = [bench.run(bench.worker(number, 2)) for number in range(2)]
    make_due(bench)
    failures.clear()
    for key, worker in zip((first, second), workers, strict=True):
        [digest] = worker.effects.parking.due()
        assert bench.retry_digest(worker, digest) == (1, None)
        assert key in bench.authors

    assert bench.authors == sorted((first, second))


def test_a_batch_of_500_with_three_culprits_has_497_effects(bench, failures):
    failures.emits = True
    culprits = {"17", "250", "499"}
    failures |= culprits
    for number in range(500):
        bench.author(str(number))
    bench.run()

    assert set(bench.authors) == {str(number) for number in range(500)} - culprits
    assert {row.key for row in bench.parked} == culprits
    assert len(bench.outbox) == 0
    assert len([m for m in bench.broker.messages if m.subject.endswith(".author.welcomed")]) == 497
    assert bench.position == 500


def test_a_failed_event_s_emissions_are_not_stored(bench, failures):
    failures.emits = True
    failures.add("b")
    for identity in "abc":
        bench.author(identity)
    worker = bench.worker(lives=False)
    with acting_as(Role.SINK):
        worker.take()
        assert worker.batches.apply(bench.broker.messages) == 3
    assert [row.cause_position for row in bench.outbox] == [1, 3]

    failures.clear()
    bench.retry(worker, "b")
    assert [row.cause_position for row in bench.outbox] == [1, 3, 2]


def test_a_retry_that_fails_again_stores_no_emissions(bench, failures):
    failures.emits = True
    failures.update(("k1", "k2"))
    for number in range(1, 3):
        bench.author(f"k{number}", key="k")
    worker = bench.run()
    failures.discard("k1")
    assert bench.retry(worker, "k")[0] == 1

    assert [row.cause_position for row in bench.outbox] == [1]


def test_an_emission_that_breaks_its_contract_parks_the_event_at_once(bench, handle):
    def new_author(ctx, event):
        ctx.emit("new.book", {"id": "b", "title": 7})

    handle("newAuthor", new_author)
    bench.author("a")
    bench.run()

    [row] = bench.parked
    assert (row.state, row.handler) == (PARKED, "newAuthor")
    assert row.error.startswith("EventError: The event new.book does not fit Book")


def test_discarded_events_are_passed_over_and_hold_nothing_back(bench, failures):
    failures.add("k2")
    for number in range(1, 4):
        bench.author(f"k{number}", key="k")
    bench.publish_raw("new.book", b"{", key="k")
    worker = bench.worker(lives=False)
    worker.batches.discarded = frozenset({2, 4})
    bench.run(worker)

    assert (bench.authors, bench.parked) == (["k1", "k3"], [])
    assert "k2" not in failures.called
    assert bench.position == 4


def test_an_event_noted_as_discarded_stays_while_others_of_its_key_go_on(bench, failures):
    failures.add("k1")
    bench.author("k1", key="k")
    worker = bench.run()
    bench.rows().update(state=DISCARDED)
    bench.author("k2", key="k")
    bench.run(worker)

    assert (bench.authors, bench.states) == (["k2"], [(1, DISCARDED)])


def test_a_transaction_that_is_cut_short_leaves_alone_what_comes_later(bench, failures):
    failures.add("b")
    bench.author("a")
    bench.publish_raw("new.book", b"{", key="k")
    bench.author("b")
    bench.author("k2", key="k")
    messages = bench.broker.messages
    worker = bench.worker(lives=False)
    with acting_as(Role.SINK):
        worker.take()
        assert worker.batches.apply(messages, lambda: True) == 1
        assert (bench.authors, bench.parked, bench.position) == (["a"], [], 1)
        assert worker.batches.apply(messages[1:], lambda: True) == 4

    assert bench.authors == ["a"]
    assert bench.states == [(2, PARKED), (3, RETRYING), (4, BEHIND)]


@pytest.mark.parametrize("first", ["broken", "failing"])
def test_of_a_broken_and_a_failing_event_of_one_key_the_later_is_behind(bench, failures, first):
    failures.add("k1")
    steps = [lambda: bench.publish_raw("new.book", b"{", key="k"), lambda: bench.author("k1", key="k")]
    for step in steps if first == "broken" else reversed(steps):
        step()
    bench.author("k2", key="k")
    bench.author("a")
    bench.run()

    assert bench.states == [(1, PARKED if first == "broken" else RETRYING), (2, BEHIND), (3, BEHIND)]
    assert bench.authors == ["a"]


def test_what_stands_behind_a_broken_event_is_applied_when_that_is_discarded(bench, failures):
    bench.publish_raw("new.book", b"{", key="k")
    bench.author("k1", key="k")
    worker = bench.run()
    assert bench.states == [(1, PARKED), (2, BEHIND)]
    applied, problem = bench.retry(worker, "k")
    assert (applied, bench.states) == (0, [(1, PARKED), (2, BEHIND)])
    assert "unusable payload" in str(problem.error)

    bench.rows(position=1).update(state=DISCARDED)
    assert bench.retry(worker, "k") == (1, None)
    assert bench.authors == ["k1"]


def with_body(**changes):
    return {"body": json.dumps({**BOOK, **changes}).encode()}


BROKEN = {
    "no JSON": {"body": b"{"},
    "nothing": {"body": b""},
    "no object": {"body": b"[1]"},
    "not UTF-8": {"body": json.dumps(BOOK).encode().replace(b'"T"', b'"\xff"')},
    "half a surrogate pair": {"body": json.dumps(BOOK).encode().replace(b'"T"', b'"\\ud800x"')},
    "NaN": {"body": json.dumps({**BOOK, "price": float("nan")}).encode()},
    "NaN as text": with_body(price="NaN"),
    "sNaN as text": with_body(price="sNaN"),
    "infinity as text": with_body(price="-Infinity"),
    "nested too deep": {"body": b'{"id":' + b"[" * 100_000},
    "an attribute missing": {"body": b'{"id": "b", "title": "T", "author": "a", "tags": []}'},
    "an attribute too many": with_body(colour="red"),
    "an attribute of another type": with_body(title=7),
    "a value that is none of the enum's": with_body(genre="PROSE"),
    "NUL in text": with_body(title="a\x00b"),
    "an id too long": with_body(id="x" * 256),
    "a future version": {**with_body(), "ce_schemaversion": "3"},
    "no version at all": {**with_body(), "ce_schemaversion": "two"},
    "no id": {**with_body(), "ce_id": None},
    "no source": {**with_body(), "ce_source": None},
    "no time": {**with_body(), "ce_time": "yesterday"},
    "a key that is none": {**with_body(), "subject": f"perses.0.{encode_key('k')}=FF.new.book"},
    "a slot that is none": {**with_body(), "subject": "perses.x.k.new.book"},
    "a key with NUL": {**with_body(), "subject": "perses.0.a\x00b.new.book"},
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_message_is_parked_at_once_and_does_not_block_the_lane(bench, case):
    bench.publish("new.book", {**BOOK, "id": "before"})
    bench.publish_raw("new.book", **{"key": "k", **BROKEN[case]})
    bench.publish("new.book", {**BOOK, "id": "after"})
    bench.run()

    [row] = bench.parked
    assert (row.position, row.state, row.tries, row.name) == (2, PARKED, 1, "new.book")
    assert row.error.startswith("EventError: ")
    assert bytes(row.body) == BROKEN[case]["body"]
    assert list(bench.model("Book").order_by("id").values_list("id", flat=True)) == ["after", "before"]
    assert bench.position == 3


def everything(**changes):
    """Return a payload of everything.made, with changes that JSON text may carry and Python may not."""
    plain = {
        **{"id": "e", "anId": "5", "number": 1, "ratio": 0.5, "flag": True, "moment": "2024-02-29T12:00:00Z"},
        **{"day": "2024-02-29", "hour": "12:00:00", "amount": "1.10", "code": "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f"},
        **{"moments": [], "genres": [], "books": []},
    }
    made = json.dumps({name: value for name, value in plain.items() if name not in changes})
    more = "".join(f', "{name}": {value}' for name, value in changes.items())
    return (made[:-1] + more + "}").encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"number": str(10**400)},
        {"number": str(2**31)},
        {"number": "1e400"},
        {"ratio": "1e400"},
        {"ratio": "NaN"},
        {"extra": "1e400"},
        {"extra": "1" * 5000},
        {"amount": '"NaN"'},
        {"moment": '"2024-02-29T12:00:00"'},
        {"day": '"10000-01-01"'},
        {"day": '"2023-02-29"'},
    ],
    ids=lambda changes: " ".join(f"{name}={value[:20]}" for name, value in changes.items()),
)
def test_a_value_beyond_its_type_is_parked_at_once(bench, changes):
    bench.publish_raw("everything.made", everything(**changes), key="e")
    bench.publish_raw("everything.made", everything(id='"f"', amount='"2"'), key="f")
    bench.run()

    assert bench.states == [(1, PARKED)]
    assert list(bench.model("Everything").values_list("id", flat=True)) == ["f"]


@pytest.mark.parametrize(
    "changes",
    [
        {"text": f'"{"x" * 1_000_000}"'},
        {"amount": f'"{10**400}"'},
        {"ratio": "1e308"},
        {"day": '"9999-12-31"'},
    ],
    ids=lambda changes: " ".join(f"{name}={value[:20]}" for name, value in changes.items()),
)
def test_a_large_value_that_fits_its_type_is_applied(bench, changes):
    bench.publish_raw("everything.made", everything(**changes), key="e")
    bench.publish_raw("everything.made", everything(id='"f"', amount='"2"'), key="f")
    bench.run()

    assert bench.parked == []
    assert sorted(bench.model("Everything").values_list("id", flat=True)) == ["e", "f"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"extra": str(10**400)}, "integers of 64 bits"),
        ({"extra": '"a\\u0000b"'}, "no character U+0000"),
        ({"extra": "[" * 500 + "]" * 500}, "100 levels at most"),
        ({"amount": '"1e1000000"'}, "exponents to 1000 at most"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else given,
)
def test_a_value_that_not_every_cache_stores_is_set_aside_at_once(bench, changes, reason):
    bench.publish_raw("everything.made", everything(**changes), key="e")
    bench.publish_raw("everything.made", everything(id='"f"', amount='"2"'), key="f")
    bench.run()

    [parked] = bench.parked
    assert (parked.position, parked.tries) == (1, 1)
    assert reason in parked.error
    assert list(bench.model("Everything").values_list("id", flat=True)) == ["f"]


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_value_that_only_the_database_refuses_is_set_aside(bench, moment):
    bench.publish_raw("everything.made", everything(moment=f'"{moment}"'), key="e")
    bench.publish_raw("everything.made", everything(id='"f"', amount='"2"'), key="f")
    bench.run()

    assert [position for position, _ in bench.states] == [1]
    assert list(bench.model("Everything").values_list("id", flat=True)) == ["f"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "x", "full_name": "a\\u0000b"}',
        b'{"id": "x", "full_name": %d}' % 10**400,
        b'{"id": "x", "full_name": "%s"}' % (b"x" * 1_000_000),
        b'{"id": "x", "full_name": [1, {"a": null}]}',
        b'{"id": 7, "full_name": "int"}',
        b'{"id": "x", "full_name": null}',
        b'{"id": "x", "full_name": "f", "unknown": 1}',
        b'{"id": "x"}',
        b"{}",
    ],
    ids=lambda body: body[:45].decode().strip(),
)
def test_an_untyped_payload_that_a_handler_did_not_expect_never_blocks_the_lane(bench, body):
    bench.author("before")
    bench.publish_raw("new.author", body, key="x")
    bench.author("after")
    bench.run()

    assert bench.position == 3
    assert {"after", "before"} <= set(bench.authors)
    assert len(bench.authors) + len(bench.parked) == 3


def test_an_error_that_no_database_can_store_as_text_is_noted_all_the_same(bench, handle):
    def new_author(ctx, event):
        raise RuntimeError("a\x00b \ud800 \N{SNOWMAN}")

    handle("newAuthor", new_author)
    bench.author("a")
    bench.run()

    [row] = bench.parked
    assert row.error == "RuntimeError: a\N{SYMBOL FOR NULL}b \\ud800 \N{SNOWMAN}"
    assert "\x00" not in row.traceback and "\\ud800" in row.traceback


def test_a_parked_event_is_as_it_came(bench, failures):
    failures.add("a")
    bench.publish("new.author", {"id": "a", "full_name": "Ä"}, key="Zoë/7", correlation_id="c1", traceparent="t1")
    bench.run()

    [row] = bench.parked
    stored = stored_message(row)
    [message] = bench.broker.messages
    assert (stored.subject, stored.headers, stored.body, stored.position) == (
        message.subject,
        message.headers,
        message.body,
        1,
    )


def test_without_parking_a_failure_is_raised_and_all_before_it_is_applied(bench, failures):
    failures.add("c")
    for identity in "abcd":
        bench.author(identity)
    batches = BatchApplier(Effects(bench.config, Lane(consumer=bench.consumer), owner=None))
    batches.parks = False
    worker = bench.worker(lives=False)
    with acting_as(Role.SINK), pytest.raises(RuntimeError, match="c is not welcome") as failure:
        worker.take()
        batches.apply(bench.broker.messages)

    assert failure.value.__notes__ == ["In the handler newAuthor of new.author c, at position 3 of the log"]
    assert (bench.authors, bench.parked, bench.position) == (["a", "b"], [], 2)


def test_the_payload_of_a_book_is_applied_when_nothing_is_wrong_with_it(bench):
    # The control of the broken ones above.
    bench.publish_raw("new.book", encode_payload(BOOK), key="k")
    bench.publish_raw("everything.made", everything(), key="e")
    bench.run()

    assert bench.parked == []
    assert (bench.model("Book").count(), bench.model("Everything").count()) == (1, 1)
