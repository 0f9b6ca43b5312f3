"""Handlers that fail for some events: those wait, in order, and nothing else does."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.processes import wait_for

pytestmark = pytest.mark.broker

#: Raises for the account "poison" from its third entry on, until there is a file `repaired`.
POISON = """
if entry["account"] == "poison" and entry["number"] >= 3 and not Path("repaired").exists():
    {}
"""

FAULTS = {
    "the handler raises": "raise RuntimeError('not today')",
    "its statement fails": "connections['ledger'].cursor().execute('INSERT INTO ledger_line (id) VALUES (NULL)')",
    "its row exists": "[ctx.db.Line.objects.create(id='twice', account='-') for _ in range(2)]",
}


def publish_with_poison(ledger: Ledger) -> list[str]:
    """Publish entries of many accounts, of which one is bad, and return the ids of those that are held up by it."""
    for _ in range(5):
        ledger.publish(200)
        ledger.publish(4, ["poison"])
        ledger.publish(200, ["a1", "a2", "poison"])
    return ledger.book.of("poison", first=3)


def repair(ledger: Ledger) -> None:
    Path(ledger.system.project, "repaired").touch()


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_is_behind_a_poisonous_entry_waits_in_order_and_is_applied_once_the_handler_is_repaired(any_ledger, fault):
    ledger = any_ledger
    ledger.mischief(POISON.format(fault))
    held = publish_with_poison(ledger)
    sink = ledger.sink()
    ledger.wait_applied(len(ledger.book) - len(held))
    states = ["retrying"] + ["behind"] * (len(held) - 1)
    wait_for(lambda: [state for _, state in ledger.cache.parked()] == states, "the account's entries to be parked")
    assert {key for key, _ in ledger.cache.parked()} == {"poison"}

    repair(ledger)

    ledger.finish(sink)


def test_parked_entries_outlive_a_killed_sink_and_are_retried_by_hand(any_ledger):
    ledger = any_ledger
    ledger.configure(SINK_TRIES=2, SINK_RETRY_DELAY=0.05)
    ledger.mischief(POISON.format(FAULTS["the handler raises"]))
    held = publish_with_poison(ledger)
    first = ledger.sink()
    wait_for(lambda: ("poison", "parked") in ledger.cache.parked(), "the entry to be parked for good")
    first.stop(signal.SIGKILL)
    sink = ledger.sink()
    ledger.wait_applied(len(ledger.book) - len(held))

    repair(ledger)
    with ledger.flow():
        retried = ledger.system.manage("parked", "retry", "--all")
        assert "0 keys still parked" in retried.stdout

    ledger.finish(sink)


def test_entries_of_a_key_arriving_while_its_parked_ones_are_retried_come_after_them(any_ledger):
    ledger = any_ledger
    ledger.mischief(POISON.format(FAULTS["the handler raises"]))
    publish_with_poison(ledger)
    sink = ledger.sink()
    wait_for(lambda: ("poison", "retrying") in ledger.cache.parked(), "the entry to be parked")

    ledger.publish(1500, ["poison"])
    repair(ledger)
    for _ in range(30):
        ledger.publish(50, ["poison", "a1"])

    ledger.finish(sink)
