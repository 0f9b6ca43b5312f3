"""What came of a command, or of an event that arrived: told from all else that is in the log by its causes."""

from __future__ import annotations

from collections.abc import Iterable

from byron.events.event import Event


def consequences(events: Iterable[Event], component: str, *, arrived: str | None, is_settled: bool) -> list[Event]:
    """Return what a component emitted of these events because of an event that arrived, by its id, or of a command.

    A command, for which `arrived` is None, emits without a cause; what handlers made of that counts when it is settled.
    On real processes handlers run at any time, and other components answer: neither changes what a command emitted.
    """
    causes = set() if arrived is None else {arrived}
    found = []
    for event in events:
        if event.source != component:
            continue
        by_command = arrived is None and event.causation_id is None
        by_handler = event.causation_id in causes and (is_settled or arrived is not None)
        if by_command or by_handler:
            causes.add(event.id)
            found.append(event)
    return found
