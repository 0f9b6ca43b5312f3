"""Subjects: `<namespace>.<slot>.<key>.<event name>`. Only this module builds or parses them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from zlib import crc32

from byron.exceptions import EventError

#: The slots are part of the log's format: changing their number would reorder existing keys.
SLOTS = 16

#: NATS refuses control lines over 4 KiB; this leaves room for the event's name and the reply subject.
LONGEST_KEY = 3072

_SHARES = frozenset(str(slot) for slot in range(SLOTS))

_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
_PLAIN = re.compile("[A-Za-z0-9_-]+")
_ESCAPE = re.compile(rb"=([0-9A-F]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The parts of one event's subject; `key` is the decoded one."""

    namespace: str
    slot: int
    key: str
    event: str


def slot_of(key: str) -> int:
    """Return the slot of a key, 0 to 15."""
    return crc32(key.encode()) % SLOTS


def encode_key(key: str) -> str:
    """Return any string as one token: bytes of its UTF-8 other than `A-Za-z0-9_-` become `=XX`.

    The empty string becomes `=`. The encoding is injective; `decode_key` reverses it.
    """
    if not key:
        return "="
    if _PLAIN.fullmatch(key) and len(key) <= LONGEST_KEY:
        return key
    try:
        raw = key.encode()
    except UnicodeEncodeError as error:
        raise EventError(f"The key {key!r} is not valid Unicode text.") from error
    token = "".join(chr(byte) if byte in _SAFE else f"={byte:02X}" for byte in raw)
    if len(token) > LONGEST_KEY:
        raise EventError(f"The key {key[:40]!r}… takes {len(token)} bytes in a subject; at most {LONGEST_KEY} fit.")
    return token


def decode_key(token: str) -> str:
    """Return the key that `encode_key` made this token of.

    Raises EventError for a token it cannot have made.
    """
    if _PLAIN.fullmatch(token) and len(token) <= LONGEST_KEY:
        return token
    if token == "=":
        return ""
    try:
        key = _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), token.encode()).decode()
    except UnicodeDecodeError as error:
        raise EventError(f"{token!r} is not an encoded key.") from error
    if encode_key(key) != token:
        raise EventError(f"{token!r} is not an encoded key.")
    return key


def signal_subject(namespace: str, topic: str) -> str:
    """Return the subject of hints between processes. No namespace begins with `_`, so no log takes them."""
    return f"_byron.{namespace.lower()}.{topic}"


def applied_topic(consumer: str) -> str:
    """Return the topic on which a component's Sink tells that its Cache has moved on."""
    return f"applied.{consumer}"


def lane_reader(consumer: str, number: int, count: int) -> str:
    """Return the name of the reader of one of a component's `count` lanes."""
    return consumer if count == 1 else f"{consumer}-{number}of{count}"


def lane_slots(number: int, count: int) -> range:
    """Return the slots of one of `count` lanes."""
    return range(number, SLOTS, count)


def rebuild_reader(consumer: str) -> str:
    """Return the name of the reader by which a component's Cache is built anew."""
    return f"{consumer}-rebuild"


def search_reader(reader: str) -> str:
    """Return the name of the reader that a lane's search of the log uses."""
    return f"{reader}-find"


def event_subject(namespace: str, event: str, key: str) -> str:
    """Return the subject on which an event about this key is published."""
    return f"{namespace.lower()}.{slot_of(key)}.{encode_key(key)}.{event}"


def key_filter(namespace: str, key: str) -> str:
    """Return the pattern that matches every event about this key."""
    return f"{namespace.lower()}.{slot_of(key)}.{encode_key(key)}.>"


def event_filters(namespace: str, events: Iterable[str], slots: Collection[int]) -> list[str]:
    """Return the patterns that match these event names for every key of these slots."""
    shares = ["*"] if len(slots) == SLOTS else [str(slot) for slot in slots]
    return [f"{namespace.lower()}.{share}.*.{event}" for event in dict.fromkeys(events) for share in shares]


def namespace_filter(namespace: str) -> str:
    """Return the pattern that matches every event of a namespace."""
    return f"{namespace.lower()}.*.*.>"


def stream_name(namespace: str) -> str:
    """Return the name of the stream that holds a namespace's event log."""
    return namespace.lower()


def claims_stream(namespace: str) -> str:
    """Return the name of the stream of a namespace's claims. No namespace has a `-`, so no log has this name."""
    return f"KV_byron-{namespace.lower()}"


def claim_subject(namespace: str, name: str) -> str:
    """Return the subject of a claim, laid out as NATS's key-value buckets are; the name is to be one token."""
    return f"$KV.byron-{namespace.lower()}.{name}"


def split_subject(subject: str) -> tuple[str, int, str, str]:
    """Return a subject's namespace, slot, encoded key and event name, without looking whether the key is one.

    What is not a slot, in a message that someone else published, counts as slot 0.
    """
    namespace, share, key, event = (*subject.split(".", 3), "", "", "")[:4]
    return namespace, int(share) if share in _SHARES else 0, key, event


def parse_subject(subject: str) -> Subject:
    """Return the parts of a subject.

    Raises EventError when it is not one that `event_subject` makes.
    """
    parts = subject.split(".", 3)
    if len(parts) != 4 or not parts[1].isdecimal() or not parts[3]:
        raise EventError(f"{subject!r} is not the subject of a Byron event.")
    return Subject(namespace=parts[0], slot=int(parts[1]), key=decode_key(parts[2]), event=parts[3])
