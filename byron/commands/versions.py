"""Versions: a command with `version: true` changes what its client has seen, or nothing.

An entity's version is the position of the last event **that this component handles** and whose key is the entity's id;
0 without one. The Sink stores it with the entity, in the transaction of the event's effect, so whoever reads an entity
from the Cache has a state and the version of just that state.

1. Before the command runs, the Cache must be at the version given. If it is further, the client has seen less than the
   command would build upon; if it is not there yet, the command would see less than the client.
2. The events are published on the condition that the version given is the last position of the entity's key. The broker
   compares and stores in one step, so of any number of commands at any number of processes one passes.
3. Events that this component does not handle change no version, but they do change the key's last position. When the
   broker refuses, the command asks for the last position, and *then* whether one of the events up to there is handled.
   If none is, that position is as good as the version, and is what the next try expects. In this order: what comes
   after the first question makes the next try refused as well.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from django.apps import apps
from django.db import models

from byron.broker.base import Acknowledgement, Broker, Expected
from byron.cache.applied import Standing, standing_of
from byron.cache.parked import is_discarded
from byron.events.event import Event, Message
from byron.events.subjects import slot_of
from byron.exceptions import BrokerUnavailableError, CommandError, ContractError, StaleVersionError
from byron.schema.installed import ComponentConfig
from byron.schema.model import Command
from byron.schema.reads import VERSION

_VERSION = re.compile("[0-9]{1,18}")

#: Publishes of one command, at most: each but the first because of an event that is not handled here.
_TRIES = 5


class OvertakenError(CommandError):
    """CONFLICT because of an event that the Cache may not have applied yet: whoever reads again can wait for it."""

    def __init__(self, message: str, event: Event) -> None:
        super().__init__(message, code="CONFLICT")
        self.event = event


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLock:
    """What one run of a command is to find unchanged; without a key, nothing."""

    config: ComponentConfig
    command: Command
    key: str | None = None
    version: int = 0

    @classmethod
    def of(cls, config: ComponentConfig, command: Command, arguments: Mapping[str, Any]) -> VersionLock:
        """Return the lock that a command's arguments ask for.

        Raises CommandError with code BAD_USER_INPUT for a version that no entity can have.
        """
        if not command.version:
            return cls(config=config, command=command)
        given = str(arguments[VERSION])
        if not _VERSION.fullmatch(given):
            raise CommandError(f'version is "{given}"; send one that you got as a version.', code="BAD_USER_INPUT")
        return cls(config=config, command=command, key=str(arguments["id"]), version=int(given))

    @property
    def _entity(self) -> str:
        return f'{self.command.return_type.name} "{self.key}"'

    def require_seen(self) -> None:
        """Raise CommandError when the Cache has another version, with CONFLICT or CACHE_BEHIND."""
        if self.key is None:
            return
        rows = _model(self.config, self.command)._default_manager.filter(pk=self.key)
        standing = rows.values_list(VERSION, flat=True).first()
        if standing is None or standing == self.version:
            # What is to be done about an entity that is not there is for the command to say.
            return
        if standing > self.version:
            raise self._conflict()
        positions = {self.version: slot_of(self.key)}
        if standing_of(self.config.alias, self.config.consumer_name, positions) is Standing.APPLIED:
            # Asked again: the event may have been applied after the first look.
            if rows.values_list(VERSION, flat=True).first() in (None, self.version):
                return
            # What is there is of another entity, or was discarded: it never comes.
            raise self._conflict()
        raise CommandError(
            f"This component has not applied version {self.version} of {self._entity} yet; nothing was changed. Send "
            "the receipt of what changed it in the header Byron-After, which waits for it, or try again in a moment.",
            code="CACHE_BEHIND",
        )

    def require_events(self, events: Sequence[Event]) -> None:
        """Raise ContractError when what is emitted does not concern the entity, so that nothing can be compared."""
        if self.key is None or not events or any(event.key == self.key for event in events):
            return
        emitted = ", ".join(f"{event.name} of key {event.key!r}" for event in events)
        raise ContractError(
            f"{self.command.name} takes the version of {self._entity}, so one of the events that it emits must have "
            f"that id as its key; it emitted {emitted}. Nothing was published."
        )

    def publish(
        self, broker: Broker, messages: Sequence[Message], timeout: float, *, only_whole: bool
    ) -> list[Acknowledgement]:
        """Publish as `Broker.publish` does, on the condition that the version is the last one.

        Raises CommandError with code CONFLICT when it is not; nothing was published then. It is an OvertakenError when
        the event that was in between is known.
        """
        if self.key is None:
            return broker.publish(messages, timeout, only_whole=only_whole)
        deadline = monotonic() + timeout
        position = self.version
        for _ in range(_TRIES):
            left = deadline - monotonic()
            if left <= 0:
                raise BrokerUnavailableError("The broker took too long to tell what changed; nothing was published.")
            try:
                expected = Expected(key=self.key, position=position)
                return broker.publish(messages, left, only_whole=only_whole, expected=expected)
            except StaleVersionError:
                last = broker.last_of(self.key)
                if last < position:
                    break
                change = self._change(broker, position)
                if change is not None:
                    raise OvertakenError(self._conflict().message, change) from None
                position = last
        raise self._conflict()

    def _change(self, broker: Broker, after: int) -> Event | None:
        """Return the first event about the entity, beyond a position, that the Cache applies or will apply.

        Without what was in it: a receipt needs none of that.
        """
        component, key = self.config.component, self.key or ""
        found = broker.first_of(key, component.handlers, after)
        while found is not None and is_discarded(self.config.alias, self.config.consumer_name, found[0]):
            found = broker.first_of(key, component.handlers, found[0])
        if found is None:
            return None
        return Event(
            name=found[1],
            key=key,
            payload={},
            namespace=component.namespace,
            source=component.name,
            position=found[0],
        )

    def _conflict(self) -> CommandError:
        message = f"{self._entity} has changed since version {self.version}; read it again. Nothing was changed."
        return CommandError(message, code="CONFLICT")

    def fresh(self, value: Any, events: Sequence[Event], columns: Collection[str]) -> frozenset[str]:
        """Return the ids of those returned entities whose state is known to be that of their last event.

        It is so for the entity that was locked, and for new ones. Any other may have been changed by somebody else
        between what the command has read and what it emits, and the client would not have seen that. To be asked before
        the events are published, since new is what the Cache does not have. Only when `version` is among the columns
        that the client asks for, the Cache is looked at.
        """
        if self.key is not None:
            return frozenset([self.key])
        if not events or VERSION not in columns or self.command.return_type.name not in self.config.component.versioned:
            return frozenset()
        keys = {event.key for event in events}
        made = {_identity(each) for each in _entities(value) if not _is_read(each)} & keys
        if made and not (self.command.emit is not None and self.command.emit.operation == "create"):
            rows = _model(self.config, self.command)._default_manager.filter(pk__in=made)
            made.difference_update(rows.values_list("pk", flat=True))
        return frozenset(made)

    def with_versions(self, value: Any, fresh: Collection[str], events: Sequence[Event]) -> Any:
        """Return what a command returned, with new versions for these entities."""
        handled = self.config.component.handlers
        new = {each.key: each.position for each in events if each.name in handled and each.key in fresh}
        if not new:
            return value
        if isinstance(value, list | tuple):
            return [_with_version(each, new) for each in value]
        return _with_version(value, new)


def version_of(entity: Any) -> str:
    """Return an entity's version as clients get it: opaque text, since GraphQL's Int has 32 bits."""
    found = entity.get(VERSION) if isinstance(entity, Mapping) else getattr(entity, VERSION, None)
    return str(found or 0)


def _entities(value: Any) -> Sequence[Any]:
    return [each for each in (value if isinstance(value, list | tuple) else [value]) if each is not None]


def _identity(entity: Any) -> str:
    return str(entity.get("id") if isinstance(entity, Mapping) else entity.pk)


def _is_read(entity: Any) -> bool:
    """Whether an entity comes from the Cache, and so has a version that goes with its state."""
    if isinstance(entity, models.Model):
        return not entity._state.adding
    return VERSION in entity


def _with_version(entity: Any, new: Mapping[str, int | None]) -> Any:
    if entity is None or _identity(entity) not in new:
        return entity
    position = new[_identity(entity)]
    if isinstance(entity, Mapping):
        return {**entity, VERSION: position}
    setattr(entity, VERSION, position)
    return entity


def _model(config: ComponentConfig, command: Command) -> type[models.Model]:
    return apps.get_model(config.label, command.return_type.name)
