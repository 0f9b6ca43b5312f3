"""An event: a fact, named with dots, about one key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from byron.events.clock import now
from byron.events.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened, as commands emit it and handlers receive it.

    `payload` is what the developer's code sees: snake_case keys where the event's shape is
    declared in schema.yaml. `position` is set by the log, so None before.
    """

    name: str
    key: str
    payload: Mapping[str, Any]
    namespace: str
    source: str
    id: str = field(default_factory=new_id)
    time: datetime = field(default_factory=now)
    version: int = 1
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What crosses the wire: a subject, headers and a JSON body."""

    subject: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The event's id, by which the broker drops a repeated publish."""
        return self.headers["ce-id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMessage:
    """A message as the log holds it. Headers of foreign messages may be missing."""

    subject: str
    headers: Mapping[str, str]
    body: bytes
    position: int
    #: When the log took it, in seconds since 1970 by the broker's clock.
    logged: float = 0.0
