"""What came of a command, or of an event that arrived: told from all else that is in the log by its causes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from byron.events.event import Event
from byron.schema.model import Component, Handler


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


def whereabouts(
    missing: Collection[str],
    emitted: Iterable[Event],
    since: Iterable[Event],
    component: Component,
    *,
    is_settled: bool,
) -> Iterator[str]:
    """Say where events are that a scenario misses, by their names: those of handlers, and those of other components.

    `emitted` is what counts in the scenario by now, `since` all that came into the log meanwhile.
    """
    causes = dict.fromkeys(
        event.name
        for event in emitted
        for handler in component.handlers.get(event.name, ())
        if _may_emit(handler, missing)
    )
    if causes and not is_settled:
        yield f"What handlers of {', '.join(causes)} emit counts once it is settled: write `.settled().then(…)`."
    others = {(event.name, event.source) for event in since if event.name in missing and event.source != component.name}
    for name, source in sorted(others):
        yield f"{source} emitted {name}; `then` is about {component.name} alone: `system.events` has all."


def _may_emit(handler: Handler, names: Collection[str]) -> bool:
    """Whether a handler may emit some of these events, as far as schema.yaml tells."""
    # One that emits what it handles hardly ends.
    others = set(names) - {handler.event}
    if handler.emits is not None:
        return not others.isdisjoint(handler.emits)
    has_function = handler.apply is None or bool(handler.hooks.before or handler.hooks.after)
    return bool(others) and has_function
