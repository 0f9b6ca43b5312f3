"""What handlers do to the process that runs them fails, and nothing else does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest
from django.db import connections

from byron.cache.roles import Role, acting_as
from byron.sink import effects, lane
from byron.sink.batch import BatchApplier

pytestmark = pytest.mark.django_db(transaction=True, databases=["library"])


def end_the_process(ctx, event):
    raise SystemExit(0)


def be_cancelled(ctx, event):
    raise asyncio.CancelledError


async def be_cancelled_while_waiting(ctx, event):
    raise asyncio.CancelledError


def close_the_connection(ctx, event):
    connections["library"].close()


def close_all_connections(ctx, event):
    connections.close_all()


@pytest.mark.parametrize(
    ("function", "error"),
    [
        (end_the_process, r"HandlerEndedError: It raised SystemExit\(0\), which would have ended the Sink\."),
        (be_cancelled, r"HandlerEndedError: It raised CancelledError\(\)"),
        (be_cancelled_while_waiting, r"HandlerEndedError: It raised CancelledError\(\)"),
        (close_the_connection, r"CacheError: A handler runs inside of the Sink's transaction, so it must not close"),
        (close_all_connections, r"CacheError: A handler runs inside of the Sink's transaction"),
    ],
)
def test_a_handler_that_would_end_the_sink_fails_and_other_keys_go_on(bench, handle, function, error):
    handle("trouble", function)
    bench.author("a")
    bench.publish("trouble.made", {"id": "t"}, key="k")
    bench.author("z")

    bench.run()

    [row] = bench.parked
    assert (row.position, row.state, row.handler) == (2, "retrying", "trouble")
    assert row.error.startswith(error.replace("\\", ""))
    assert bench.authors == ["a", "z"]


def test_who_runs_a_test_can_interrupt_it_in_a_handler(bench, handle):
    def interrupt(ctx, event):
        raise KeyboardInterrupt

    handle("trouble", interrupt)
    bench.publish("trouble.made", {"id": "t"})
    with pytest.raises(KeyboardInterrupt):
        bench.run()
    assert bench.parked == []


def test_a_slow_culprit_is_run_twice_however_many_events_are_before_it(bench, handle, monkeypatch):
    # Whatever time a transaction may last, it is over when the culprit fails.
    monkeypatch.setattr(effects, "_LONGEST_TRANSACTION", 0.05)
    called = []

    def new_author(ctx, event):
        called.append(event.payload["id"])
        if event.payload["id"] == "bad":
            over = monotonic() + 0.06
            while monotonic() < over:
                pass
            raise RuntimeError("slow, and bad")

    handle("newAuthor", new_author)
    good = [f"good{number:02}" for number in range(20)]
    for identity in (*good, "bad"):
        bench.author(identity)
    bench.run()

    assert called == [*good, "bad"] * 2
    assert bench.states == [(21, "retrying")]


def test_retries_that_take_long_let_others_be_applied_in_between(bench, failures, monkeypatch):
    for key in "abc":
        failures.add(key)
        bench.author(key)
    worker = bench.run()
    bench.rows().update(next_try=datetime.now(UTC) - timedelta(seconds=1))
    failures.called.clear()
    monkeypatch.setattr(lane, "_RETRY_INTERVAL", -1.0)
    with acting_as(Role.SINK):
        for tried in ("a", "ab", "abc"):
            worker._retry_parked(bench.broker)
            assert sorted(failures.called) == list(tried)


def test_of_the_careful_lanes_of_a_process_one_at_a_time_has_an_event_at_hand(bench, monkeypatch):
    alone = []
    note, apply = lane.note_attempt, BatchApplier.apply

    def noted(*arguments, **options):
        alone.append(lane._ALONE.locked())
        return note(*arguments, **options)

    def applied(*arguments):
        alone.append(lane._ALONE.locked())
        return apply(*arguments)

    monkeypatch.setattr(lane, "note_attempt", noted)
    monkeypatch.setattr(BatchApplier, "apply", applied)
    bench.author("a")
    bench.run()
    bench.author("b")
    # The first process is gone without a word.
    bench.run()

    assert alone == [False, True, True]
    assert not lane._ALONE.locked()
