"""What a log leaves behind: the rows of a Cache and what handlers emitted, to be compared."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from django.db import connections, models
from django.test.testcases import DatabaseOperationForbidden  # type: ignore[attr-defined]

from byron.cache.roles import Role, acting_as
from byron.events.codec import message_id
from byron.events.event import StoredMessage
from byron.events.subjects import decode_key, split_subject
from byron.models import Checkpoint, OutboxMessage, ParkedEvent, SinkMember
from byron.schema.installed import ComponentConfig, installed_components
from byron.schema.reads import VERSION
from byron.testing.reports import shown

_BYRONS = (Checkpoint, OutboxMessage, ParkedEvent, SinkMember)

Row = Mapping[str, Any]


class _LastPosition:
    """Stands for the position of the last event of a row's key, in whatever log."""

    def __repr__(self) -> str:
        return "the position of the last event"


_LAST = _LastPosition()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The rows of each table by their identities; what was emitted, names and payloads by key; what is parked."""

    rows: Mapping[str, Mapping[Any, Row]]
    emitted: Mapping[tuple[str, ...], Sequence[tuple[str, Any]]]
    #: Why events are parked, by their names and keys.
    parked: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not as it should be, as lines for people."""

    #: The key of the events that it is likely to have come of.
    key: str
    lines: Sequence[str]


def caches(config: ComponentConfig) -> list[ComponentConfig]:
    """Return the component and those of this project whose Caches the test may use as well."""
    others = [each for each in installed_components() if each is not config]
    return [config, *(each for each in others if _allowed(each.alias))]


def _allowed(alias: str) -> bool:
    try:
        connections[alias].ensure_connection()
        with connections[alias].cursor():
            return True
    except DatabaseOperationForbidden:
        return False


def tables_of(config: ComponentConfig) -> list[type[models.Model]]:
    """Return the models of a component's Cache, Byron's own included."""
    return [*_tables(config), *_BYRONS]


def remove_rows(config: ComponentConfig) -> None:
    """Remove all rows of a component's Cache."""
    for model in tables_of(config):
        models.QuerySet(model, using=config.alias)._raw_delete(config.alias)


def rows_of(configs: Sequence[ComponentConfig], messages: Sequence[StoredMessage]) -> dict[str, dict[Any, Row]]:
    """Return all rows of these components, by table and identity; tables of the others are told apart.

    Versions of the first one are positions of these messages, which are others in each log; so it is told of each
    whether it is that of the entity's last event.
    """
    found: dict[str, dict[Any, Row]] = {}
    last = _last_positions(configs[0], messages)
    with acting_as(Role.MAINTENANCE):
        for config in configs:
            for model in _tables(config):
                name = model.__name__ if config is configs[0] else f"{config.label}.{model.__name__}"
                rows: models.QuerySet[models.Model] = models.QuerySet(model, using=config.alias)
                key = model._meta.pk.attname
                found[name] = {row[key]: row for row in rows.order_by(key).values()}
                if name in config.component.versioned and config is configs[0]:
                    for identity, row in found[name].items():
                        if row[VERSION] == last.get(identity, 0):
                            found[name][identity] = {**row, VERSION: _LAST}
    return found


def _last_positions(config: ComponentConfig, messages: Sequence[StoredMessage]) -> dict[str, int]:
    """Return the position of the last event of each key that a component handles."""
    positions: dict[str, int] = {}
    for message in messages if config.component.versioned else ():
        _, _, key, event = split_subject(message.subject)
        if event in config.component.handlers:
            positions[decode_key(key)] = message.position
    return positions


def emissions(messages: Sequence[StoredMessage], given: Collection[str], *, by_cause: bool) -> dict[Any, Any]:
    """Return what was emitted, in the log's order for each key, or for each key and its cause's key."""
    keys = {message_id(message): decode_key(split_subject(message.subject)[2]) for message in messages}
    found: dict[tuple[str, ...], list[tuple[str, Any]]] = {}
    for message in messages:
        identity = message_id(message)
        if identity in given:
            continue
        cause = keys.get(message.headers.get("ce-causationid", ""), "")
        place = (keys[identity], cause) if by_cause else (keys[identity],)
        name = split_subject(message.subject)[3]
        found.setdefault(place, []).append((name, msgspec.json.decode(message.body)))
    return found


def differences(expected: Outcome, found: Outcome) -> list[Difference]:
    """Return in what one outcome is not as another; nothing when they are the same."""
    parked = [
        Difference(key=label.partition(" ")[2], lines=[f"{label} is not applied: {error}"])
        for label, error in found.parked.items()
    ]
    return [*parked, *_rows_differ(expected, found), *_emissions_differ(expected, found)]


def _rows_differ(expected: Outcome, found: Outcome) -> Iterator[Difference]:
    for table, wanted in expected.rows.items():
        there = found.rows[table]
        for identity in sorted({*wanted, *there}, key=str):
            if wanted.get(identity) != there.get(identity):
                lines = _row_differs(f"{table} {identity}", wanted.get(identity), there.get(identity))
                yield Difference(key=str(identity), lines=lines)


def _row_differs(name: str, wanted: Row | None, there: Row | None) -> list[str]:
    if wanted is None:
        return [f"{name}: not expected; found {shown(there)}"]
    if there is None:
        return [f"{name}: missing; expected {shown(wanted)}"]
    values = [
        f"    {column}: expected {shown(value)}, found {shown(there[column])}"
        for column, value in wanted.items()
        if value != there[column]
    ]
    return [f"{name}:", *values]


def _emissions_differ(expected: Outcome, found: Outcome) -> Iterator[Difference]:
    for place in sorted({*expected.emitted, *found.emitted}):
        wanted, there = list(expected.emitted.get(place, ())), list(found.emitted.get(place, ()))
        if wanted == there:
            continue
        about = f"emitted about {place[0]}" + (f", because of {place[1]}" if len(place) > 1 and place[1] else "")
        lines = [f"{about}:", f"    expected {_told(wanted)}", f"    found    {_told(there)}"]
        yield Difference(key=place[-1], lines=lines)


def _told(emitted: Sequence[tuple[str, Any]]) -> str:
    return "; ".join(f"{name} {shown(payload)}" for name, payload in emitted) or "nothing"


def _tables(config: ComponentConfig) -> list[type[models.Model]]:
    return [model for model in config.get_models(include_auto_created=True) if model._meta.managed]
