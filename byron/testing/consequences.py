"""What came of a command, or of an event that arrived: told from all else that is in the log by its causes."""

from __future__ import annotations

from collections.abc import Iterable

from byron.events.event import Event


def consequences(
    events: Iterable[Event], component: str, *, arrived: str | None, by_command: int, is_settled: bool
) -> list[Event]:
    """Return what a component emitted of these events because of an event that arrived, by its id, or of a command.

    A command, for which `arrived` is None, emits without a cause, and by the time that it has returned: among the
    first, so many, of these events. What handlers made of that counts when it is settled. On real processes handlers
    run at any time, and other components answer: neither changes what a command emitted.
    """
    causes = set() if arrived is None else {arrived}
    found = []
    for place, event in enumerate(events):
        if event.source != component:
            continue
        is_direct = arrived is None and event.causation_id is None and place < by_command
        is_by_handler = event.causation_id in causes and (is_settled or arrived is not None)
        if is_direct or is_by_handler:
            causes.add(event.id)
            found.append(event)
    return found
