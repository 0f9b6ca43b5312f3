"""What a handler is given: the Cache's models and a log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import SimpleNamespace

from byron.schema.installed import ComponentConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerContext:
    """The first argument of a handler and of its hooks; the second is the event."""

    #: The component's models, to write: `ctx.db.Student.objects.create(**event.payload)`.
    db: SimpleNamespace
    #: A logger named after the component and the handler.
    log: logging.Logger
    config: ComponentConfig
