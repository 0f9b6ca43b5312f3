"""A receipt: which events a mutation emitted, so that a later read can wait for them.

Opaque to clients: base64 of a version, the content as MessagePack, and a signature. Signed, because a made-up
one would have a server wait for what never comes.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import msgspec

from byron.events.event import Event
from byron.events.subjects import slot_of
from byron.exceptions import ReceiptError

_VERSION = 1
_SIGNATURE = 16

#: Events that a receipt tells one by one. Of more, the last one of each slot and name stands for all.
_MOST_EVENTS = 32

#: Characters of a receipt, at most.
LONGEST_RECEIPT = 8192


@dataclass(frozen=True, slots=True)
class Announced:
    """One event that a receipt is about."""

    position: int
    slot: int
    name: str


class _Content(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    namespace: str
    events: list[tuple[int, int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The events of one or several mutations in a namespace."""

    namespace: str
    events: tuple[Announced, ...]

    @classmethod
    def of(cls, namespace: str, events: Iterable[Event]) -> Self:
        """Return the receipt of events that the log holds."""
        found = [Announced(each.position or 0, slot_of(each.key), each.name) for each in events]
        return cls(namespace=namespace, events=tuple(_compacted(found)))

    def joined(self, other: Receipt) -> Receipt:
        """Return a receipt for the events of both, which are of one namespace."""
        return Receipt(namespace=self.namespace, events=tuple(_compacted([*self.events, *other.events])))

    def sealed(self, key: str) -> str:
        """Return the text that clients are given."""
        content = _Content(self.namespace, [(each.position, each.slot, each.name) for each in self.events])
        body = bytes([_VERSION]) + msgspec.msgpack.encode(content)
        return base64.urlsafe_b64encode(body + _signature(body, key)).decode().rstrip("=")

    @classmethod
    def opened(cls, text: str, key: str) -> Self:
        """Return the receipt that a text is. Raises ReceiptError when it was not sealed with this key."""
        try:
            if len(text) > LONGEST_RECEIPT:
                raise ValueError("too long")
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            body, signature = data[:-_SIGNATURE], data[-_SIGNATURE:]
            if not body or not hmac.compare_digest(signature, _signature(body, key)):
                raise ValueError("another signature")
            if body[0] != _VERSION:
                raise ValueError("another version")
            content = msgspec.msgpack.decode(body[1:], type=_Content)
        except ValueError as error:
            raise ReceiptError(
                f"This is no receipt of this system ({error}). Components share receipts when BYRON_RECEIPT_KEY is the "
                "same for all of them."
            ) from error
        return cls(namespace=content.namespace, events=tuple(Announced(*each) for each in content.events))


def _compacted(events: list[Announced]) -> list[Announced]:
    if len(events) <= _MOST_EVENTS:
        return events
    last: dict[Any, Announced] = {}
    for each in sorted(events, key=lambda each: each.position):
        last[each.slot, each.name] = each
    return sorted(last.values(), key=lambda each: each.position)[-8 * _MOST_EVENTS :]


def _signature(body: bytes, key: str) -> bytes:
    return hmac.digest(key.encode(), b"byron receipt" + body, "sha256")[:_SIGNATURE]
