"""A Cache that is built anew while Sinks are at work on the live one."""

from __future__ import annotations

import time

from tests.faults.ledger import LONGEST
from tests.processes import wait_for

#: Seconds without a sign of life after which Sinks take a process for dead.
DEAD = 6.0


def rebuild_slowly(ledger, seconds_each):
    """Have each entry take this long, in a rebuild and nowhere else."""
    ledger.mischief(f'import sys\nif "rebuildcache" in sys.argv:\n    time.sleep({seconds_each})')


def test_a_rebuild_that_is_long_about_its_last_events_loses_none_and_doubles_none(any_ledger, figure):
    ledger = any_ledger
    # A rebuild pauses the Sinks for what is left when that is a batch.
    ledger.configure(SINK_BATCH_SIZE=500)
    rebuild_slowly(ledger, 0.02)
    ledger.publish(900)
    sink = ledger.sink()
    ledger.wait_applied(900)

    with ledger.flow(per_second=20):
        rebuild = ledger.system.start("rebuildcache", "ledger")
        wait_for(lambda: "phase=switching" in rebuild.output, "the Sink's pause", seconds=LONGEST)
        began = time.monotonic()
        assert rebuild.process.wait(LONGEST) == 0, rebuild.output
        paused = time.monotonic() - began

    figure("paused, in seconds", paused)
    assert paused > DEAD + 1
    ledger.finish(sink)
