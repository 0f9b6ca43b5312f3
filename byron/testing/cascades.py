"""Cascades: events that handlers emit because of events, which should end some time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from byron.broker.base import Acknowledgement
from byron.broker.memory import MemoryBroker
from byron.commands.claims import places_of
from byron.commands.records import Record
from byron.events.codec import message_id
from byron.events.event import Message
from byron.testing.failures import SystemFailure

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: How often events of one name and component may lead to themselves, one after the other.
MOST = 300

#: How many events that do so may come of one event, side by side.
_MOST_IN_ALL = 10_000

#: Seconds that a log in memory is given to take a message.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Emitted:
    id: str
    kind: tuple[str, str]
    cause: str | None
    #: The id of the event that had no cause.
    root: str
    #: The kinds of this event and of all its causes, and how many of these are of a kind that an earlier one has.
    kinds: frozenset[tuple[str, str]]
    times: int


class CascadeError(SystemFailure):
    """An endless cascade."""

    def __init__(self, text: str, events: Sequence[str]) -> None:
        """Take what is told, and the names of the events that lead to one another."""
        super().__init__(text)
        self.events = tuple(events)


class CascadeWatch:
    """Looks at each event of a log and finds out when one causes itself again and again."""

    def __init__(self) -> None:
        self._emitted: dict[str, _Emitted] = {}
        self._recurring: Counter[str] = Counter()
        self._longest: _Emitted | None = None

    def see(self, headers: Mapping[str, str]) -> None:
        """Take note of an event. Raises CascadeError, naming the events of the cycle, for one of too many."""
        id, source = headers.get("ce-id", ""), headers.get("ce-source", "").rpartition("/")[2]
        if id in self._emitted:
            return
        kind = (headers.get("ce-type", ""), source)
        cause = self._emitted.get(headers.get("ce-causationid", ""))
        if cause is None:
            event = _Emitted(id=id, kind=kind, cause=None, root=id, kinds=frozenset([kind]), times=0)
        else:
            recurs = kind in cause.kinds
            kinds = cause.kinds if recurs else cause.kinds | {kind}
            times = cause.times + recurs
            event = _Emitted(id=id, kind=kind, cause=cause.id, root=cause.root, kinds=kinds, times=times)
            self._recurring[event.root] += recurs
        self._emitted[id] = event
        if event.times > MOST or self._recurring[event.root] > _MOST_IN_ALL:
            raise self._error(event)
        if event.times > (self._longest.times if self._longest is not None else 0):
            self._longest = event

    def suspect(self) -> CascadeError | None:
        """Return what would be told of the event that has led to itself the most; None if none has."""
        return self._error(self._longest) if self._longest is not None else None

    def _error(self, last: _Emitted) -> CascadeError:
        cycle = [last]
        for event in self._causes(last):
            cycle.insert(0, event)
            if event.kind == last.kind:
                break
        lines = [f"    {name}, emitted by {source}" for name, source in (event.kind for event in cycle)]
        first, source = self._emitted[last.root].kind
        name, emitter = last.kind
        times = self._recurring[last.root]
        often = f"{times} time{'' if times == 1 else 's'}"
        text = "\n".join(
            [
                f"An endless cascade: {name}, emitted by {emitter}, leads to itself, {often} by now.",
                "Handlers emit these in turn, each because of the one before:",
                *lines,
                f"It began with {first}, emitted by {source}. Have one of the handlers emit only when there is news.",
            ]
        )
        return CascadeError(text, [event.kind[0] for event in cycle])

    def _causes(self, event: _Emitted) -> Iterator[_Emitted]:
        while event.cause is not None:
            event = self._emitted[event.cause]
            yield event


class LogUnderTest(MemoryBroker):
    """A log in memory that refuses endless cascades."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self._watch = CascadeWatch()

    def put(self, messages: Sequence[Message]) -> None:
        """Append messages, as components of the namespace do."""
        self.ensure_log()
        for message in messages:
            self.publish([message], _PATIENCE)

    def forget(self, *, after: int) -> None:
        """Forget the messages after a position, as if nobody had sent them: what stands for them at the broker, too."""
        with self._changed:
            forgotten = {message_id(message) for message in self.messages[after:]}
            del self.messages[after:]
            for id in forgotten:
                self._positions.pop(id, None)
            notes = {name: claim.note for name, (claim, _) in self._claims.items()}
            for name, note in notes.items():
                if _stands_for(note, forgotten, after):
                    del self._claims[name]

    def suspect(self) -> CascadeError | None:
        """Return what would be told of the event that has led to itself the most; None if none has."""
        return self._watch.suspect()

    def _append(self, message: Message) -> Acknowledgement:
        self._watch.see(message.headers)
        return super()._append(message)


def _stands_for(note: str, ids: Collection[str], after: int) -> bool:
    """Whether a claim, by its note, is of events after a position, or the record of a mutation that emitted some."""
    if note.startswith("{"):
        return Record.read(note).first in ids
    return bool(note) and any(position > after for position in places_of(note))
