"""The broker is killed, hangs, is away or forgets a consumer: nothing is lost, repeated or out of order."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults.ledger import CONSUMER, STREAM, Ledger, jetstream
from tests.processes import wait_for

pytestmark = pytest.mark.broker

#: Seconds within which a Sink goes on when the broker is back.
BACK = 5.0


def test_a_broker_killed_five_times_during_a_run_neither_loses_nor_repeats_an_event(any_ledger, chance):
    any_ledger.publish(1000)
    sink = any_ledger.sink()

    with any_ledger.flow(per_second=100):
        for _ in range(5):
            any_ledger.wait_applied(any_ledger.cache.applied() + 100)
            time.sleep(chance.uniform(0, 0.3))
            any_ledger.server.end(signal.SIGKILL)
            time.sleep(chance.uniform(0, 0.5))
            any_ledger.server.start()

    any_ledger.finish(sink)


def test_a_broker_that_hangs_for_30_seconds_is_waited_for(ledger, figure):
    ledger.mischief("time.sleep(0.001)")
    sink = ledger.sink()

    with ledger.flow(per_second=200):
        ledger.wait_applied(500)
        ledger.server.pause()
        try:
            time.sleep(30)
            stopped_at = ledger.cache.applied()
            assert "waiting component=ledger" in sink.output
            assert sink.process.poll() is None
        finally:
            ledger.server.resume()
        figure("went on after", ledger.wait_applied(stopped_at + 1))

    ledger.finish(sink)


def test_a_sink_started_without_a_broker_waits_for_it(ledger, figure):
    ledger.publish(500)
    ledger.server.end(signal.SIGTERM)
    sink = ledger.start()
    sink.says("waiting component=ledger")

    ledger.server.start()

    seconds = ledger.wait_applied(1)
    figure("went on after", seconds)
    assert seconds < BACK
    ledger.finish(sink)


def test_a_broker_that_is_away_for_a_minute_is_waited_for(ledger, figure):
    ledger.mischief("time.sleep(0.001)")
    last = ledger.publish(3000)
    sink = ledger.sink()
    ledger.wait_applied(500)

    ledger.server.end(signal.SIGKILL)
    time.sleep(60)

    assert sink.process.poll() is None
    assert ledger.cache.position() < last
    ledger.server.start()
    seconds = ledger.wait_applied(ledger.cache.applied() + 1)
    figure("went on after", seconds)
    assert seconds < BACK
    ledger.publish(500)
    ledger.finish(sink)


def test_a_sink_told_to_end_while_the_broker_is_away_ends_at_once(ledger):
    ledger.publish(500)
    sink = ledger.sink()
    ledger.wait_applied(500)
    ledger.server.end(signal.SIGKILL)
    sink.says("waiting component=ledger")

    began = time.monotonic()
    assert sink.stop() == 0
    assert time.monotonic() - began < BACK

    ledger.server.start()
    ledger.publish(500)
    ledger.finish(ledger.sink())


def consumers(ledger: Ledger) -> list[str]:
    """Return the names of the log's consumers at the broker."""
    found: list[str] = jetstream(ledger.server, f"CONSUMER.NAMES.{STREAM}")["consumers"] or []
    return found


def test_a_consumer_deleted_at_the_broker_is_made_again_where_the_cache_is(any_ledger, figure):
    plenty = any_ledger.cache.plenty
    any_ledger.publish(plenty)
    sink = any_ledger.sink()

    for _ in range(3):
        any_ledger.wait_applied(any_ledger.cache.applied() + 100)
        wait_for(lambda: CONSUMER in consumers(any_ledger), "the consumer to be there again")
        jetstream(any_ledger.server, f"CONSUMER.DELETE.{STREAM}.{CONSUMER}")
    any_ledger.wait_applied(plenty)
    wait_for(lambda: CONSUMER in consumers(any_ledger), "the consumer to be there again")
    # Nothing is on its way now, so that only the broker's word tells of the loss.
    jetstream(any_ledger.server, f"CONSUMER.DELETE.{STREAM}.{CONSUMER}")
    any_ledger.publish(100)
    seconds = any_ledger.wait_applied(plenty + 100)

    figure("went on after", seconds)
    assert seconds < BACK
    any_ledger.finish(sink)
