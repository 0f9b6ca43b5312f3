"""Claims: a value that must be unique is reserved at the broker until the Cache knows who has it.

Two mutations at once may both find a value free in the Cache. So each also claims it, which one of them gets. The
promise rests on this: **when a claim ends, the Cache already tells what it stood for.** Let a claim stand for T
seconds (`BYRON_CLAIM_SECONDS`).

1. A mutation's events are in the log T/4 after its first claim was asked for, or they are not published.
2. Whoever has got a claim asks the Cache *afterwards*, and goes on only if the Cache has applied all that was
   logged until T/2 ago; else the mutation is refused (`CACHE_BEHIND`).

Say A claims a value and publishes, and B claims it after that claim has ended: at least T later. What A published was
logged 3T/4 before that or earlier, so the Cache that B asks has applied it, and B is refused if A's entity still has
the value. The quarter that is left over is for what takes its time on the way, and for brokers of a cluster whose
clocks differ. All of these are lengths of time, so it does not matter what time any clock shows.

A claim ends early in two cases only. A mutation that certainly published nothing releases the claims that it made
itself; by their number, so it cannot meet another's. And one that was published notes with its claim where its events
are in the log: when the Cache has applied those and the value is free there, it was given away by a rename or a delete,
and whoever wants it takes the claim over. A mutation that found an unended claim of the *same* entity takes that over
too, but cannot know what the earlier mutation comes to: such a claim is neither released nor noted, and stands for T.
So does a mutation with the claims of an earlier run of its own, which it knows by its Idempotency-Key: of all those
runs one publishes, see `byron/commands/idempotency.py`.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic
from typing import Any

from byron.broker.base import Broker, Claim
from byron.cache.applied import Standing, standing_of
from byron.cache.lag import CacheLag
from byron.commands.bulkhead import BULKHEAD
from byron.conf import byron_settings
from byron.events.event import Event
from byron.events.ids import new_id
from byron.events.subjects import slot_of
from byron.exceptions import BrokerError, CommandError
from byron.schema.installed import ComponentConfig

log = logging.getLogger("byron.commands")

#: Shares of a claim's time: for a mutation to publish, and for the Cache to be behind.
_TO_PUBLISH, _TO_APPLY = 1 / 4, 1 / 2

#: Seconds that a refused mutation waits for its claims to be released.
_RELEASE_TIMEOUT = 1.0

#: Events whose places are noted with a claim, at most.
_MOST_NOTED = 100


@dataclass(frozen=True, slots=True)
class _Made:
    claim: Claim
    #: Whether nobody else can rely on it.
    is_sole: bool


class Claims:
    """The claims of one mutation. Used by one thread."""

    def __init__(self, config: ComponentConfig, connect: Callable[[], Broker], lag: CacheLag, run: str = "") -> None:
        """Begin without any; `run` is the same for all runs of one mutation, of which one at most publishes."""
        self._config = config
        self._connect = connect
        self._lag = lag
        self._broker: Broker | None = None
        self._made: dict[str, _Made] = {}
        self._began: float | None = None
        self._self = new_id()
        self._run = run

    def take(self, name: str, value: Any, holder: str | None, is_taken: Callable[[], bool], refusal: str) -> None:
        """Claim a value for a holder, by default the mutation as such; `is_taken` asks the Cache.

        Raises CommandError with `refusal` and code CONFLICT when another has it, and with CACHE_BEHIND when that cannot
        be told; TypeError for a value that has no plain equality; BrokerUnavailableError.
        """
        is_named = holder is not None
        holder = f"{self._run}\n{self._self if holder is None else holder}"
        key = digest(self._config.component.name, name, value)
        if is_taken():
            raise CommandError(refusal, code="CONFLICT")
        if key in self._made:
            # Without a name it cannot be told that both are one and the same.
            if not is_named or self._made[key].claim.holder != holder:
                raise CommandError(refusal, code="CONFLICT")
            return
        broker = self._broker = self._connect()
        if self._began is None:
            self._began = monotonic()
        with BULKHEAD.broker_wait():
            made = self._claim(broker, key, holder)
            if made is None:
                raise CommandError(refusal, code="CONFLICT")
            self._made[key] = made
            self._require_fresh(broker, name)
        # Again: what the other's claim stood for may have arrived since.
        if is_taken():
            raise CommandError(refusal, code="CONFLICT")

    def _claim(self, broker: Broker, key: str, holder: str) -> _Made | None:
        seconds, timeout = byron_settings().claim_seconds, byron_settings().publish_timeout
        is_sole = True
        claim = broker.claim(key, holder, seconds, timeout)
        while not claim.is_own:
            # The Cache tells more than a claim about what it has applied.
            is_sole = self._is_over(claim)
            if not is_sole and not self._is_ours(claim.holder, holder):
                return None
            claim = broker.claim(key, holder, seconds, timeout, over=claim)
        return _Made(claim, is_sole)

    def _is_ours(self, other: str, holder: str) -> bool:
        """Whether another claim is of the same entity, or of an earlier run of this mutation."""
        run, _, entity = other.partition("\n")
        return entity == holder.partition("\n")[2] or bool(run and run == self._run)

    def _is_over(self, claim: Claim) -> bool:
        """Whether the Cache has applied what a claim stood for."""
        if not claim.note:
            return False
        standing = standing_of(self._config.alias, self._config.consumer_name, places_of(claim.note))
        return standing is Standing.APPLIED

    def _require_fresh(self, broker: Broker, name: str) -> None:
        tolerated = byron_settings().claim_seconds * _TO_APPLY
        if self._lag.seconds(broker, tolerated) <= tolerated:
            return
        log.warning("component=%s code=CACHE_BEHIND name=%s seconds=%g", self._config.label, name, tolerated)
        raise CommandError(
            f"This component is over {tolerated:g} seconds behind its events, so it cannot tell whether {name} "
            "is free; nothing was changed. Try again when it has caught up.",
            code="CACHE_BEHIND",
        )

    def time_to_publish(self, wanted: float) -> float:
        """Return how long the publishing may take, at most as long as wanted.

        Raises CommandError with code TIME_LIMIT when the claims are too old.
        """
        if self._began is None:
            return wanted
        seconds = byron_settings().claim_seconds * _TO_PUBLISH
        left = self._began + seconds - monotonic()
        if left <= 0:
            message = f"The command took longer than {seconds:g} seconds after its first claim; nothing was changed."
            raise CommandError(message, code="TIME_LIMIT")
        return min(wanted, left)

    def settle(self, events: Sequence[Event]) -> None:
        """Note with the claims which events they stood for; without any, release them."""
        if not self._made:
            return
        if not events:
            self.release()
            return
        handled = self._config.component.handlers
        places = [[event.position, slot_of(event.key)] for event in events if event.name in handled]
        if not 0 < len(places) <= _MOST_NOTED:
            return
        self._tell(lambda broker, claim: broker.note(claim, json.dumps(places)))

    def release(self, *, wait: bool = True) -> None:
        """Free what was claimed, since nothing was published: at once, or in the background as soon as it can be."""
        timeout = _RELEASE_TIMEOUT if wait else 0.0
        self._tell(lambda broker, claim: broker.release(claim, timeout))
        self._made.clear()

    def _tell(self, action: Callable[[Broker, Claim], None]) -> None:
        for made in self._made.values():
            if self._broker is None or not made.is_sole:
                continue
            try:
                action(self._broker, made.claim)
            except BrokerError as error:
                # Its time will be up.
                log.warning("component=%s claim stands error=%r", self._config.label, str(error))


def places_of(note: str) -> dict[int, int]:
    """Return the positions of the events that a claim stood for, by its note, and their slots."""
    return dict(json.loads(note))


def digest(component: str, name: str, value: Any) -> str:
    """Return what stands for a value of a name: the same for equal values, and safe in a subject.

    Raises TypeError for a value that has no plain equality.
    """
    text = json.dumps([component, name, *_canonical(value)])
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> tuple[str, str]:
    """Return a value's kind and a text that equal values have in common."""
    match value:
        case bool():
            return "Boolean", str(value)
        case str():
            return "String", value
        case int() | Decimal() | float():
            return "Number", _digits(Decimal(value))
        case uuid.UUID():
            return "UUID", value.hex
        case datetime.datetime():
            return "DateTime", (value.astimezone(datetime.UTC) if value.tzinfo else value).isoformat()
        case datetime.date() | datetime.time():
            return type(value).__name__, value.isoformat()
    raise TypeError(f"{value!r} cannot be claimed: only texts, numbers, dates, times and UUIDs can.")


def _digits(number: Decimal) -> str:
    # Decimal.normalize rounds to the digits of the context.
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise TypeError(f"{number} cannot be claimed: it is no number.")
    text = "".join(map(str, digits)).lstrip("0")
    bare = text.rstrip("0")
    return f"{'-' if sign else ''}{bare}E{exponent + len(text) - len(bare)}" if bare else "0"
