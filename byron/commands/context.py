"""What a command is given: the Cache's models, a way to emit, who is asking."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
from django.apps import apps
from django.db import models
from django.http import HttpRequest

from byron.cache.fields import VersionField
from byron.commands.claims import Claims
from byron.commands.hints import Hinting, Models
from byron.commands.idempotency import Attempt
from byron.commands.unwritten import Function, note_unwritten
from byron.events.clock import now
from byron.events.event import Event
from byron.events.ids import entity_id, new_id
from byron.events.payloads import PayloadCodec
from byron.exceptions import EventError
from byron.schema import names
from byron.schema.installed import ComponentConfig

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]

_EVENT_NAME = re.compile(names.EVENT_PATTERN)


def component_models(config: ComponentConfig) -> Models:
    """Return a component's models by the names that schema.yaml gives them: `db.Student`."""
    return Models(**{name: apps.get_model(config.label, name) for name in config.component.types})


def attributes_of(entity: models.Model) -> dict[str, Any]:
    """Return what a payload says of an entity: every attribute, references as ids."""
    fields = (field for field in entity._meta.concrete_fields if not isinstance(field, VersionField))
    return {field.name: getattr(entity, field.attname) for field in fields}


def new_event(
    config: ComponentConfig,
    payloads: PayloadCodec,
    name: str,
    payload: Mapping[str, Any] | models.Model,
    *,
    key: str | None = None,
    **origin: Any,
) -> Event:
    """Return an event of a component, its key taken from the payload unless it is given.

    `origin` is what else the event tells of where it comes from: `correlation_id`, `causation_id`, `id`...
    Raises EventError when the payload has no key, and for a name that schema.yaml could not declare.
    """
    if not _EVENT_NAME.fullmatch(name):
        raise EventError(f"{name!r} cannot name an event: use words joined by dots, such as new.student.")
    # What the caller does with its lists afterwards, an after hook with an answer's for one, is not in the event.
    content = attributes_of(payload) if isinstance(payload, models.Model) else dict(payload)
    try:
        content = {attribute: _copied(value) for attribute, value in content.items()}
    except RecursionError as error:
        raise EventError(f"The payload of {name} is nested too deeply.") from error
    return Event(
        name=name,
        key=payloads.key(name, content) if key is None else key,
        payload=content,
        namespace=config.component.namespace,
        source=config.component.name,
        version=payloads.version(name),
        **origin,
    )


def _shown(value: Any) -> str:
    """Return a value as clients write it."""
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode().strip('"')


def _copied(value: Any) -> Any:
    """Return JSON's containers anew, whatever is in them as it is: `copy.deepcopy` takes several times as long."""
    if type(value) is dict:
        return {name: _copied(each) for name, each in value.items()}
    return [_copied(each) for each in value] if type(value) is list else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Context(Hinting):
    """The first argument of a command and of its hooks."""

    #: The component's models, read-only here: `ctx.db.Student.objects.filter(...)`.
    db: SimpleNamespace
    #: A logger named after the component and the command.
    log: logging.Logger
    #: Who asks: a `byron.commands.user.User` when a token says so, what Django's middleware set where tokens are
    #: not looked at, or None.
    user: Any = None
    #: The HTTP request, or None when there is none.
    request: HttpRequest | None = None
    config: ComponentConfig
    payloads: PayloadCodec
    #: The command's name in schema.yaml.
    command: str
    claims: Claims
    #: What the request's Idempotency-Key comes to, if it has one.
    attempt: Attempt | None = None
    correlation_id: str = field(default_factory=new_id)
    traceparent: str | None = None
    #: The attributes that the client asks for of what the command returns, in Python's names; empty when unknown.
    columns: Collection[str] = ()
    #: What was emitted so far. Nothing of it is published until the command and its hooks have returned.
    emitted: list[Event] = field(default_factory=list)

    @staticmethod
    def uuid() -> str:
        """Return a fresh id for an entity: a version 7 UUID, so that ids sort by age. A test may choose them."""
        return entity_id()

    @staticmethod
    def now() -> datetime:
        """Return the time, with its zone. A test may stop it."""
        return now()

    def unwritten(self) -> None:
        """Say in the log that the hook at work, or the command itself, does nothing yet, as generated hooks do.

        `component.examples()` tells it.
        """
        note_unwritten(self.log, Function(kind="command", name=self.command), self.command, self.command)

    def claim(self, name: str, value: Any, *, id: str | None = None, message: str = "") -> None:
        """Make sure that no other mutation gets this value of a name, until the Cache tells who has it.

        `name` is a type's attribute, as in "Student.name", or any other text. An attribute's value is also looked for
        in the Cache, among the entities other than `id`. For any other name, ask the Cache after the claim, not before.
        None is no value, and free for all.
        `id` says for which entity the value is: that one may have it already, and may claim it again. Claims are given
        back when the command emits nothing or fails. `message` is what the client is told when another has the
        value; by default the name and the value. Raises CommandError with code CONFLICT when another has the
        value, and with CACHE_BEHIND when the Sink is too far behind to tell; LookupError for an attribute that the
        type does not have; TypeError for a value that is no text, number, date, time or UUID.
        """
        if value is None:
            return
        kind, _, attribute = name.partition(".")
        entity = self.config.component.types.get(kind)
        if entity is None:
            self.claims.take(name, value, id, lambda: False, message or f'{name} "{_shown(value)}" is taken.')
            return
        if attribute not in entity.attribute:
            raise LookupError(
                f"{kind} has no attribute {attribute!r}; schema.yaml declares {', '.join(entity.attribute)}"
            )
        model: type[models.Model] = getattr(self.db, kind)
        column = entity.attribute[attribute].python_name
        others = model._default_manager.filter(**{column: value})
        self.claims.take(
            name,
            cast("_Field", model._meta.get_field(column)).to_python(value),
            id,
            (others if id is None else others.exclude(pk=id)).exists,
            message or f'{kind} with {attribute} "{_shown(value)}" already exists.',
        )

    def emit(self, name: str, payload: Mapping[str, Any] | models.Model, *, key: str | None = None) -> Event:
        """Emit an event once the command has returned.

        The payload is a mapping, or an entity that carries its attributes: `ctx.db.Student(id=ctx.uuid(),
        name=name)`. The key, which keeps events in order, is the payload's `id` unless schema.yaml or
        `key` names another. Raises EventError when the payload has no key, and for a name that schema.yaml
        could not declare.
        """
        # All runs of one mutation give their first event this id, so the log takes it from one of them.
        fixed = {"id": self.attempt.first_id} if self.attempt is not None and not self.emitted else {}
        event = new_event(
            self.config,
            self.payloads,
            name,
            payload,
            key=key,
            correlation_id=self.correlation_id,
            traceparent=self.traceparent,
            **fixed,
        )
        self.emitted.append(event)
        return event
