"""A receipt: which events a mutation emitted, so that a later read can wait for them.

Opaque to clients: base64 of a version, the content as MessagePack, and a signature. Signed, because a made-up
one would have a server wait for what never comes.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import msgspec

from byron.events.event import Event
from byron.events.subjects import slot_of
from byron.exceptions import ReceiptError

_VERSION = 2
_SIGNATURE = 16

#: Events that a receipt tells one by one. Of more, the last one of each slot and name stands for all.
_MOST_EVENTS = 32

#: Characters of a receipt, at most: with its name and attributes it still is a cookie that browsers take (4,096).
LONGEST_RECEIPT = 3500

#: In place of an event's name: whoever handles any event is to wait.
ANY_EVENT = ""


@dataclass(frozen=True, slots=True)
class Announced:
    """One event that a receipt is about."""

    position: int
    slot: int
    name: str
    #: When a browser was told of it, in whole seconds since 1970; 0 where that is no matter.
    told: int = 0

    def concerns(self, handled: Iterable[str]) -> bool:
        """Whether a component that handles these events is to wait for it."""
        return self.name == ANY_EVENT or self.name in handled


class _Content(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    namespace: str
    #: The newest position and time. What else there is counts back from them, which takes fewer bytes.
    position: int
    told: int
    #: By its name, each event's slot and how far back its position and its time are.
    events: dict[str, list[tuple[int, int, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The events of one or several mutations in a namespace, in the order of the log."""

    namespace: str
    events: tuple[Announced, ...]

    @classmethod
    def of(cls, namespace: str, events: Iterable[Event]) -> Self:
        """Return the receipt of events that the log holds, the same at any time."""
        found = [Announced(each.position or 0, slot_of(each.key), each.name) for each in events]
        return cls(namespace=namespace, events=_compacted(namespace, found))

    def joined(self, other: Receipt) -> Receipt:
        """Return a receipt for the events of both, which are of one namespace."""
        return Receipt(namespace=self.namespace, events=_compacted(self.namespace, [*self.events, *other.events]))

    def told(self, moment: float) -> Receipt:
        """Return the receipt with the time at which a browser is told of its events, in seconds since 1970."""
        events = _compacted(self.namespace, (replace(each, told=int(moment)) for each in self.events))
        return Receipt(namespace=self.namespace, events=events)

    def since(self, moment: float) -> Receipt:
        """Return a receipt for those events alone that were told of at this time or later, in seconds since 1970."""
        return Receipt(namespace=self.namespace, events=tuple(each for each in self.events if each.told >= moment))

    def sealed(self, key: str) -> str:
        """Return the text that clients are given."""
        body = _body(self.namespace, self.events)
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
        found = [
            Announced(content.position - back, slot, name, content.told - earlier)
            for name, places in content.events.items()
            for slot, back, earlier in places
        ]
        return cls(namespace=content.namespace, events=_in_order(found))


def _compacted(namespace: str, events: Iterable[Announced]) -> tuple[Announced, ...]:
    """Return what tells of all these events and is not too long when it is sealed."""
    kept = _in_order(events)
    if len(kept) > _MOST_EVENTS or _is_too_long(namespace, kept):
        kept = _last(kept, lambda each: (each.slot, each.name))
    if _is_too_long(namespace, kept):
        # Rather a wait in vain, by who does not handle just these, than one that ends too early.
        last = _last(kept, lambda each: each.slot)
        kept = tuple(replace(each, name=ANY_EVENT) for each in last)
    return kept


def _in_order(events: Iterable[Announced]) -> tuple[Announced, ...]:
    return tuple(sorted(events, key=lambda each: each.position))


def _last(events: Iterable[Announced], kind: Callable[[Announced], object]) -> tuple[Announced, ...]:
    """Return the last one of each kind of these events, which are in order."""
    return _in_order({kind(each): each for each in events}.values())


def _is_too_long(namespace: str, events: Sequence[Announced]) -> bool:
    size = len(_body(namespace, events)) + _SIGNATURE
    # As base64: four characters for three bytes.
    return -(-size * 4 // 3) > LONGEST_RECEIPT


def _body(namespace: str, events: Sequence[Announced]) -> bytes:
    position = max((each.position for each in events), default=0)
    told = max((each.told for each in events), default=0)
    places: dict[str, list[tuple[int, int, int]]] = {}
    for each in events:
        places.setdefault(each.name, []).append((each.slot, position - each.position, told - each.told))
    content = _Content(namespace, position, told, places)
    return bytes([_VERSION]) + msgspec.msgpack.encode(content)


def _signature(body: bytes, key: str) -> bytes:
    return hmac.digest(key.encode(), b"byron receipt" + body, "sha256")[:_SIGNATURE]
