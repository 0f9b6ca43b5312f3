"""The components of a system by their names, `system.auth`, `system["auth"]`, and how one of them is down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Generic, TypeVar

from byron.events.codec import decode
from byron.events.event import Event, StoredMessage
from byron.events.payloads import PayloadCodec
from byron.schema.installed import ComponentConfig
from byron.schema.problems import did_you_mean

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

C = TypeVar("C")


class Outage(AbstractContextManager[None]):
    """A component is down inside of `with`, and there alone."""

    def __init__(self, label: str, away: AbstractContextManager[None]) -> None:
        self.label = label
        #: Whether it has begun, be it over or not.
        self.is_entered = False
        self._away = away

    def __enter__(self) -> None:
        self.is_entered = True
        self._away.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._away.__exit__(kind, error, trace)


class Members(Generic[C]):
    """Components by their labels, as attributes and as items; one that is not there is an error that lists them."""

    def __init__(self, members: Mapping[str, C]) -> None:
        self._members = dict(members)
        self._outages: list[Outage] = []

    def __getitem__(self, label: str) -> C:
        self._require(label)
        return self._members[label]

    def __getattr__(self, name: str) -> C:
        # Asked only for what is no attribute. Names of Python's own are no component's, as when this is copied.
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except LookupError as error:
            each = next(iter(self._members), "")
            hint = f" Ask one of them: system.{each}.{name}(…)" if hasattr(next(iter(self), None), name) else ""
            raise AttributeError(f"{error}{hint}") from None

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), *self._members]

    def __iter__(self) -> Iterator[C]:
        return iter(self._members.values())

    def _outage(self, label: str, away: AbstractContextManager[None]) -> Outage:
        outage = Outage(label, away)
        self._outages.append(outage)
        return outage

    def _require(self, label: str) -> None:
        if label not in self._members:
            hint = did_you_mean(label, self._members) or "."
            known = ", ".join(self._members)
            raise LookupError(f"There is no component {label!r} in this project{hint} There are: {known}.")


def never_begun(system: Members[C]) -> Iterator[str]:
    """Say of which components a test has only seemed to have them down."""
    for outage in system._outages:
        if not outage.is_entered:
            yield f'system.down("{outage.label}") did nothing: write `with system.down("{outage.label}"):`'


def event_names(configs: Iterable[ComponentConfig]) -> set[str]:
    """Return the names of the events that some of these components handle or declare."""
    return {name for config in configs for name in (*config.component.handlers, *config.component.events)}


class Reader:
    """Reads the messages of the log as the component that emitted them declares their payloads."""

    def __init__(self, configs: Iterable[ComponentConfig]) -> None:
        self._codecs = {
            (config.component.namespace.lower(), config.component.name): PayloadCodec(config.component)
            for config in configs
        }

    def read(self, message: StoredMessage) -> Event:
        """Return the event that a message carries. Raises EventError."""
        event = decode(message)
        codec = self._codecs.get((event.namespace.lower(), event.source))
        return codec.read(message) if codec else event
