"""Events as tests write them: `event("new.student", id="1", name="Ada")`."""

from __future__ import annotations

from typing import Any

from byron.events.event import Event


def event(name: str, /, key: str | None = None, **payload: Any) -> Event:
    """Return an event to be put into a log.

    Its key is the payload's `id`, or what schema.yaml says, unless it is given. Namespace, source and version are
    filled in when it is put into a log.
    """
    return Event(name=name, key=key or "", payload=payload, namespace="", source="")
