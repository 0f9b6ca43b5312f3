"""Whether a Cache has applied certain events, and waiting until it has."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from enum import Enum
from time import monotonic

from byron.broker.base import Broker, Listener
from byron.cache.checkpoint import read_checkpoints
from byron.cache.parked import open_events
from byron.events.subjects import applied_topic
from byron.models import ParkedEvent

#: Seconds between two looks at the Cache while no signal comes: those may get lost.
_PAUSE = 0.25


class Standing(Enum):
    """What became of events."""

    APPLIED = "applied"
    PENDING = "pending"
    #: One of them waits for `manage.py parked`, or behind one that does.
    PARKED = "parked"


def standing_of(alias: str, consumer: str, positions: Mapping[int, int]) -> Standing:
    """Return what became of the events at these positions, by position, with their slots."""
    applied = read_checkpoints(alias, consumer)
    for position, slot in positions.items():
        if slot not in applied or applied[slot].position < position:
            return Standing.PENDING
    rows = open_events(alias, consumer).filter(position__in=list(positions))
    states = set(rows.values_list("state", "key_digest"))
    if not states:
        return Standing.APPLIED
    return Standing.PARKED if _waits_for_people(alias, consumer, states) else Standing.PENDING


def _waits_for_people(alias: str, consumer: str, states: Collection[tuple[str, str]]) -> bool:
    if any(state == ParkedEvent.State.PARKED for state, _ in states):
        return True
    behind = {digest for state, digest in states if state == ParkedEvent.State.BEHIND}
    parked = open_events(alias, consumer).filter(key_digest__in=behind, state=ParkedEvent.State.PARKED)
    return bool(behind) and parked.exists()


class AppliedWatch:
    """Wakes those who wait for a component's Cache. One for each process; it listens while somebody waits."""

    def __init__(self, alias: str, consumer: str) -> None:
        self._alias = alias
        self._consumer = consumer
        self._moved = threading.Condition()
        self._turn = 0
        self._waiting = 0
        self._broker: Broker | None = None
        self._listener: Listener | None = None

    def wait(self, broker: Broker | None, positions: Mapping[int, int], timeout: float) -> Standing:
        """Return what became of events once it is decided, or PENDING when the time is up.

        The Cache is asked when its Sink tells that it has moved on, and now and then in between.
        """
        deadline = monotonic() + timeout
        # Before the first look, so that nothing is missed in between.
        self._begin(broker)
        try:
            while True:
                seen = self._turn
                standing = standing_of(self._alias, self._consumer, positions)
                remaining = deadline - monotonic()
                if standing is not Standing.PENDING or remaining <= 0:
                    return standing
                self._rest(seen, min(_PAUSE, remaining))
        finally:
            self._end()

    def _rest(self, seen: int, seconds: float) -> None:
        with self._moved:
            self._moved.wait_for(lambda: self._turn != seen, seconds)

    def _begin(self, broker: Broker | None) -> None:
        with self._moved:
            self._waiting += 1
            if broker is not None and (self._listener is None or broker is not self._broker):
                if self._listener is not None:
                    self._listener.close()
                self._broker, self._listener = broker, broker.listen(applied_topic(self._consumer), self._on_signal)

    def _end(self) -> None:
        with self._moved:
            self._waiting -= 1

    def _on_signal(self) -> None:
        if self._waiting:
            with self._moved:
                self._turn += 1
                self._moved.notify_all()
