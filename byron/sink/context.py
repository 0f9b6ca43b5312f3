"""What a handler is given: the Cache's models, a way to emit, a log."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid5

from django.db import models

from byron.commands.context import new_event
from byron.commands.hints import Hinting
from byron.commands.unwritten import Function, note_unwritten
from byron.events.event import Event
from byron.events.payloads import PayloadCodec
from byron.schema.installed import ComponentConfig

#: The name space of the ids of events that handlers emit.
_EMITTED = UUID("6f1f6d3c-8a0e-5c5e-9a53-0d1f4f0b7d7e")


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
        """Say in the log that this handler, or the hook at work, does nothing yet, as generated ones do.

        `component.examples()` tells it.
        """
        event = self.event
        note_unwritten(self.log, Function(kind="handler", name=self.handler), event.name, f"{event.name} {event.key}")

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
