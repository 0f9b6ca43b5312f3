"""A Cache that is built anew while Sinks are at work on the live one."""

from __future__ import annotations

import time
from signal import SIGKILL

from tests.faults.caches import MongoCache, SqliteCache
from tests.faults.ledger import LONGEST
from tests.processes import wait_for

#: Seconds without a sign of life after which Sinks take a process for dead.
DEAD = 6.0


#: Entries that take their time in the pause. A machine at its limit had two hundred left then.
SLOW = 32


def rebuild_slowly(ledger, seconds_each):
    """Have each entry take this long, in a rebuild and nowhere else."""
    ledger.mischief(f'import sys\nif "rebuildcache" in sys.argv:\n    time.sleep({seconds_each})')


def rebuild_very_slowly(ledger, flag, seconds):
    """Have each entry of a rebuild take a moment, and once there is this file the next ones together so long."""
    ledger.mischief(f"""
import sys
from pathlib import Path
flag = Path({str(flag)!r})
if "rebuildcache" in sys.argv:
    is_slow = flag.exists() and time.time() < flag.stat().st_mtime + {seconds}
    time.sleep({seconds / SLOW} if is_slow else 0.01)
""")


def test_a_rebuild_that_is_long_about_its_last_events_loses_none_and_doubles_none(any_ledger, tmp_path, figure):
    ledger, flag = any_ledger, tmp_path / "paused"
    # A rebuild pauses the Sinks for what is left when that is a batch.
    ledger.configure(SINK_BATCH_SIZE=500)
    rebuild_very_slowly(ledger, flag, DEAD + 2)
    ledger.publish(900)
    sink = ledger.sink()
    ledger.wait_applied(900)

    with ledger.flow(per_second=20):
        rebuild = ledger.system.start("rebuildcache", "ledger")
        wait_for(lambda: "phase=switching" in rebuild.output, "the Sink's pause", seconds=LONGEST)
        began = time.monotonic()
        flag.touch()
        assert rebuild.process.wait(LONGEST) == 0, rebuild.output
        paused = time.monotonic() - began

    figure("paused, in seconds", paused)
    assert paused > DEAD + 1
    ledger.finish(sink)


#: After which of its steps a rebuild is killed, and whether the live Cache is that of after by then.
STEPS = {
    "begun": False,
    "applied": False,
    "replayed": False,
    "frozen": False,
    "locked": False,
    "replaced": False,
    "moved": False,
    "written": False,
    "committed": True,
    "released": True,
}


def test_a_rebuild_that_is_killed_leaves_the_cache_of_before_or_of_after(any_ledger):
    ledger = any_ledger
    ledger.publish(300)
    sink = ledger.sink()
    ledger.wait_applied(300)

    # On MongoDB one that was killed keeps others away for half a minute.
    steps = ("written", "committed") if isinstance(ledger.cache, MongoCache) else STEPS
    for number, step in enumerate(steps):
        before = spoil(ledger)
        rebuild = ledger.system.start("rebuildcache", "ledger", FAULT_DIE_IN_REBUILD=step)
        assert rebuild.process.wait(LONGEST) == -SIGKILL, (step, rebuild.output)

        found = ledger.cache.differences(ledger.book)
        assert found == ({} if STEPS[step] else before), step
        # The Sinks go on from there, whoever had the lanes.
        applied = ledger.cache.applied()
        ledger.publish(20)
        ledger.wait_applied(applied + 20)
        # Resumed, or begun anew.
        rebuild_again(ledger, *([] if number % 2 else ["--resume"]))
        assert ledger.cache.differences(ledger.book) == {}, step

    ledger.publish(100)
    ledger.finish(sink)


def spoil(ledger):
    """Make the live Cache one that no log makes, and return what is wrong with it."""
    ledger.cache.add("ledger_account", "total", 10**6)
    wrong = ledger.cache.differences(ledger.book)
    assert list(wrong) == ["total, last, disorder"]
    return wrong


def rebuild_again(ledger, *options):
    """Rebuild to the end; on MongoDB a rebuild that was killed keeps others away for a while."""

    def done():
        ran = ledger.system.manage("rebuildcache", "ledger", *options, check=False)
        assert not ran.returncode or "is at work" in ran.stderr, ran.stderr
        return not ran.returncode

    wait_for(done, "a rebuild", seconds=LONGEST)


def test_rebuilds_at_the_same_time_do_not_take_events_from_each_other(ledger, tmp_path):
    rebuild_slowly(ledger, 0.01)
    ledger.configure(SINK_BATCH_SIZE=50)
    ledger.publish(400)
    sink = ledger.sink()
    ledger.wait_applied(400)

    until = {name: ("--until", "300", "--into", f"sqlite:///{tmp_path}/{name}.sqlite3") for name in ("one", "two")}
    running = [ledger.system.start("rebuildcache", "ledger", *options) for options in (until["one"], until["two"], ())]
    for each in running:
        assert each.process.wait(LONGEST) == 0, each.output

    assert [SqliteCache(tmp_path / f"{name}.sqlite3").applied() for name in until] == [300, 300]
    ledger.finish(sink)
