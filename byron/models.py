"""Byron's own tables, one set in every Cache. Only the Sink writes them."""

from __future__ import annotations

from django.db import models


class Checkpoint(models.Model):
    """How far a Cache has applied one slot of the log; changes in the transaction of the effect."""

    #: `<consumer>.<slot>`
    id = models.CharField(max_length=110, primary_key=True)
    consumer = models.CharField(max_length=100)
    slot = models.PositiveSmallIntegerField()
    #: The last position applied or passed over; 0 before the first.
    position = models.BigIntegerField(default=0)
    #: The id of the event at that position, by which another log is told from the one applied.
    event_id = models.CharField(max_length=255, blank=True)
    log_created = models.DateTimeField(null=True)
    #: The Sink process that applies the slot, by its SinkMember's id; empty when it was let go of in order.
    owner = models.CharField(max_length=64, blank=True)
    #: The event being applied while crashes are looked for, and how many processes began with it.
    trying = models.BigIntegerField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "byron_checkpoint"
        constraints = [models.UniqueConstraint(fields=["consumer", "slot"], name="byron_checkpoint_slot")]

    def __str__(self) -> str:
        return f"{self.id} at {self.position}"


class SinkMember(models.Model):
    """A Sink process of a component, for as long as it keeps saying that it lives."""

    id = models.CharField(max_length=64, primary_key=True)
    consumer = models.CharField(max_length=100, db_index=True)
    #: Where it runs, for people: `host:pid`.
    place = models.CharField(max_length=255)
    #: Which processes can tell by its number whether it lives.
    machine = models.CharField(max_length=100)
    pid = models.BigIntegerField()
    #: How many lanes it is told to make of the slots. What the oldest process is told counts for all.
    lanes = models.PositiveSmallIntegerField(default=1)
    #: The database's time of its last sign of life.
    seen = models.DateTimeField()

    class Meta:
        db_table = "byron_sink_member"

    def __str__(self) -> str:
        return self.place


class ParkedEvent(models.Model):
    """An event set aside because its handler failed, or because it is behind such a one of its key."""

    class State(models.TextChoices):
        #: The Sink tries it again by itself at `next_try`.
        RETRYING = "retrying"
        #: It waits for `manage.py parked`.
        PARKED = "parked"
        #: It waits for an earlier event of its key.
        BEHIND = "behind"
        #: It will not be applied; what is left is a note for `rebuildcache`.
        DISCARDED = "discarded"

    id = models.BigAutoField(primary_key=True)
    consumer = models.CharField(max_length=100)
    slot = models.PositiveSmallIntegerField()
    position = models.BigIntegerField()
    event_id = models.CharField(max_length=255)
    name = models.TextField()
    #: The key as the subject encodes it, which any database can store, and a digest that any can index.
    key = models.TextField()
    key_digest = models.CharField(max_length=32)
    state = models.CharField(max_length=10, choices=State)
    handler = models.TextField(blank=True)
    error = models.TextField(blank=True)
    traceback = models.TextField(blank=True)
    tries = models.PositiveIntegerField(default=0)
    next_try = models.DateTimeField(null=True)
    #: How many processes began to try it again and did not say how that ended.
    begun = models.PositiveSmallIntegerField(default=0)
    parked = models.DateTimeField(auto_now_add=True)
    #: The message as it came: subject, headers as JSON, body.
    subject = models.TextField()
    headers = models.TextField()
    body = models.BinaryField()

    class Meta:
        db_table = "byron_parked_event"
        constraints = [models.UniqueConstraint(fields=["consumer", "position"], name="byron_parked_position")]
        indexes = [
            models.Index(fields=["consumer", "key_digest", "position"], name="byron_parked_key"),
            models.Index(fields=["consumer", "state", "next_try"], name="byron_parked_due"),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.position}"


class OutboxMessage(models.Model):
    """A message that a handler emitted: stored with the handler's effect, gone once the log has it."""

    id = models.BigAutoField(primary_key=True)
    consumer = models.CharField(max_length=100)
    slot = models.PositiveSmallIntegerField()
    #: The event whose handler emitted it, and when that event happened.
    cause_position = models.BigIntegerField()
    cause_time = models.DateTimeField()
    message_id = models.CharField(max_length=64)
    subject = models.TextField()
    headers = models.TextField()
    body = models.BinaryField()

    class Meta:
        db_table = "byron_outbox_message"
        indexes = [models.Index(fields=["consumer", "slot"], name="byron_outbox_slot")]

    def __str__(self) -> str:
        return f"{self.message_id} on {self.subject}"
