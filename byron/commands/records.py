"""What the broker keeps of an Idempotency-Key: how far its mutation is, and what came of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from django.core.serializers.json import DjangoJSONEncoder

from byron.events.event import Event, Message, StoredMessage
from byron.exceptions import CommandError

#: Bytes of a record, at most; a server takes 1 MiB, of which escapes may use half.
_LARGEST = 480 * 1024

#: Bytes of an answer that is kept as it was; a longer one is made again from what its command returned.
_LARGEST_ANSWER = 64 * 1024


class Announced(msgspec.Struct, array_like=True, frozen=True):
    """An event as a record tells of it; `position` is 0 until the log has it."""

    id: str
    name: str
    key: str
    subject: str
    position: int = 0


class Decision(msgspec.Struct, omit_defaults=True, frozen=True):
    """What one run of a mutation came to, and was about to publish."""

    value: Any
    events: tuple[Announced, ...] = ()
    #: What tells the first event from the one that another run publishes under the same id.
    mark: str = ""
    #: A position of the log before the events.
    after: int = 0
    #: Ids of returned entities whose new versions are the events' positions.
    fresh: tuple[str, ...] = ()


class Record(msgspec.Struct, omit_defaults=True, frozen=True):
    """The state of a key.

    A record is `begun` while a command runs, `decided` from then until its answer is known, and `done` after that.
    """

    state: Literal["begun", "decided", "done"]
    #: The id of the first event that the mutation emits, whichever run of it gets that far.
    first: str
    #: What each run decided that may have published; the last one's is the last. Of a mutation that is done, one.
    decisions: tuple[Decision, ...] = ()
    #: The answer's body as JSON, when it is done and the body is not too long.
    body: str | None = None

    def text(self) -> str:
        """Return what is stored. Raises CommandError when it is too much."""
        text = msgspec.json.encode(self).decode()
        # Escaped once more on its way, as ASCII.
        size = len(json.dumps(text))
        if size > _LARGEST:
            raise CommandError(
                f"What the mutation returns takes {size:,} bytes; with an Idempotency-Key {_LARGEST:,} can be kept. "
                "Nothing was changed.",
                code="RESULT_TOO_LARGE",
            )
        return text

    @classmethod
    def read(cls, text: str) -> Record:
        """Return the record that was stored as this text."""
        return _decoder.decode(text)


_decoder = msgspec.json.Decoder(Record)


def announced(event: Event, subject: str) -> Announced:
    """Return what a record tells of an event."""
    return Announced(event.id, event.name, event.key, subject, event.position or 0)


def events_of(namespace: str, source: str, announced: Sequence[Announced]) -> list[Event]:
    """Return events as receipts need them, without what was in them."""
    return [
        Event(
            id=each.id,
            name=each.name,
            key=each.key,
            payload={},
            namespace=namespace,
            source=source,
            position=each.position,
        )
        for each in announced
    ]


def mark_of(message: Message | StoredMessage) -> str:
    """Return what tells a message from another one under the same id: the time and the correlation are its own."""
    said = sorted((name, value) for name, value in message.headers.items() if name.startswith("ce-"))
    return hashlib.sha256(json.dumps(said).encode() + message.body).hexdigest()


def kept_body(body: Mapping[str, Any]) -> str | None:
    """Return an answer's body as JSON, or None when it is too long to be kept."""
    # In ASCII: a body may have half of a surrogate pair, which no other encoding takes.
    text = json.dumps(body, cls=DjangoJSONEncoder)
    return text if len(text) <= _LARGEST_ANSWER else None
