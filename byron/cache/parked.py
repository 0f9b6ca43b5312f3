"""Which events a Cache has parked."""

from __future__ import annotations

from django.db.models import QuerySet

from byron.models import ParkedEvent


def parked_rows(alias: str, consumer: str) -> QuerySet[ParkedEvent]:
    """Return all rows of a component's parked events, the notes of discarded ones too."""
    return ParkedEvent.objects.using(alias).filter(consumer=consumer)


def without_message(rows: QuerySet[ParkedEvent]) -> QuerySet[ParkedEvent]:
    """Have rows be read without what may be long: the message and the traceback."""
    return rows.defer("body", "headers", "traceback")


def open_events(alias: str, consumer: str) -> QuerySet[ParkedEvent]:
    """Return the parked events of a component that were not discarded."""
    return parked_rows(alias, consumer).exclude(state=ParkedEvent.State.DISCARDED)


def open_positions(alias: str, consumer: str) -> set[int]:
    """Return the positions of the events that are set aside and were not discarded."""
    return set(open_events(alias, consumer).values_list("position", flat=True))


def is_discarded(alias: str, consumer: str, position: int) -> bool:
    """Whether the event at a position was discarded."""
    return parked_rows(alias, consumer).filter(state=ParkedEvent.State.DISCARDED, position=position).exists()


def discarded_positions(alias: str, consumer: str) -> set[int]:
    """Return the positions of the events that were discarded."""
    found = parked_rows(alias, consumer).filter(state=ParkedEvent.State.DISCARDED)
    return set(found.values_list("position", flat=True))
