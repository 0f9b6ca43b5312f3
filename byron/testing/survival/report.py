"""What `component.survives` tells: what happened, what differs, and whose handlers may be at fault."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from byron.events.event import Message
from byron.events.subjects import decode_key, split_subject
from byron.schema.installed import ComponentConfig
from byron.testing.reports import cut
from byron.testing.survival.faults import label, listing
from byron.testing.survival.state import Difference, Outcome

SAME_AGAIN = "What happened: they were applied twice in the same way, without any fault, on two days."

CHANGING = """\
Usual causes: a handler that uses the time of the clock (use event.time), a random or fresh id (use event.key, or make
it of event.id), or what it remembers in a global."""

ACROSS = """\
Order is kept within a key only: with several lanes, and around an event that is set aside, events of other keys may be
first. What a handler emits comes into the log at any place after its cause, and positions are other ones then. A
component that is to run in one lane, and relates keys all the same, is tested without those by
survives(…, across_keys=False)."""

TWICE = """\
A handler may run twice for one event: when its transaction is rolled back, and when the Cache is built anew. Counting
by F() + 1 is fine, since the Cache holds each effect once. Usual causes: what it remembers in a global, what it writes
to another database or anywhere outside of the Cache, a random or fresh id, the time of the clock."""


def report(
    config: ComponentConfig,
    messages: Sequence[Message],
    found: Sequence[Difference],
    outcomes: Iterable[Outcome],
    *,
    happened: Sequence[str],
    hint: str,
) -> str:
    """Return what is told when given messages do not end the same. `outcomes` tell what was emitted besides."""
    events = [*map(_name_and_key, messages), *(event for outcome in outcomes for event in _emitted(outcome))]
    return "\n".join(
        [
            f"{config.component.name} does not end the same: {listing([label(message) for message in messages])}.",
            "",
            *happened,
            "",
            "What is not as when they are applied one by one, in this order:",
            *(f"  {line}" for line in cut([line for each in found for line in each.lines])),
            "",
            *_handlers(config, events, {each.key for each in found}),
            hint,
        ]
    )


def handlers_told(config: ComponentConfig, names: Iterable[str]) -> str:
    """Return the handlers of events of these names, in a sentence; none for none."""
    found = _described(config, dict.fromkeys(names))
    return f"The handlers of these events: {listing(found)}." if found else ""


def _handlers(config: ComponentConfig, events: Sequence[tuple[str, str]], keys: Collection[str]) -> Iterator[str]:
    """Give the handlers of events, told by name and key; those first that handle the ones of some keys."""
    there = list(dict.fromkeys(key for _, key in events if key in keys))
    first = dict.fromkeys(name for name, key in events if key in keys)
    others = dict.fromkeys(name for name, _ in events if name not in first)
    suspects, rest = _described(config, first), _described(config, others)
    if suspects and rest:
        yield f"The handlers of the events of {listing(there)}: {listing(suspects)}."
        yield f"Those of the others: {listing(rest)}."
    else:
        yield handlers_told(config, [*first, *others])


def _described(config: ComponentConfig, names: Iterable[str]) -> list[str]:
    """Return the handlers of events of these names: those that are written, with their files, before declared ones."""
    handlers = [handler for name in names for handler in config.component.handlers.get(name, ())]
    written = [
        f"{each.name} ({config.label}/sink/handlers/{each.python_name}.py)" for each in handlers if each.apply is None
    ]
    return [*written, *(each.name for each in handlers if each.apply is not None)]


def _name_and_key(message: Message) -> tuple[str, str]:
    _, _, key, name = split_subject(message.subject)
    return name, decode_key(key)


def _emitted(outcome: Outcome) -> Iterator[tuple[str, str]]:
    for place, events in outcome.emitted.items():
        yield from ((name, place[0]) for name, _ in events)
