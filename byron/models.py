"""Byron's own tables, one set in every Cache."""

from __future__ import annotations

from django.db import models


class Checkpoint(models.Model):
    """How far a component's lane has applied the log; changes in the transaction of the effect."""

    consumer = models.CharField(max_length=100, primary_key=True)
    position = models.BigIntegerField()
    event_id = models.CharField(max_length=255)
    log_created = models.DateTimeField()
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "byron_checkpoint"

    def __str__(self) -> str:
        return f"{self.consumer} at {self.position}"
