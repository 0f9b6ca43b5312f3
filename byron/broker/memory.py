"""A broker inside this process, for tests: the same promises, gone with the process."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic, time

from byron.broker.base import Acknowledgement, Broker, Claim, Consumer, Expected, Listener, LogInfo, first_about
from byron.events.event import Message, StoredMessage
from byron.events.subjects import SLOTS, encode_key, event_subject, split_subject
from byron.exceptions import (
    BrokerError,
    BrokerUnavailableError,
    ConsumerLostError,
    LogMismatchError,
    PartlyKnownError,
    StaleVersionError,
)


class MemoryBroker(Broker):
    """A namespace's event log as a list, which tests may read as `messages`.

    Setting `available` to False simulates an outage: every operation then raises
    BrokerUnavailableError, and open consumers are lost, also once it is over.
    """

    supports_persistence = False

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.messages: list[StoredMessage] = []
        self._positions: dict[str, int] = {}
        self._created: datetime | None = None
        self._available = True
        self._outages = 0
        self._closed = False
        self._claims: dict[str, tuple[Claim, float]] = {}
        self._claimed = 0
        self._listeners: list[MemoryListener] = []
        self._changed = threading.Condition()

    @property
    def available(self) -> bool:
        return self._available

    @available.setter
    def available(self, value: bool) -> None:
        with self._changed:
            self._available = value
            self._outages += not value
            self._changed.notify_all()

    def _require_available(self) -> None:
        if self._closed:
            raise BrokerUnavailableError("The broker is closed.")
        if not self._available:
            raise BrokerUnavailableError("The broker is unavailable: an outage is simulated.")

    def ensure_log(self) -> LogInfo:
        with self._changed:
            self._require_available()
            if self._created is None:
                self._created = datetime.now(UTC)
            return self._log_info()

    def log_info(self) -> LogInfo:
        with self._changed:
            self._require_available()
            return self._log_info()

    def _log_info(self) -> LogInfo:
        if self._created is None:
            raise LogMismatchError(f"There is no event log for namespace {self.namespace!r}; ensure_log() creates it.")
        return LogInfo(created=self._created, first=1, last=len(self.messages))

    def publish(
        self,
        messages: Sequence[Message],
        timeout: float,
        *,
        only_whole: bool = False,
        expected: Expected | None = None,
    ) -> list[Acknowledgement]:
        with self._changed:
            self._require_available()
            if self._created is None:
                raise BrokerError(f"There is no event log for namespace {self.namespace!r}; call ensure_log() first.")
            known = sum(message.id in self._positions for message in messages)
            if only_whole and 0 < known < len(messages):
                raise PartlyKnownError(f"The log has {known} of {len(messages)} messages from someone else.")
            if expected is not None and first_about(messages, expected.key).id not in self._positions:
                last = self._last_of(expected.key)
                if last != expected.position:
                    raise StaleVersionError(f"The last message about {expected.key!r} is at {last}.")
            acknowledgements = [self._append(message) for message in messages]
            self._changed.notify_all()
            return acknowledgements

    def _append(self, message: Message) -> Acknowledgement:
        known = self._positions.get(message.id)
        if known is not None:
            return Acknowledgement(position=known, duplicate=True)
        position = len(self.messages) + 1
        self.messages.append(
            StoredMessage(
                subject=message.subject,
                headers=dict(message.headers),
                body=message.body,
                position=position,
                logged=time(),
            )
        )
        self._positions[message.id] = position
        return Acknowledgement(position=position)

    def last_of(self, key: str) -> int:
        with self._changed:
            self._require_available()
            self._log_info()
            return self._last_of(key)

    def _last_of(self, key: str) -> int:
        token = encode_key(key)
        found = (each.position for each in reversed(self.messages) if split_subject(each.subject)[2] == token)
        return next(found, 0)

    def first_of(self, key: str, events: Collection[str], after: int) -> tuple[int, str] | None:
        wanted = {event_subject(self.namespace, event, key): event for event in events}
        with self._changed:
            self._require_available()
            self._log_info()
            found = (each for each in self.messages[after:] if each.subject in wanted)
            return next(((each.position, wanted[each.subject]) for each in found), None)

    def claim(
        self, name: str, holder: str, seconds: float, timeout: float, *, over: Claim | None = None, note: str = ""
    ) -> Claim:
        with self._changed:
            self._require_available()
            standing = self._standing(name)
            if standing is not None and (over is None or standing.number != over.number):
                return replace(standing, seconds=0.0)
            return self._store(Claim(name=name, holder=holder, number=0, note=note, seconds=seconds))

    def claim_age(self, claim: Claim) -> float:
        with self._changed:
            self._require_available()
            standing, until = self._claims.get(claim.name, (None, 0.0))
            if standing is None or standing.number != claim.number:
                return 0.0
            return max(0.0, monotonic() - (until - standing.seconds))

    def note(self, claim: Claim, text: str) -> None:
        with self._changed:
            standing = self._standing(claim.name)
            if self._available and standing is not None and standing.number == claim.number:
                self._store(replace(claim, note=text))

    def release(self, claim: Claim, timeout: float) -> None:
        with self._changed:
            standing = self._standing(claim.name)
            # After an outage, too, the caller's process would have tried on.
            if standing is not None and standing.number == claim.number:
                del self._claims[claim.name]

    def _standing(self, name: str) -> Claim | None:
        claim, until = self._claims.get(name, (None, 0.0))
        return claim if monotonic() < until else None

    def _store(self, claim: Claim) -> Claim:
        self._claimed += 1
        stored = replace(claim, number=self._claimed)
        self._claims[claim.name] = stored, monotonic() + claim.seconds
        return stored

    def backlog_age(self, events: Sequence[str], after: int, *, slots: Sequence[int] = range(SLOTS)) -> float:
        with self._changed:
            self._require_available()
            self._log_info()
            for message in self.messages[after:]:
                _, slot, _, event = split_subject(message.subject)
                if event in events and slot in slots:
                    return max(0.0, time() - (message.logged or 0.0))
        return 0.0

    def get(self, position: int, *, reader: str = "") -> StoredMessage | None:
        with self._changed:
            self._require_available()
            self._log_info()
            return self.messages[position - 1] if 0 < position <= len(self.messages) else None

    def find(self, subject: str, event_id: str, after: int) -> int | None:
        with self._changed:
            self._require_available()
            self._log_info()
            for message in self.messages[after:]:
                if message.subject == subject and message.headers.get("ce-id") == event_id:
                    return message.position
        return None

    def find_all(
        self, subject: str, ids: Collection[str], after: int, *, reader: str, until: float = math.inf
    ) -> set[str]:
        with self._changed:
            self._require_available()
            self._log_info()
            beyond = (each for each in self.messages[after:] if each.subject == subject and each.logged < until)
            return {each.headers.get("ce-id", "") for each in beyond} & set(ids)

    def consumer(
        self,
        name: str,
        events: Sequence[str],
        after: int,
        *,
        slots: Sequence[int] = range(SLOTS),
        durable: bool = True,
    ) -> Consumer:
        if not events:
            raise BrokerError(f"Consumer {name!r} needs the name of at least one event.")
        with self._changed:
            self._require_available()
            last = self._log_info().last
        if last < after:
            raise LogMismatchError(f"The log ends at position {last}, before the checkpoint {after}.")
        return MemoryConsumer(self, frozenset(events), frozenset(slots), after)

    def signal(self, topic: str) -> None:
        with self._changed:
            listeners = [each for each in self._listeners if each.topic == topic] if self._available else []
        for each in listeners:
            each.heard()

    def listen(self, topic: str, heard: Callable[[], None]) -> Listener:
        listener = MemoryListener(self._listeners, topic, heard)
        self._listeners.append(listener)
        return listener

    def is_connected(self) -> bool:
        return self._available and not self._closed

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class MemoryListener(Listener):
    """One who listens to a topic of a MemoryBroker."""

    def __init__(self, among: list[MemoryListener], topic: str, heard: Callable[[], None]) -> None:
        self.topic = topic
        self.heard = heard
        self._among = among

    def close(self) -> None:
        if self in self._among:
            self._among.remove(self)


class MemoryConsumer(Consumer):
    """A reader of a MemoryBroker's list. Only the caller's checkpoint outlives it."""

    def __init__(self, broker: MemoryBroker, events: frozenset[str], slots: frozenset[int], after: int) -> None:
        self._broker = broker
        self._events = events
        self._slots = slots
        self._position = after
        self._outages = broker._outages
        self._closed = False

    def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        deadline = monotonic() + timeout
        broker = self._broker
        with broker._changed:
            while True:
                if self._closed:
                    raise BrokerUnavailableError("The consumer is closed.")
                if self._outages != broker._outages or not broker.is_connected():
                    raise ConsumerLostError("The consumer lost its place in the log: the broker went away.")
                found = self._take(limit)
                remaining = deadline - monotonic()
                if found or remaining <= 0:
                    return found
                broker._changed.wait(remaining)

    def _take(self, limit: int) -> list[StoredMessage]:
        found: list[StoredMessage] = []
        for message in self._broker.messages[self._position :]:
            if len(found) == limit:
                break
            self._position = message.position
            if self._matches(message.subject):
                found.append(message)
        return found

    def _matches(self, subject: str) -> bool:
        _, slot, _, event = split_subject(subject)
        return event in self._events and slot in self._slots

    def acknowledge(self, position: int) -> None:
        """Do nothing: without a broker's memory of its readers, the caller's checkpoint is all there is."""

    def pending(self) -> int:
        with self._broker._changed:
            self._broker._require_available()
            return sum(self._matches(message.subject) for message in self._broker.messages[self._position :])

    def close(self) -> None:
        with self._broker._changed:
            self._closed = True
            self._broker._changed.notify_all()
