"""Handlers that fail for some events: those wait, in order, and nothing else does."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger
from tests.processes import wait_for

pytestmark = pytest.mark.broker

#: What happens, by account, to entries from the third one on, until there is a file `repaired`.
FAULTS = {
    "raises": "raise RuntimeError('not today')",
    "refused": "ctx.db.Line.objects.create(id='nobody', account=None)",
    "twice": "[ctx.db.Line.objects.create(id='twice', account='-') for _ in range(2)]",
}


def poison(*accounts: str) -> str:
    """Return the mischief that these accounts meet."""
    faults = [f'if entry["account"] == "{name}":\n        {FAULTS[name]}' for name in accounts]
    return "\n    ".join(['if entry["number"] >= 3 and not Path("repaired").exists():', *faults])


def publish_with_poison(ledger: Ledger, *accounts: str) -> list[str]:
    """Publish entries of many accounts, of which these are bad, and return the ids of those that are held up by it."""
    for _ in range(3):
        ledger.publish(100)
        ledger.publish(4 * len(accounts), accounts)
        ledger.publish(100, ["a1", "a2", *accounts])
    return [name for account in accounts for name in ledger.book.of(account, first=3)]


def repair(ledger: Ledger) -> None:
    Path(ledger.system.project, "repaired").touch()


def test_what_is_behind_a_poisonous_entry_waits_in_order_and_is_applied_once_the_handler_is_repaired(any_ledger):
    ledger = any_ledger
    ledger.mischief(poison(*FAULTS))
    held = publish_with_poison(ledger, *FAULTS)
    sink = ledger.sink()
    ledger.wait_applied(len(ledger.book) - len(held))
    for account in FAULTS:
        states = ["retrying"] + ["behind"] * (len(ledger.book.of(account, first=3)) - 1)
        wait_for(
            lambda: [state for key, state in ledger.cache.parked() if key == account] == states,  # noqa: B023
            "the account's entries to be parked",
        )
    assert {key for key, _ in ledger.cache.parked()} == FAULTS.keys()

    repair(ledger)

    ledger.finish(sink)


def test_parked_entries_outlive_a_killed_sink_and_are_retried_by_hand(any_ledger):
    ledger = any_ledger
    ledger.configure(SINK_TRIES=2, SINK_RETRY_DELAY=0.05)
    ledger.mischief(poison("raises"))
    held = publish_with_poison(ledger, "raises")
    first = ledger.sink()
    wait_for(lambda: ("raises", "parked") in ledger.cache.parked(), "the entry to be parked for good")
    first.stop(signal.SIGKILL)
    sink = ledger.sink()
    ledger.wait_applied(len(ledger.book) - len(held))

    repair(ledger)
    with ledger.flow(per_second=200):
        retried = ledger.system.manage("parked", "retry", "--all")
        assert "0 keys still parked" in retried.stdout

    ledger.finish(sink)


def test_entries_of_a_key_arriving_while_its_parked_ones_are_retried_come_after_them(any_ledger):
    ledger = any_ledger
    ledger.mischief(poison("raises"))
    publish_with_poison(ledger, "raises")
    sink = ledger.sink()
    wait_for(lambda: ("raises", "retrying") in ledger.cache.parked(), "the entry to be parked")

    ledger.publish(300, ["raises"])
    repair(ledger)
    for _ in range(10):
        ledger.publish(50, ["raises", "a1"])

    ledger.finish(sink)
