"""The number of lanes changes while events flow: nothing is lost, repeated or out of order."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from byron.events.subjects import slot_of

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_lanes_change_from_one_to_four_and_back_while_events_flow(served_ledger, number):
    ledger = served_ledger
    with ledger.flow(50, per_second=200):
        for lanes in (1, 4):
            ledger.configure(SINK_LANES=lanes)
            sink = ledger.sink()
            ledger.wait_applied(ledger.cache.applied() + 200)
            assert len({*ledger.cache.positions().values()}) <= lanes
            sink.stop(number)
        ledger.configure(SINK_LANES=1)
        sink = ledger.sink()
        ledger.wait_applied(ledger.cache.applied() + 200)
    ledger.finish(sink)


def test_sinks_of_one_and_of_four_lanes_side_by_side_apply_each_event_once(served_ledger):
    ledger = served_ledger
    with ledger.flow(50, per_second=200):
        old = ledger.sink()
        for lanes in (4, 1):
            ledger.configure(SINK_LANES=lanes)
            # As when a new version is rolled out: the new process is there before the old one is told to end.
            new = ledger.start()
            new.says("component=ledger")
            # They may be side by side for long: nobody leaves slots to the other one, who leaves them too.
            ledger.wait_for_all_slots()
            assert old.stop() == 0
            old = new
            ledger.wait_applied(ledger.cache.applied() + 300)
    ledger.finish(old)


def test_an_entry_that_ends_the_process_is_parked_even_when_the_number_of_lanes_changes(served_ledger):
    ledger = served_ledger
    accounts = [f"k{number}" for number in range(100)]
    killer = next(name for name in accounts if slot_of(name) % 4 == 0)
    others = [name for name in accounts if slot_of(name) % 4 != 0]
    ledger.mischief(
        f'while entry["id"] == "{killer}-2" and not Path("ready").exists():\n    time.sleep(0.01)\n'
        f'if entry["id"] == "{killer}-2":\n    os._exit(3)'
    )
    ledger.configure(SINK_LANES=4)
    ledger.publish(1, [killer])
    sink = ledger.sink()
    ledger.wait_applied(1)
    # The killer's lane stays behind, and what is between its checkpoint and the killer is applied by the others.
    ledger.publish(700, others)
    ledger.publish(1, [killer])
    ledger.wait_applied(701)
    Path(ledger.system.project, "ready").touch()
    sink.process.wait(30)

    ledger.configure(SINK_LANES=1)
    sink, deaths = ledger.supervise(ledger.cache.parked)

    assert deaths <= 5
    ledger.finish(sink, held=[f"{killer}-2"], parked=[(killer, "parked")])


def test_of_four_lanes_in_a_process_that_ends_again_and_again_only_the_culprit_is_parked(served_ledger):
    ledger = served_ledger
    accounts = [f"k{number}" for number in range(40)]
    killer = accounts[5]
    # Every event takes a while, so that each lane has one at hand whenever the killer ends the process.
    ledger.mischief(f'time.sleep(0.02)\nif entry["id"] == "{killer}-1":\n    os._exit(3)')
    ledger.configure(SINK_LANES=4)
    ledger.publish(400, accounts)

    sink, deaths = ledger.supervise(ledger.cache.parked)

    assert deaths <= 5
    held = ledger.book.of(killer)
    ledger.finish(sink, held=held, parked=[(killer, "parked"), *[(killer, "behind")] * (len(held) - 1)])
