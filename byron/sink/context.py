"""What a handler is given: the Cache's models, a way to emit, a log."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from django.db import models

from byron.commands.context import new_event
from byron.commands.hints import Hinting
from byron.events.event import Event
from byron.events.payloads import PayloadCodec
from byron.schema.installed import ComponentConfig

#: The name space of the ids of events that handlers emit.
_EMITTED = UUID("6f1f6d3c-8a0e-5c5e-9a53-0d1f4f0b7d7e")

#: Where handlers that are still to be written are noted, by their names and their events'; None where nobody asks.
_unwritten: ContextVar[dict[str, str] | None] = ContextVar("byron_unwritten", default=None)


@contextmanager
def noting_unwritten() -> Iterator[Mapping[str, str]]:
    """Give the handlers that say, meanwhile and in this context, that they are not written, with their events."""
    found: dict[str, str] = {}
    token = _unwritten.set(found)
    try:
        yield found
    finally:
        _unwritten.reset(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerContext(Hinting):
    """The first argument of a handler and of its hooks; the second is the event."""

    #: The component's models, to write: `ctx.db.Student.objects.create(**event.payload)`.
    db: SimpleNamespace
    #: A logger named after the component and the handler.
    log: logging.Logger
    config: ComponentConfig
    payloads: PayloadCodec
    handler: str
    event: Event
    #: What was emitted so far. It is stored with the handler's effect, and published after that.
    emitted: list[Event] = field(default_factory=list)

    def unwritten(self) -> None:
        """Say in the log that this handler does nothing yet, as generated ones do; `component.examples()` tells it."""
        event = self.event
        self.log.warning("the handler %s is not written: nothing done for %s %s", self.handler, event.name, event.key)
        found = _unwritten.get()
        if found is not None:
            found[self.handler] = event.name

    def emit(self, name: str, payload: Mapping[str, Any] | models.Model, *, key: str | None = None) -> Event:
        """Emit an event because of the one at hand, if and only if that one's effect is stored.

        It is published once, whatever crashes: its id is made of the cause's id, the handler's name and
        how many the handler has emitted before, so the same handling emits the same event. Key and
        errors are as in a command's `ctx.emit`.
        """
        cause = self.event
        origin = f"{self.config.component.name}/{self.handler}/{cause.id}/{len(self.emitted)}"
        event = new_event(
            self.config,
            self.payloads,
            name,
            payload,
            key=key,
            id=str(uuid5(_EMITTED, origin)),
            correlation_id=cause.correlation_id or cause.id,
            causation_id=cause.id,
            traceparent=cause.traceparent,
        )
        self.emitted.append(event)
        return event
