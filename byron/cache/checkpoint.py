"""The checkpoint: how far the Cache has applied the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from byron.models import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The last event that the Cache holds the effect of. Position 0: none yet."""

    position: int
    event_id: str
    log_created: datetime


def read_checkpoint(alias: str, consumer: str) -> Applied | None:
    """Return a consumer's checkpoint in a Cache, or None when nothing was applied yet."""
    row = Checkpoint.objects.using(alias).filter(pk=consumer).first()
    if row is None:
        return None
    return Applied(position=row.position, event_id=row.event_id, log_created=row.log_created)


def lock_checkpoint(alias: str, consumer: str) -> int:
    """Return the checkpoint's position, holding its row until the transaction ends. 0 when there is none."""
    row = Checkpoint.objects.using(alias).select_for_update().filter(pk=consumer).first()
    return row.position if row else 0


def store_checkpoint(alias: str, consumer: str, applied: Applied) -> None:
    """Move a consumer's checkpoint; call it inside the transaction of the effect."""
    Checkpoint.objects.using(alias).update_or_create(
        pk=consumer,
        defaults={
            "position": applied.position,
            "event_id": applied.event_id,
            "log_created": applied.log_created,
        },
    )
