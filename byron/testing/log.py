"""The log as one component of a test has it: events that a test writes go in, events come out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

from byron.events.clock import now
from byron.events.codec import message_id
from byron.events.event import Event, Message, StoredMessage
from byron.events.payloads import PayloadCodec
from byron.exceptions import EventError
from byron.schema.model import Component
from byron.testing.events import NOT_YET, as_news

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True


class Messages(Protocol):
    """A namespace's log, in this process or another."""

    @property
    def messages(self) -> Sequence[StoredMessage]:
        """Everything that it holds, in order."""

    def put(self, messages: Sequence[Message]) -> None:
        """Append messages, as components of the namespace do."""


class EventLog:
    """Events as a component declares them, in the log of its namespace."""

    def __init__(
        self, component: Component, log: Messages, read: Callable[[StoredMessage], Event] | None = None
    ) -> None:
        """Have a log as a component writes it, and reads it: as it declares the events, or by a reader of others'."""
        self._writer = EventWriter(component)
        self._log = log
        self._read = read or self._writer.payloads.read

    def __len__(self) -> int:
        """Return how many messages the log holds."""
        return len(self._log.messages)

    def events(self, *, after: int = 0) -> list[Event]:
        """Return the events that come after so many others. Raises EventError for one that cannot be read."""
        return [self._read(message) for message in self._log.messages[after:]]

    def append(self, events: Sequence[Event]) -> list[str]:
        """Put events that a test wrote into the log, all or none; return the ids that they have there.

        Raises EventError for one that breaks its declaration, and ValueError for one that was read from the log.
        """
        messages = self._writer.written(events, {message_id(message) for message in self._log.messages})
        self._log.put(messages)
        return [message.id for message in messages]


class EventWriter:
    """Makes messages of the events that a test writes."""

    def __init__(self, component: Component) -> None:
        self.payloads = PayloadCodec(component)
        self._component = component

    def written(self, events: Sequence[Event], known: Collection[str]) -> list[Message]:
        """Return the messages that carry these events, under ids that are not known yet. Raises as `append` does."""
        seen, messages = set(known), []
        for each in events:
            news = as_news(each, seen)
            seen.add(news.id)
            try:
                messages.append(self.payloads.write(self._completed(news)))
            except EventError as error:
                # Where the payload's codec found it, and by what, is not the test's affair.
                raise EventError(str(error)) from None
        return messages

    def _completed(self, sparse: Event) -> Event:
        """Return an event with what a test leaves out: its key, where it comes from, and that it happens now.

        One that was read from a log has a time of its own, and so has one that was given another.
        """
        return replace(
            sparse,
            time=now() if sparse.time == NOT_YET else sparse.time,
            key=sparse.key or self.payloads.key(sparse.name, sparse.payload),
            namespace=sparse.namespace or self._component.namespace,
            source=sparse.source or self._component.name,
            version=self.payloads.version(sparse.name),
        )
