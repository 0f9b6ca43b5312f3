"""The database is locked, drops its connections or restarts: nothing is lost, repeated or out of order."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.faults.ledger import STOP, stop
from tests.processes import wait_for

pytestmark = pytest.mark.broker


def test_a_sqlite_cache_locked_for_25_seconds_is_waited_for(ledger, figure):
    ledger.mischief("time.sleep(0.001)")
    sink = ledger.sink()
    with ledger.flow(per_second=200):
        ledger.wait_applied(300)
        file = ledger.system.project / "ledger.sqlite3"
        with closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as other:
            other.execute("BEGIN IMMEDIATE")
            locked_at = ledger.cache.applied()
            time.sleep(25)
            assert ledger.cache.applied() == locked_at
            other.execute("ROLLBACK")
        seconds = ledger.wait_applied(locked_at + 1)
    figure("went on after", seconds)
    assert seconds < STOP
    ledger.finish(sink)


def test_a_sink_told_to_end_while_the_cache_is_locked_ends_in_time(ledger, figure):
    sink = ledger.sink()
    ledger.publish(50)
    ledger.wait_applied(50)
    file = ledger.system.project / "ledger.sqlite3"
    with closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        ledger.publish(50)
        sink.says("waiting component=ledger")
        code, seconds = stop(sink)
        other.execute("ROLLBACK")

    figure("ended after", seconds)
    assert code == 0
    assert seconds < STOP
    ledger.finish(ledger.sink())


@pytest.mark.parametrize("lanes", [1, 4])
def test_connections_that_are_ended_ten_times_during_a_run_are_made_again(served_ledger, chance, lanes):
    ledger = served_ledger
    ledger.configure(SINK_LANES=lanes)
    sink = ledger.sink()

    with ledger.flow(50):
        for _ in range(10):
            ledger.wait_applied(ledger.cache.applied() + 50)
            time.sleep(chance.uniform(0, 0.3))
            ledger.cache.drop_connections()

    ledger.finish(sink)


def test_a_server_restarted_during_a_run_is_waited_for(served_ledger, chance):
    ledger = served_ledger
    sink = ledger.sink()

    with ledger.flow(50):
        for mode in ("fast", "immediate", "fast", "immediate"):
            ledger.wait_applied(ledger.cache.applied() + 100)
            time.sleep(chance.uniform(0, 0.3))
            ledger.cache.server.restart(mode)

    ledger.finish(sink)


def test_a_sink_started_without_its_server_waits_for_it(served_ledger):
    ledger = served_ledger
    ledger.publish(300)
    ledger.cache.server.stop()
    try:
        sink = ledger.start()
        sink.says("waiting component=ledger")
    finally:
        ledger.cache.server.start()
    ledger.finish(sink)


def test_connections_that_are_lost_again_and_again_are_not_taken_for_deaths_of_the_process(served_ledger):
    ledger = served_ledger
    ledger.mischief('if entry["id"] == "slow-1":\n    print("at it", flush=True)\n    time.sleep(0.5)')
    ledger.publish(50)
    ledger.publish(1, ["slow"])
    ledger.publish(50)
    sink = ledger.sink()
    sink.says("at it")
    # One death, so that the next process looks out for the event that brought it about.
    sink.stop(signal.SIGKILL)
    sink = ledger.sink()

    for number in range(6):
        wait_for(lambda: sink.output.count("at it") > number or ledger.cache.parked(), "another try")  # noqa: B023
        ledger.cache.drop_connections()

    assert ledger.cache.parked() == []
    ledger.finish(sink)


def test_a_commit_that_is_said_to_have_failed_is_not_done_again(mongo_ledger):
    ledger = mongo_ledger
    ledger.configure(SINK_BATCH_SIZE=20)
    ledger.publish(400)
    sink = ledger.sink()

    for _ in range(4):
        ledger.wait_applied(ledger.cache.applied() + 20)
        # It is done, and asked for once more; both times the answer is an error.
        problem = {"code": 91, "codeName": "ShutdownInProgress", "errmsg": "a failure on purpose"}
        ledger.cache.fail(2, "commitTransaction", writeConcernError=problem)

    ledger.finish(sink)
    assert "a failure on purpose" in sink.output
