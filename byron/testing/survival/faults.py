"""Faults from outside: a process that ends before a step, a handler that fails, a log that delivers again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from byron.broker.base import Acknowledgement, Consumer, Expected
from byron.events.codec import message_id
from byron.events.event import Message, StoredMessage
from byron.events.payloads import PayloadCodec
from byron.events.subjects import SLOTS, decode_key, split_subject
from byron.schema.installed import ComponentConfig
from byron.sink.apply import Applier, Incoming
from byron.testing.cascades import LogUnderTest
from byron.testing.survival.schedule import Crash, Step

#: Seconds that pass when a Cache is lost: the broker has forgotten which ids it had.
_LONG_AFTER = 86400.0

#: Words of a list, at most.
_MOST_LISTED = 10


class ProcessEnd(BaseException):
    """Stands for the end of the process: nothing catches it, nothing is let go of in order."""


class HandlerFailure(Exception):
    """A handler that failed because the schedule says so."""


class Faults:
    """The faults to come in a rehearsal, and the story of what happened."""

    def __init__(self) -> None:
        self.story: list[str] = []
        #: How often the handlers of an event will fail, by the event's id.
        self.failures: dict[str, int] = {}
        #: What the story calls events that are not emitted by handlers, by their ids.
        self.names: Mapping[str, str] = {}
        #: How many steps of each kind were done, turn by turn.
        self.turns: list[Counter[Step]] = []
        #: The events that were applied last, by their ids.
        self.latest: tuple[str, ...] = ()
        self._crash: Crash | None = None
        self._done: Counter[Step] = Counter()
        self._each: Step | None = None
        self._ended_at: set[object] = set()

    @contextmanager
    def crashing(self, crash: Crash | None) -> Iterator[None]:
        """Have the process end where a crash says."""
        self._crash, self._done = crash, Counter()
        try:
            yield
        finally:
            self._crash = None

    @contextmanager
    def crashing_at_each(self, step: Step) -> Iterator[None]:
        """Have processes end before each step of a kind, when it comes for the first time."""
        self._each, self._ended_at = step, set()
        try:
            yield
        finally:
            self._each = None

    def begin_turn(self) -> None:
        self.turns.append(Counter())

    def tell(self, line: str) -> None:
        self.story.append(line)

    def listed(self, messages: Sequence[Message | StoredMessage]) -> str:
        """Return what the story calls these messages."""
        return listing(
            [self.names.get(message.headers["ce-id"]) or f"{label(message)} (emitted)" for message in messages]
        )

    def pass_by(self, step: Step, what: str) -> None:
        """Go on with a step, or end the process before it."""
        if self.until_crash(step) == 0 or self._is_first(step, (what, self.latest)):
            self.end(what)
        self.count(step)

    def until_crash(self, step: Step) -> int | None:
        """Return how many steps of a kind will be done before the process ends; None when it will not at one."""
        return self._crash.done - self._done[step] if self._crash is not None and self._crash.step is step else None

    def handlers_until_crash(self, events: Sequence[str]) -> int | None:
        """Return how many of these events, told by their ids, will be handled before the process ends, as above."""
        if self._each is Step.HANDLER:
            return next((place for place, each in enumerate(events) if self._is_first(Step.HANDLER, each)), None)
        return self.until_crash(Step.HANDLER)

    def _is_first(self, step: Step, place: object) -> bool:
        if self._each is not step or place in self._ended_at:
            return False
        self._ended_at.add(place)
        return True

    def count(self, step: Step, done: int = 1) -> None:
        self._done[step] += done
        if self.turns:
            self.turns[-1][step] += done

    def end(self, what: str) -> None:
        """End the process. Raises ProcessEnd."""
        self._crash = None
        self.tell(f"The process ends before {what}.")
        raise ProcessEnd


class FaultyLog(LogUnderTest):
    """A log in memory whose readers and publishers meet faults."""

    def __init__(self, namespace: str, faults: Faults) -> None:
        super().__init__(namespace)
        self._faults = faults
        self.ensure_log()

    def publish(
        self,
        messages: Sequence[Message],
        timeout: float,
        *,
        only_whole: bool = False,
        expected: Expected | None = None,
    ) -> list[Acknowledgement]:
        if not messages:
            return []
        listed = self._faults.listed(messages)
        self._faults.pass_by(Step.PUBLISH, f"{listed} {'is' if len(messages) == 1 else 'are'} published")
        self._faults.tell(f"The Sink publishes {listed}.")
        return super().publish(messages, timeout, only_whole=only_whole, expected=expected)

    def put(self, messages: Sequence[Message]) -> None:
        """Append messages as others do."""
        super().publish(messages, 1)

    def grow_old(self) -> None:
        """Let so much time pass that the ids of what was published are forgotten."""
        self.messages[:] = [replace(each, logged=each.logged - _LONG_AFTER) for each in self.messages]
        self._positions.clear()

    def consumer(
        self,
        name: str,
        events: Sequence[str],
        after: int,
        *,
        slots: Sequence[int] = range(SLOTS),
        durable: bool = True,
    ) -> FaultyReader:
        def at(position: int) -> Consumer:
            return super(FaultyLog, self).consumer(name, events, position, slots=slots, durable=durable)

        return FaultyReader(at, after, self._faults)


class FaultyReader(Consumer):
    """A reader of the log that is given some events again."""

    def __init__(self, at: Callable[[int], Consumer], after: int, faults: Faults) -> None:
        self._at = at
        self._reader = at(after)
        self._faults = faults
        self._given: list[StoredMessage] = []

    def go_back(self, count: int) -> None:
        """Have the last events come again, as a broker does that has lost their acknowledgement."""
        again = self._given[-count:] if count else []
        if again:
            self._reader.close()
            self._reader = self._at(again[0].position - 1)
            del self._given[-count:]
            self._faults.tell(f"{self._faults.listed(again)} will be delivered again.")

    def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        found = self._reader.fetch(limit, timeout)
        self._given += found
        return found

    def acknowledge(self, position: int) -> None:
        self._faults.pass_by(Step.ACKNOWLEDGE, "it acknowledges what it has stored")
        self._reader.acknowledge(position)

    def pending(self) -> int:
        return self._reader.pending()

    def close(self) -> None:
        self._reader.close()


class FaultyApplier(Applier):
    """Applies events by their handlers, which fail, or end the process, where the schedule says so."""

    def __init__(self, config: ComponentConfig, payloads: PayloadCodec, faults: Faults) -> None:
        super().__init__(config, payloads)
        self._faults = faults

    def apply(self, items: Sequence[Incoming], enough: Callable[[], bool] = lambda: False) -> int:
        faults = self._faults
        crash = faults.handlers_until_crash([_id(item) for item in items])
        failing = next((place for place, item in enumerate(items) if faults.failures.get(_id(item))), len(items))
        if crash is not None and crash < len(items) and crash <= failing:
            self._told(items[:crash], enough)
            faults.end(f"the handler of {faults.listed([items[crash].message])}")
        faults.count(Step.HANDLER, min(failing + 1, len(items)))
        if failing < len(items):
            self._told(items[: failing + 1], enough)
            faults.failures[_id(items[failing])] -= 1
            culprit = faults.listed([items[failing].message])
            faults.tell(f"The handler of {culprit} fails at its end; what the transaction did is undone.")
            raise HandlerFailure("A fault of the schedule.")
        return self._told(items, enough)

    def _told(self, items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
        if items:
            together = " in one batch" if len(items) > 1 else ""
            self._faults.tell(f"The Sink applies {self._faults.listed([item.message for item in items])}{together}.")
            self._faults.latest = tuple(map(_id, items))
        return super().apply(items, enough)


def _id(item: Incoming) -> str:
    return message_id(item.message)


def label(message: Message | StoredMessage) -> str:
    """Return what a report calls an event: its name and its key."""
    _, _, key, name = split_subject(message.subject)
    return f"{name} {decode_key(key)}"


def listing(words: Sequence[str]) -> str:
    """Return words as a list in a sentence; of many, the first and the last ones."""
    shown = list(words)
    if len(words) > _MOST_LISTED:
        first, last = _MOST_LISTED // 2, _MOST_LISTED // 2 - 1
        shown = [*words[:first], f"{len(words) - first - last} more", *words[-last:]]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
