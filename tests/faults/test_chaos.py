"""Faults of many kinds, one after the other at random, while events flow through two Sinks and four lanes."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable

import pytest

from tests.broker.conftest import RealServer
from tests.faults.ledger import STREAM, Ledger, jetstream
from tests.processes import Running

pytestmark = pytest.mark.broker


class Chaos:
    """Two Sinks, a broker and a database, and what can befall them."""

    def __init__(self, ledger: Ledger, chance: random.Random) -> None:
        self.ledger, self.chance = ledger, chance
        self.server: RealServer = ledger.server
        self.sinks: list[Running] = [ledger.start(), ledger.start()]

    def kill_a_sink(self) -> None:
        self._replace(signal.SIGKILL)

    def end_a_sink(self) -> None:
        self._replace(signal.SIGTERM)

    def change_lanes(self) -> None:
        self.ledger.configure(SINK_LANES=self.chance.choice([1, 2, 4, 16]))
        self._replace(signal.SIGTERM)
        self._replace(signal.SIGTERM)

    def kill_the_broker(self) -> None:
        self.server.end(signal.SIGKILL)
        time.sleep(self.chance.uniform(0, 0.5))
        self.server.start()

    def forget_consumers(self) -> None:
        for name in jetstream(self.server, f"CONSUMER.NAMES.{STREAM}")["consumers"] or []:
            # Sinks that change their lanes remove what they do not need any more.
            jetstream(self.server, f"CONSUMER.DELETE.{STREAM}.{name}", may_miss=True)

    def drop_connections(self) -> None:
        self.ledger.cache.drop_connections()

    def restart_the_database(self) -> None:
        self.ledger.cache.server.restart(self.chance.choice(["fast", "immediate"]))

    def _replace(self, number: signal.Signals) -> None:
        self.sinks.pop(self.chance.randrange(2)).stop(number)
        self.sinks.append(self.ledger.start())


FAULTS: list[Callable[[Chaos], None]] = [
    Chaos.kill_a_sink,
    Chaos.end_a_sink,
    Chaos.change_lanes,
    Chaos.kill_the_broker,
    Chaos.forget_consumers,
    Chaos.drop_connections,
    Chaos.restart_the_database,
]


def test_whatever_happens_in_whatever_order_each_event_is_applied_once_and_in_order(served_ledger, chance, figure):
    ledger = served_ledger
    ledger.configure(SINK_LANES=4)
    chaos = Chaos(ledger, chance)
    # Each twice, in an order of chance.
    faults = chance.sample(FAULTS * 2, 2 * len(FAULTS))
    figure("faults", ", ".join(fault.__name__ for fault in faults))

    with ledger.flow(100, per_second=200):
        for fault in faults:
            ledger.wait_applied(ledger.cache.applied() + 100)
            time.sleep(chance.uniform(0, 0.5))
            fault(chaos)

    ledger.finish(*chaos.sinks)
