"""The checkpoint: how far the Cache has applied the log, slot by slot, and who may move it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Case, F, QuerySet, Value, When

from byron.cache.sessions import end_sessions, name_session
from byron.events.subjects import SLOTS
from byron.exceptions import LaneLostError
from byron.models import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The last event of a slot that the Cache holds the effect of."""

    position: int
    event_id: str
    log_created: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An event that a process began to apply and did not end, and how many did so."""

    position: int
    tries: int


def read_checkpoints(alias: str, consumer: str) -> dict[int, Applied]:
    """Return what a consumer has applied to a Cache, by slot; nothing for slots without a checkpoint."""
    rows = Checkpoint.objects.using(alias).filter(consumer=consumer, position__gt=0)
    return {
        slot: Applied(position=position, event_id=event_id, log_created=created)
        for slot, position, event_id, created in rows.values_list("slot", "position", "event_id", "log_created")
    }


def last_position(alias: str, consumer: str) -> int:
    """Return the newest position that a consumer has applied to a Cache; 0 when there is none."""
    return max((applied.position for applied in read_checkpoints(alias, consumer).values()), default=0)


def lock_checkpoints(alias: str, consumer: str, slots: Collection[int], owner: str | None) -> dict[int, int]:
    """Return the slots' positions, holding their rows until the transaction ends.

    Raises LaneLostError when one of them is not this owner's any more; for None, any owner will do.
    """
    found = {}
    for slot, position, row_owner in _rows(alias, consumer, slots).values_list("slot", "position", "owner"):
        if owner is not None and row_owner != owner:
            raise LaneLostError(f"Slot {slot} of {consumer} was taken by another Sink.")
        found[slot] = position
    if len(found) != len(slots):
        raise LaneLostError(f"The checkpoint of {consumer} was removed meanwhile.")
    return found


def store_checkpoint(alias: str, consumer: str, slots: Collection[int], applied: Applied) -> None:
    """Move the slots' checkpoints, inside the transaction of the effect and after `lock_checkpoints`.

    Attempts at events up to there are over. One at a later event is not: another number of lanes may have begun it.
    """
    later = When(trying__gt=applied.position, then=F("trying"))
    tries = When(trying__gt=applied.position, then=F("tries"))
    _all(alias, consumer, slots).filter(position__lt=applied.position).update(
        position=applied.position,
        event_id=applied.event_id,
        log_created=applied.log_created,
        trying=Case(later, default=None),
        tries=Case(tries, default=Value(0)),
    )


def take_slots(
    alias: str, consumer: str, slots: Sequence[int], owner: str, is_alive: Callable[[str], bool]
) -> bool | None:
    """Become the owner of slots whose owners are gone.

    Returns None when one of them lives, and otherwise whether one ended without letting go.
    """
    _add_missing(alias, consumer)
    name_session(alias, owner)
    former = owners_of(alias, consumer, slots) - {owner}
    if any(is_alive(each) for each in former):
        return None
    # One that is frozen, or on a machine that is lost, may be in a transaction that holds the rows.
    end_sessions(alias, former)
    with transaction.atomic(using=alias):
        owners = {row.owner for row in _rows(alias, consumer, slots)} - {"", owner}
        if any(is_alive(each) for each in owners):
            return None
        _all(alias, consumer, slots).update(owner=owner)
    return bool(owners)


def release_slots(alias: str, consumer: str, slots: Collection[int], owner: str) -> None:
    """Let go of slots, for the next owner to go on at once."""
    _all(alias, consumer, slots).filter(owner=owner).update(owner="")


def owners_of(alias: str, consumer: str, slots: Collection[int]) -> set[str]:
    """Return the owners of slots."""
    return set(_all(alias, consumer, slots).exclude(owner="").values_list("owner", flat=True))


def note_attempt(alias: str, consumer: str, slot: int, position: int, tries: int, *, owner: str | None = None) -> bool:
    """Write down that an event is about to be applied, in case that ends the process; False if it is applied already.

    Raises LaneLostError when the slot is not this owner's any more; for None, any owner will do.
    """
    row = _all(alias, consumer, [slot])
    mine = row if owner is None else row.filter(owner=owner)
    if mine.filter(position__lt=position).update(trying=position, tries=tries):
        return True
    if not mine.exists():
        raise LaneLostError(f"Slot {slot} of {consumer} was taken by another Sink.")
    return False


def unfinished_attempts(alias: str, consumer: str, slots: Collection[int]) -> list[Attempt]:
    """Return the events that processes began with and did not end."""
    rows = _all(alias, consumer, slots).filter(trying__isnull=False)
    return [Attempt(position=trying, tries=tries) for trying, tries in rows.values_list("trying", "tries") if trying]


def _all(alias: str, consumer: str, slots: Iterable[int]) -> QuerySet[Checkpoint]:
    wanted = Checkpoint.objects.using(alias).filter(consumer=consumer)
    numbers = sorted(slots)
    return wanted if len(numbers) == SLOTS else wanted.filter(slot__in=numbers)


def _rows(alias: str, consumer: str, slots: Iterable[int]) -> QuerySet[Checkpoint]:
    # In one order, so that two processes wait for one another instead of locking crosswise.
    return _all(alias, consumer, slots).select_for_update().order_by("slot")


def _add_missing(alias: str, consumer: str) -> None:
    if Checkpoint.objects.using(alias).filter(consumer=consumer).count() < SLOTS:
        Checkpoint.objects.using(alias).bulk_create(
            [Checkpoint(id=f"{consumer}.{slot}", consumer=consumer, slot=slot) for slot in range(SLOTS)],
            ignore_conflicts=True,
        )
