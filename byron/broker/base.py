"""The broker's contract: what publishing, fetching and acknowledging mean, whatever carries them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Self

from byron.events.event import Message, StoredMessage
from byron.events.subjects import SLOTS, encode_key, split_subject
from byron.exceptions import BrokerError


@dataclass(frozen=True, slots=True, kw_only=True)
class LogInfo:
    """The state of a namespace's event log.

    `first` and `last` are positions; an empty log has `last == 0` and `first <= 1`.
    """

    created: datetime
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """The broker's word that it holds a message: its position, and whether it had it before."""

    position: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A name that is taken for some time; `number` tells it from any other claim on any name."""

    name: str
    holder: str
    number: int
    #: What its holder left with it.
    note: str = ""
    #: How long it stands; only known to who made it.
    seconds: float = field(default=0.0, compare=False)

    @property
    def is_own(self) -> bool:
        """Whether it was made by the call that returned it."""
        return self.seconds > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a publisher takes for granted: the position of the last message about a key, 0 for none."""

    key: str
    position: int


def first_about(messages: Sequence[Message], key: str) -> Message:
    """Return the first of these messages that is about a key. Raises BrokerError when none is."""
    token = encode_key(key)
    for message in messages:
        if split_subject(message.subject)[2] == token:
            return message
    raise BrokerError(f"None of the messages is about {key!r}, of which something is expected.")


class Closing(ABC):
    """Something that is closed at the end of a `with` block."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything held. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Consumer(Closing):
    """A reader of the log, in order, for one lane of one component.

    Messages arrive in the log's order and none is passed over. Whatever could leave a hole, be it an
    outage or another reader of the same name, ends the reader with ConsumerLostError: it is to be opened
    anew then, at the checkpoint. Acknowledging tells the broker how far this lane is, so that it can
    say how much is waiting; what was applied, only the Cache knows. Methods are called from one thread
    and block it, never the broker's own.
    """

    @abstractmethod
    def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        """Return what is there, up to `limit`, as soon as there is anything.

        Waits up to `timeout` seconds for the first message, never for more to fill a batch; an empty
        list means that time ran out. Raises ConsumerLostError, and BrokerUnavailableError after `close`.
        """

    @abstractmethod
    def acknowledge(self, position: int) -> None:
        """Acknowledge every message up to this position, without waiting for the broker."""

    @abstractmethod
    def pending(self) -> int:
        """Return how many messages of the log this consumer has not been given yet: its lag.

        Raises BrokerUnavailableError.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop receiving; a durable consumer stays at the broker. Idempotent."""


class Listener(Closing):
    """Someone who listens to a topic."""


class Broker(Closing):
    """One namespace's event log. Thread-safe; one per process and namespace is enough.

    Whoever has only so much time asks inside of `answers_within` (`byron/broker/patience.py`).
    """

    #: Whether the log outlives the process.
    supports_persistence: bool = False

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    @abstractmethod
    def ensure_log(self) -> LogInfo:
        """Create the log when it is missing, with Byron's rules, and return its state.

        An existing log is never changed in a way that could lose events. Raises BrokerError.
        """

    @abstractmethod
    def log_info(self) -> LogInfo:
        """Return the log's state. Raises LogMismatchError when there is no log."""

    @abstractmethod
    def publish(
        self,
        messages: Sequence[Message],
        timeout: float,
        *,
        only_whole: bool = False,
        expected: Expected | None = None,
    ) -> list[Acknowledgement]:
        """Append messages to the log: all of them, next to one another, or none.

        Returns when the broker holds them durably. A message whose id the log got within the
        duplicate window is not stored twice. Nothing is ever sent after this method returned.
        With `only_whole`, PartlyKnownError is raised when the log has some of the ids and not all; else the rest is
        stored. `expected` is compared, in the same step as they are stored, with what the log holds before them; one
        of the messages is about its key. A message that the log has already is not compared again.
        Raises BrokerUnavailableError (certainly not stored), OutcomeUnknownError (may be stored), StaleVersionError
        (not stored: another message about that key is the last), PublishDeniedError and PublishRefusedError (not
        stored: the broker does not take it), or BrokerError when it cannot be told what became of it.
        """

    @abstractmethod
    def last_of(self, key: str) -> int:
        """Return the position of the last message about a key, whatever its event; 0 without one.

        Like `first_of`, it knows of every message that was acknowledged. Raises BrokerUnavailableError, and
        LogMismatchError when there is no log.
        """

    @abstractmethod
    def first_of(self, key: str, events: Collection[str], after: int) -> tuple[int, str] | None:
        """Return the position and the name of the first of these events about a key beyond a position, or None.

        Raises as `last_of` does.
        """

    @abstractmethod
    def claim(
        self, name: str, holder: str, seconds: float, timeout: float, *, over: Claim | None = None, note: str = ""
    ) -> Claim:
        """Take a name for some time unless it is taken, and return the claim that stands: this one or the other.

        Of any number of callers at once, in any processes, one gets it. `over` is a claim that may be replaced
        if it still stands just so; whoever holds it, its holder included, is refused otherwise. `note` is left with
        the claim from the start. The name is made of
        letters, digits, `-` and `_`; `seconds` are whole ones. When the broker did not confirm it within `timeout`
        seconds, it may stand all the same until its time is up, and BrokerUnavailableError is raised. Raises also
        PublishDeniedError, and BrokerError when the broker refuses for another reason.
        """

    @abstractmethod
    def claim_age(self, claim: Claim) -> float:
        """Return for how many seconds a claim has stood unchanged, by the broker's clock alone; 0 when it is gone.

        Raises BrokerUnavailableError.
        """

    @abstractmethod
    def note(self, claim: Claim, text: str) -> None:
        """Leave a text with a claim that the caller has made, without waiting. Its time begins anew; it may get lost.

        It is not done when another claim stands by then.
        """

    @abstractmethod
    def release(self, claim: Claim, timeout: float) -> None:
        """Free a name if exactly this claim stands, noted or replaced ones do not count.

        Waits for it up to `timeout` seconds; while the broker is away it is tried on in the background. Raises
        BrokerUnavailableError when this object is closed.
        """

    @abstractmethod
    def backlog_age(self, events: Sequence[str], after: int, *, slots: Sequence[int] = range(SLOTS)) -> float:
        """Return for how long the first of these events beyond a position has been in the log; 0 without one.

        In seconds and by the broker's clock alone. What was logged before that moment is at or before the position.
        Raises BrokerUnavailableError, and LogMismatchError when there is no log.
        """

    @abstractmethod
    def get(self, position: int, *, reader: str = "") -> StoredMessage | None:
        """Return the message at a position, or None when the log has none there.

        `reader` names a consumer that nobody reads at the moment: who may not read the whole log, reads by what
        an administrator has prepared under that name. Raises BrokerPermissionError when that does not show the message,
        LogMismatchError when there is no log, and BrokerUnavailableError.
        """

    @abstractmethod
    def find(self, subject: str, event_id: str, after: int) -> int | None:
        """Return the position, beyond `after`, of the message with this id on this subject, or None.

        For who may read the whole log, and where little is to be expected on the subject.
        """

    @abstractmethod
    def find_all(
        self, subject: str, ids: Collection[str], after: int, *, reader: str, until: float = math.inf
    ) -> set[str]:
        """Return which of these ids messages on this subject have, beyond `after` and logged before a time, `until`.

        The log is read once, forward, and no more than some hundred headers are held at a time. `reader` is the
        consumer of who asks: its name and `-find` is that of another, made for the search, which nobody else may use
        meanwhile. Raises BrokerUnavailableError, BrokerPermissionError and LogMismatchError.
        """

    @abstractmethod
    def consumer(
        self,
        name: str,
        events: Sequence[str],
        after: int,
        *,
        slots: Sequence[int] = range(SLOTS),
        durable: bool = True,
    ) -> Consumer:
        """Open the consumer `name` over these event names and slots, starting after a position.

        `after` is the Cache's checkpoint (0: from the beginning). A durable consumer that stands
        elsewhere, because the Cache was restored or rebuilt or acknowledgements were lost, is moved
        there. One that filters other events is changed to these. Two readers of one name take it from
        each other: the caller sees to it that there is one. One that is not durable is forgotten by
        the broker some minutes after it was closed. Raises BrokerUnavailableError, and LogMismatchError
        when the log is missing or ends before `after`.
        """

    @abstractmethod
    def signal(self, topic: str) -> None:
        """Tell every process that listens to a topic, now and without waiting. It may get lost: a hint, no message."""

    @abstractmethod
    def listen(self, topic: str, heard: Callable[[], None]) -> Listener:
        """Have a function called, on a thread of the broker's, whenever a topic is signalled; until it is closed.

        It must return at once. It is called too when signals may have been missed, as after an outage.
        """

    @abstractmethod
    def is_connected(self) -> bool:
        """Whether the broker could be reached when last heard of; never blocks."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and threads. Idempotent."""
