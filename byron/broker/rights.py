"""What each process of a system may do at the broker, as its components' schema.yaml say: subjects, and nothing else.

Three kinds of roles. An **API** publishes the events that its commands emit, claims values and hears its own Sink's
signals. A **Sink** reads by consumers that are prepared for it, which show it the events that its component handles,
and publishes those that its handlers emit. The **admin** makes log, bucket and consumers, and may read all. Nobody may
delete, purge or change a stream.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from byron.events.subjects import (
    SLOTS,
    applied_topic,
    claim_subject,
    claims_stream,
    event_filters,
    lane_reader,
    lane_slots,
    rebuild_reader,
    search_reader,
    signal_subject,
    stream_name,
)
from byron.schema.model import Component
from byron.schema.names import snake_case

ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployable:
    """Components that run together, in the processes of one project."""

    name: str
    components: tuple[Component, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One user of the broker, and the subjects that it may use besides its own inbox."""

    name: str
    title: str
    #: Those on which it may publish: events, claims, and requests to JetStream.
    publish: tuple[str, ...]
    #: Those on which it tells the API beside it that its Cache has moved on.
    signals: tuple[str, ...] = ()
    #: Those on which it hears that, and the role that tells it.
    hears: tuple[str, ...] = ()
    hears_from: str = ""

    @property
    def is_admin(self) -> bool:
        return self.name == ADMIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A consumer that is prepared for a Sink: the events that it reads, in these slots."""

    name: str
    events: tuple[str, ...]
    slots: Sequence[int] = field(default=range(SLOTS))


def roles_of(namespace: str, deployables: Iterable[Deployable], lanes: int) -> list[Role]:
    """Return the roles of a system: the admin, and an API and a Sink for each deployable."""
    roles = [_admin(namespace)]
    for deployable in deployables:
        roles.append(_api(namespace, deployable))
        if any(component.handlers for component in deployable.components):
            roles.append(_sink(namespace, deployable, lanes))
    return roles


def readers_of(component: Component, lanes: int) -> list[Reader]:
    """Return the consumers that a component's Sink reads by, with this many lanes."""
    events = tuple(component.handlers)
    if not events:
        return []
    consumer = snake_case(component.name)
    # A Cache on SQLite has one lane, whatever the settings say.
    counts = sorted({1, lanes})
    return [
        *(
            Reader(name=lane_reader(consumer, number, count), events=events, slots=lane_slots(number, count))
            for count in counts
            for number in range(count)
        ),
        Reader(name=rebuild_reader(consumer), events=events),
    ]


def _api(namespace: str, deployable: Deployable) -> Role:
    stream, claims = stream_name(namespace), claims_stream(namespace)
    publish = [_api_call("STREAM.INFO", stream)]
    for component in deployable.components:
        publish += event_filters(namespace, component.emitted_by_commands, range(SLOTS))
    if any(command.type == "mutation" for each in deployable.components for command in each.content.commands):
        # Whether a value is free depends on how far the Cache is behind the log, which is asked by position.
        publish.append(_api_call("STREAM.MSG.GET", stream))
        publish.append(claim_subject(namespace, "*"))
        publish += [_api_call(verb, claims) for verb in ("STREAM.INFO", "STREAM.MSG.GET", "STREAM.MSG.DELETE")]
    return Role(
        name=f"{deployable.name}-api",
        title=f"API of {_names(deployable)}",
        publish=_ordered(publish),
        hears=_signals(namespace, deployable),
        hears_from=f"{deployable.name}-sink",
    )


def _sink(namespace: str, deployable: Deployable, lanes: int) -> Role:
    stream = stream_name(namespace)
    publish = [_api_call("STREAM.INFO", stream)]
    for component in deployable.components:
        publish += event_filters(namespace, component.emitted_by_handlers, range(SLOTS))
        for reader in readers_of(component, lanes):
            publish += _reading(stream, reader.name)
            publish.append(_api_call("CONSUMER.RESET", stream, reader.name))
            if component.emitted_by_handlers:
                publish += _searching(namespace, search_reader(reader.name), component.emitted_by_handlers)
    return Role(
        name=f"{deployable.name}-sink",
        title=f"Sink of {_names(deployable)}",
        publish=_ordered(publish),
        signals=_signals(namespace, deployable),
    )


def _signals(namespace: str, deployable: Deployable) -> tuple[str, ...]:
    handling = (component for component in deployable.components if component.handlers)
    return _ordered(signal_subject(namespace, applied_topic(snake_case(each.name))) for each in handling)


def _reading(stream: str, reader: str) -> list[str]:
    return [
        _api_call("CONSUMER.INFO", stream, reader),
        _api_call("CONSUMER.MSG.NEXT", stream, reader),
        f"$JS.ACK.{stream}.{reader}.>",
        # As servers in a domain, and all newer ones some day, write it.
        f"$JS.ACK.*.*.{stream}.{reader}.>",
    ]


def _searching(namespace: str, reader: str, events: Sequence[str]) -> list[str]:
    """Return what it takes to look whether the log holds an event that this Sink itself emitted."""
    stream = stream_name(namespace)
    filters = event_filters(namespace, events, range(SLOTS))
    return [
        *(_api_call("CONSUMER.CREATE", stream, reader, each) for each in filters),
        _api_call("CONSUMER.MSG.NEXT", stream, reader),
        _api_call("CONSUMER.DELETE", stream, reader),
    ]


def _admin(namespace: str) -> Role:
    stream, claims = stream_name(namespace), claims_stream(namespace)
    return Role(
        name=ADMIN,
        title="Whoever makes the log, the claims' bucket and the readers of Sinks; `manage.py events`",
        publish=_ordered(
            [
                *(_api_call(verb, each) for each in (stream, claims) for verb in ("STREAM.CREATE", "STREAM.INFO")),
                _api_call("STREAM.MSG.GET", stream),
                _api_call("CONSUMER.CREATE", stream, "*"),
                _api_call("CONSUMER.DELETE", stream, "*"),
                _api_call("CONSUMER.INFO", stream, "*"),
                _api_call("CONSUMER.NAMES", stream),
                _api_call("CONSUMER.LIST", stream),
            ]
        ),
    )


def _api_call(*parts: str) -> str:
    return ".".join(("$JS.API", *parts))


def _names(deployable: Deployable) -> str:
    return ", ".join(component.name for component in deployable.components)


def _ordered(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(subjects)))
