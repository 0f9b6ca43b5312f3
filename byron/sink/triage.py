"""What people do about parked events: find them, have them tried again, or give them up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet

from byron.cache.checkpoint import lock_checkpoints
from byron.cache.parked import open_events, without_message
from byron.cache.roles import Role, acting_as
from byron.cache.visits import between_transactions
from byron.events.subjects import SLOTS, encode_key
from byron.models import ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.sink.effects import Effects
from byron.sink.lanes import Lane
from byron.sink.parking import make_due
from byron.sink.retries import Retries

#: How many ids a database is asked for in one statement.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which parked events are meant: those with these ids, of this key, or of this handler; else all."""

    ids: Collection[int] = ()
    key: str | None = None
    handler: str | None = None

    @property
    def condition(self) -> Q:
        wanted = Q(pk__in=self.ids) if self.ids else Q()
        if self.key is not None:
            wanted &= Q(key=encode_key(self.key))
        if self.handler is not None:
            wanted &= Q(handler=self.handler)
        return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a key's parked events: how many were applied, and why the next one was not."""

    key: str
    applied: int
    error: str = ""


def parked_events(config: ComponentConfig, selection: Selection) -> QuerySet[ParkedEvent]:
    """Return a component's parked events, in the log's order, without their messages and tracebacks."""
    found = open_events(config.alias, config.consumer_name).filter(selection.condition)
    return without_message(found).order_by("position")


def parked_event(config: ComponentConfig, identity: int) -> ParkedEvent | None:
    """Return a parked event with all of it, or None when it is parked no more."""
    return open_events(config.alias, config.consumer_name).filter(pk=identity).first()


def parked_keys(config: ComponentConfig) -> list[str]:
    """Return the keys that have parked events, as subjects encode them."""
    return sorted(set(open_events(config.alias, config.consumer_name).values_list("key", flat=True)))


def failing_handlers(config: ComponentConfig) -> list[str]:
    """Return the handlers at which parked events failed."""
    return sorted(set(open_events(config.alias, config.consumer_name).values_list("handler", flat=True)) - {""})


def retry_parked(config: ComponentConfig, selection: Selection) -> Iterator[Outcome]:
    """Apply the parked events of each key meant, in order from its first, until one fails again.

    It is done here and now, whether a Sink runs or not: each key's slot is locked meanwhile.
    """
    rows = parked_events(config, selection).values_list("slot", "key_digest", "key")
    keys = {(slot, digest): key for slot, digest, key in rows}
    for (slot, digest), key in keys.items():
        lane = Lane(consumer=config.consumer_name, number=slot, count=SLOTS)
        retries = Retries(Effects(config, lane, owner=None))
        applied = 0
        with acting_as(Role.SINK):
            while True:
                more, problem = retries.retry(digest)
                applied += more
                if problem is not None or not more:
                    break
        yield Outcome(key=key, applied=applied, error=problem.summary if problem else "")


def discard_parked(config: ComponentConfig, ids: Sequence[int]) -> int:
    """Give the parked events with these ids up and return how many those were; the next of their keys are due then.

    All of them in one step. A note of each stays, for `rebuildcache` to pass it over. Raises OperationalError when a
    Sink at work leaves no room for it.
    """
    return between_transactions(config.alias, lambda: _discard(config, ids))


def _discard(config: ComponentConfig, ids: Sequence[int]) -> int:
    alias, consumer = config.alias, config.consumer_name
    chunks = [ids[first : first + _AT_ONCE] for first in range(0, len(ids), _AT_ONCE)]
    discarded = 0
    keys: set[tuple[int, str]] = set()
    with transaction.atomic(using=alias):
        for chunk in chunks:
            keys.update(open_events(alias, consumer).filter(pk__in=chunk).values_list("slot", "key_digest"))
        lock_checkpoints(alias, consumer, {slot for slot, _ in keys}, None)
        for chunk in chunks:
            # A Sink may have applied some until the lock was there.
            rows = open_events(alias, consumer).filter(pk__in=chunk)
            discarded += rows.update(state=ParkedEvent.State.DISCARDED, next_try=None)
        for _, digest in keys:
            make_due(alias, consumer, digest)
    return discarded
