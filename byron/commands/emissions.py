"""What a command or a handler emitted, held against the `emits:` of schema.yaml."""

from __future__ import annotations

from collections.abc import Iterable

from byron.events.event import Event
from byron.exceptions import ContractError
from byron.schema.model import Command, Handler


def refuse_undeclared(declared: Command | Handler, emitted: Iterable[Event]) -> None:
    """Raise ContractError for an event that is not in `emits:`, where there is one.

    A broker with rights made from schema.yaml would refuse it, too; this tells so while one develops without them.
    """
    if declared.emits is None:
        return
    allowed = declared.emitted if isinstance(declared, Command) else declared.emits
    for event in emitted:
        if event.name not in allowed:
            raise ContractError(
                f"{declared.name} emitted {event.name}, which is not in its `emits:` in schema.yaml; add it there."
            )
