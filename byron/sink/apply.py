"""Events to changes of the Cache, inside the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from django.db import models

from byron.commands.context import component_models
from byron.commands.functions import HANDLERS, HOOKS, load_function
from byron.events.event import Event
from byron.exceptions import EventError
from byron.schema.installed import ComponentConfig
from byron.schema.model import Handler, ObjectType
from byron.sink.context import HandlerContext


class Applier:
    """Apply events to one component's Cache by its handlers, written or declared."""

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config
        self._db = component_models(config)

    def apply(self, events: Sequence[Event]) -> None:
        """Apply events in order. A run of plain creates of one type becomes one statement.

        Raises whatever a handler raises; the caller's transaction is to be rolled back then.
        """
        for bulk, run in groupby(events, key=self._bulk_target):
            if bulk is None:
                for event in run:
                    self._handle(event)
            else:
                self._create(bulk, list(run))

    def _bulk_target(self, event: Event) -> str | None:
        """Return the type that an event plainly creates, when nothing else reacts to it."""
        handlers = self._config.component.handlers.get(event.name, ())
        if len(handlers) != 1:
            return None
        handler = handlers[0]
        plain = not handler.hooks.before and not handler.hooks.after
        return handler.apply.create if plain and handler.apply else None

    def _handle(self, event: Event) -> None:
        for handler in self._config.component.handlers.get(event.name, ()):
            context = HandlerContext(
                db=self._db,
                log=logging.getLogger(f"{self._config.name}.{handler.python_name}"),
                config=self._config,
            )
            for hook in handler.hooks.before:
                load_function(self._config, HOOKS, hook)(context, event)
            if handler.apply is None:
                load_function(self._config, HANDLERS, handler.name)(context, event)
            else:
                self._apply_declared(handler, event)
            for hook in handler.hooks.after:
                load_function(self._config, HOOKS, hook)(context, event)

    def _apply_declared(self, handler: Handler, event: Event) -> None:
        if handler.apply is None:
            return
        target, operation = handler.apply.target, handler.apply.operation
        if operation == "create":
            self._create(target, [event])
            return
        manager = self._model(target)._default_manager
        identity = _identity(event)
        given = dict(_attributes(self._config.component.types[target], event.payload))
        if operation == "delete":
            manager.filter(pk=identity).delete()
        elif operation == "update":
            manager.filter(pk=identity).update(**given) if given else None
        else:
            manager.update_or_create(pk=identity, defaults=given)

    def _create(self, target: str, events: Sequence[Event]) -> None:
        """Store whole entities, replacing those that are there: applying twice is applying once."""
        model, entity = self._model(target), self._config.component.types[target]
        # One statement cannot touch a row twice: of several events about one entity the last one counts.
        rows = {_identity(event): dict(_attributes(entity, event.payload)) for event in events}
        names = [attribute.python_name for attribute in entity.attributes]
        # using(): Django asks the router to read before it knows that this is a write.
        model._default_manager.using(self._config.alias).bulk_create(
            [model(pk=identity, **row) for identity, row in rows.items()],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=names,
        )

    def _model(self, name: str) -> type[models.Model]:
        model: type[models.Model] = getattr(self._db, name)
        return model


def _identity(event: Event) -> str:
    identity = event.payload.get("id")
    if not isinstance(identity, str) or not identity:
        raise EventError(f"Event {event.id} ({event.name}) has no id in its payload, so no entity to be about.")
    return identity


def _attributes(entity: ObjectType, payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give what a payload says of an entity, under either spelling of a name."""
    for attribute in entity.attributes:
        for name in (attribute.python_name, attribute.name):
            if name in payload:
                yield attribute.python_name, payload[name]
                break
