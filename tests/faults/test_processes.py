"""Sinks that are killed, told to end, or slow, at any moment: nothing is lost, repeated or out of order."""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.ledger import CONSUMER, STOP, STREAM, jetstream, stop
from tests.processes import wait_for

pytestmark = pytest.mark.broker


def test_a_sink_killed_at_ten_random_moments_applies_each_of_20000_events_once(ledger, chance, figure):
    total = 20_000
    for _ in range(20):
        ledger.publish(400, 50)
        ledger.publish_lines(600)
    moments = sorted(chance.sample(range(total * 9 // 10), 10))
    figure("killed at", moments)

    for moment in moments:
        sink = ledger.start()
        ledger.wait_applied(moment)
        time.sleep(chance.uniform(0, 0.2))
        sink.stop(signal.SIGKILL)

    assert ledger.cache.applied() < total
    ledger.finish(ledger.sink())


def test_what_was_committed_and_not_acknowledged_is_not_applied_again(any_ledger, chance):
    any_ledger.configure(SINK_BATCH_SIZE=20)
    last = any_ledger.publish(1000)

    for _ in range(3):
        sink = any_ledger.start(FAULT_DIE_AT_ACKNOWLEDGEMENT=str(chance.randint(1, 15)))
        assert sink.process.wait(30) == -signal.SIGKILL
        standing = jetstream(any_ledger.server, f"CONSUMER.INFO.{STREAM}.{CONSUMER}")
        assert standing["ack_floor"]["stream_seq"] < any_ledger.cache.position() < last

    any_ledger.finish(any_ledger.sink())


def test_what_handlers_emit_is_in_the_log_once_and_in_order_though_sinks_die_and_the_cache_is_lost(any_ledger, chance):
    any_ledger.mischief('ctx.emit("entry.booked", {"number": entry["number"]}, key=entry["account"])')
    any_ledger.configure(SINK_BATCH_SIZE=20)
    total = 600
    any_ledger.publish(total)

    for moment in sorted(chance.sample(range(total), 3)):
        sink = any_ledger.start()
        any_ledger.wait_applied(moment)
        time.sleep(chance.uniform(0, 0.1))
        sink.stop(signal.SIGKILL)
    any_ledger.finish(any_ledger.sink())
    any_ledger.system.manage("flush", "--database", "ledger", "--no-input")
    any_ledger.finish(any_ledger.sink())

    require_each_booked_once(any_ledger)


def test_what_was_published_and_is_in_the_outbox_still_is_not_published_again(any_ledger, chance):
    any_ledger.mischief('ctx.emit("entry.booked", {"number": entry["number"]}, key=entry["account"])')
    any_ledger.configure(SINK_BATCH_SIZE=20)
    any_ledger.publish(400)

    for _ in range(3):
        sink = any_ledger.start(FAULT_DIE_AFTER_PUBLISH=str(chance.randint(2, 5)))
        assert sink.process.wait(30) == -signal.SIGKILL
        assert any_ledger.cache.count("byron_outbox_message") > 0
    any_ledger.finish(any_ledger.sink())

    assert any_ledger.cache.count("byron_outbox_message") == 0
    require_each_booked_once(any_ledger)


def require_each_booked_once(ledger):
    """Require that the log has what was emitted for each entry, once and in order."""
    emitted = Counter[str]()
    with ledger.broker.consumer("check", ["entry.booked"], 0, durable=False) as booked:
        while batch := booked.fetch(500, 1.0):
            for message in batch:
                account = message.subject.split(".")[2]
                emitted[account] += 1
                assert message.body == b'{"number":%d}' % emitted[account]
    assert emitted == {account: last for account, (_, last, _) in ledger.book.accounts().items()}


def test_sigterm_under_load_ends_the_sink_within_ten_seconds(any_ledger, chance, figure):
    # Transactions of a second each, one after the other: on SQLite nobody else gets to write.
    any_ledger.mischief("time.sleep(0.004)")
    any_ledger.configure(SINK_BATCH_SIZE=500)
    last = any_ledger.publish(3000)

    slowest = 0.0
    for _ in range(3):
        sink = any_ledger.sink()
        any_ledger.wait_applied(any_ledger.cache.applied() + 1)
        time.sleep(chance.uniform(0, 1.5))
        code, seconds = stop(sink)
        assert code == 0
        assert list(any_ledger.cache.owners()) == [""], "lanes were not let go of"
        slowest = max(slowest, seconds)

    figure("slowest end", slowest)
    assert any_ledger.cache.position() < last
    assert slowest < STOP
    any_ledger.mischief("pass")
    any_ledger.finish(any_ledger.sink())


def test_sigterm_waits_for_a_handler_of_ten_seconds_whose_lane_nobody_takes(any_ledger, figure):
    any_ledger.mischief('if entry["id"] == "slow-1":\n    print("slow")\n    time.sleep(10)')
    any_ledger.publish(100)
    any_ledger.publish(1, ["slow"])
    any_ledger.publish(100)
    sink = any_ledger.sink()
    sink.says("slow\n")
    standby = any_ledger.start()

    code, seconds = stop(sink)

    figure("ended after", seconds)
    assert code == 0
    assert seconds < 10 + STOP
    any_ledger.finish(standby)


def test_an_entry_that_ends_the_process_is_parked_after_five_deaths(any_ledger):
    any_ledger.mischief('if entry["id"] == "killer-3":\n    os._exit(3)')
    any_ledger.publish(250)
    any_ledger.publish(5, ["killer"])
    any_ledger.publish(250)
    any_ledger.publish(5, ["killer"])
    held = any_ledger.book.of("killer", first=3)
    wanted = len(any_ledger.book) - len(held)

    sink, deaths = any_ledger.supervise(lambda: any_ledger.cache.applied() >= wanted)

    assert deaths == 5
    parked = [("killer", "parked")] + [("killer", "behind")] * (len(held) - 1)
    any_ledger.finish(sink, held=held, parked=parked)


def test_an_entry_that_ends_the_process_when_it_is_retried_is_parked_too(ledger):
    # It is behind a poisonous one at first, so that it is its retry that it comes to.
    ledger.mischief(
        'if entry["id"] == "killer-3" and not Path("repaired").exists():\n    raise RuntimeError("not today")\n'
        'if entry["id"] == "killer-5":\n    os._exit(3)'
    )
    ledger.publish(100)
    ledger.publish(8, ["killer"])
    ledger.publish(100)
    first = ledger.sink()
    wait_for(lambda: len(ledger.cache.parked()) == 6, "the account's entries to be parked")
    assert first.stop() == 0
    Path(ledger.system.project, "repaired").touch()
    held = ledger.book.of("killer", first=5)
    parked = [("killer", "parked")] + [("killer", "behind")] * (len(held) - 1)

    sink, deaths = ledger.supervise(lambda: ledger.cache.parked() == parked)

    assert deaths <= 5
    ledger.finish(sink, held=held, parked=parked)
