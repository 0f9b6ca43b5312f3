"""Two Sinks of one component: they share its lanes, and one takes over what the other one leaves."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.faults.ledger import TAKE_OVER, Ledger
from tests.processes import Running, freeze, wait_for

pytestmark = pytest.mark.broker


def seconds_to_go_on(ledger: Ledger) -> float:
    """Return the seconds until further entries are applied than are now."""
    return ledger.wait_applied(ledger.cache.applied() + 1)


def two_sinks(ledger: Ledger, machines: tuple[str, str] | None) -> tuple[Running, Running]:
    """Return a Sink that consumes and one that knows of it, on these machines as far as they can tell."""
    places = [{"FAULT_MACHINE": machine} for machine in machines or ()] or [{}, {}]
    first = ledger.sink(**places[0])
    second = ledger.start(**places[1])
    return first, second


@pytest.mark.parametrize("machines", [None, ("one", "other")], ids=["same machine", "other machine"])
def test_a_standby_takes_over_from_a_killed_sink_within_ten_seconds(ledger, figure, machines):
    with ledger.flow(per_second=200):
        first, second = two_sinks(ledger, machines)
        second.says("standby component=ledger")
        seconds_to_go_on(ledger)

        first.stop(signal.SIGKILL)

        seconds = seconds_to_go_on(ledger)
    figure("take-over", seconds)
    assert seconds < TAKE_OVER
    ledger.finish(second)


def shares(ledger: Ledger) -> list[int]:
    """Return how many slots each Sink has, and how many none has."""
    return sorted(len(slots) for slots in ledger.cache.owners().values())


@pytest.mark.parametrize("machines", [None, ("one", "other")], ids=["same machine", "other machine"])
def test_two_sinks_share_four_lanes_evenly_and_one_takes_all_when_the_other_is_killed(served_ledger, figure, machines):
    ledger = served_ledger
    ledger.configure(SINK_LANES=4)
    with ledger.flow(100, per_second=200):
        began = time.monotonic()
        first, second = two_sinks(ledger, machines)
        wait_for(lambda: shares(ledger) == [8, 8], "each Sink to have two lanes of four")
        figure("shared after", time.monotonic() - began)
        ledger.wait_for_all_slots()

        first.stop(signal.SIGKILL)
        killed = time.monotonic()

        wait_for(lambda: shares(ledger) == [16], "one Sink to have all lanes")
        ledger.wait_for_all_slots()
        seconds = time.monotonic() - killed
    figure("take-over", seconds)
    assert seconds < TAKE_OVER
    ledger.finish(second)


def test_a_standby_takes_over_from_a_sink_that_hangs_inside_of_a_transaction(served_ledger, figure):
    # So looks also, to the database, a machine that lost its power or its network: the connection stays open.
    ledger = served_ledger
    ledger.mischief("time.sleep(0.004)")
    ledger.publish(1000)
    first, second = two_sinks(ledger, ("one", "other"))
    second.says("standby component=ledger")
    ledger.wait_applied(100)

    freeze(first.process.pid)
    try:
        seconds = ledger.wait_applied(ledger.cache.applied() + 1, seconds=30)
        figure("take-over", seconds)
        assert seconds < TAKE_OVER
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    ledger.mischief("pass")
    ledger.finish(first, second)


def test_a_sink_that_hung_while_idle_and_comes_back_applies_nothing_that_another_one_did(any_ledger, figure):
    ledger = any_ledger
    ledger.publish(200)
    first, second = two_sinks(ledger, None)
    second.says("standby component=ledger")
    ledger.wait_applied(200)

    freeze(first.process.pid)
    try:
        ledger.publish(200)
        seconds = seconds_to_go_on(ledger)
        figure("take-over", seconds)
        assert seconds < TAKE_OVER
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    ledger.publish(500)
    # It finds its lane another's, or let go of already by then.
    wait_for(lambda: "lane lost" in first.output or "standby component=ledger" in first.output, "it to notice")
    ledger.finish(first, second)
