"""How far a Cache is behind its log, for those who must not go on when it is too far."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection
from time import monotonic

from byron.broker.base import Broker
from byron.cache.checkpoint import read_checkpoints
from byron.events.codec import message_id
from byron.events.subjects import SLOTS

#: Seconds between two looks, at least, however old the answer is.
_PAUSE = 0.1


class CacheLag:
    """How far one component's Cache is behind, as this process knows. Thread-safe: the answer is a bound at any time.

    A look at the checkpoint and then at the log tells a moment such that the Cache has applied all that was logged
    before it: now, when the log holds nothing for the component beyond the checkpoint, else the moment at which the
    first of that was logged. The Cache only goes forward, so this stays true, and looks need not be many. It does not
    matter whether a Sink runs, nor what its clock says: ages are differences of the broker's own times, and how
    much time has passed since a look is told by this process's steady clock. A Cache that is restored from a backup
    does go back: stop the API meanwhile.
    """

    def __init__(self, alias: str, consumer: str, events: Collection[str]) -> None:
        self._alias = alias
        self._consumer = consumer
        self._events = list(events)
        self._broker: Broker | None = None
        #: All that was logged before this moment of the steady clock is applied; and when that was found out.
        self._known = (-math.inf, -math.inf)

    def seconds(self, broker: Broker, tolerated: float) -> float:
        """Return for how long something may have been in the log, at most, that the Cache has not applied.

        It is looked at again when the last look says no more than a quarter of what is tolerated. Infinite when the
        log is not the one that the Cache was made from. Raises BrokerUnavailableError.
        """
        if broker is not self._broker:
            self._broker, self._known = broker, (-math.inf, -math.inf)
        before = monotonic()
        applied_until, looked = self._known
        if before - applied_until > tolerated / 4 and before - looked > _PAUSE:
            applied_until = before - self._look(broker)
            self._known = applied_until, monotonic()
        return monotonic() - applied_until

    def _look(self, broker: Broker) -> float:
        applied = read_checkpoints(self._alias, self._consumer)
        for position, event_id in {(each.position, each.event_id) for each in applied.values()}:
            stored = broker.get(position)
            if stored is None or message_id(stored) != event_id:
                # The Sink has stopped by the same test.
                return math.inf
        slots = defaultdict(list)
        for slot in range(SLOTS):
            slots[applied[slot].position if slot in applied else 0].append(slot)
        return max(broker.backlog_age(self._events, after, slots=those) for after, those in slots.items())
