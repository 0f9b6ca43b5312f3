"""Events to changes of the Cache, inside the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from django.db import models

from byron.commands.context import component_models
from byron.commands.emissions import refuse_undeclared
from byron.commands.functions import HANDLERS, HOOKS, load_function
from byron.events.event import Event, StoredMessage
from byron.events.payloads import PayloadCodec
from byron.exceptions import EventError
from byron.schema.installed import ComponentConfig
from byron.schema.model import Handler, ObjectType
from byron.schema.names import snake_case
from byron.sink.context import HandlerContext
from byron.sink.guard import guarded
from byron.sink.outbox import Emission
from byron.sink.versions import Versions


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event, and the message that carried it."""

    message: StoredMessage
    event: Event


class Applier:
    """Apply events to one component's Cache by its handlers, written or declared."""

    def __init__(self, config: ComponentConfig, payloads: PayloadCodec) -> None:
        #: The handler at work; after an error, the one that failed.
        self.handler = ""
        #: What handlers emitted since the caller last took it away.
        self.emitted: list[Emission] = []
        self._config = config
        self._payloads = payloads
        self._db = component_models(config)
        self._versions = Versions(config)
        self._spellings = {name: _spellings(entity) for name, entity in config.component.types.items()}

    def apply(self, items: Sequence[Incoming], enough: Callable[[], bool] = lambda: False) -> int:
        """Apply events in order, until all are applied or it is enough, and return how many were.

        A run of plain creates of one type becomes one statement. Raises whatever a handler raises; the
        caller's transaction is to be rolled back then.
        """
        self._versions.forget()
        self.handler = ""
        done = self._apply(items, enough)
        self._versions.store()
        return done

    def _apply(self, items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
        done = 0
        for handler, run in groupby(items, key=self._bulk_handler):
            if handler is not None:
                events = [item.event for item in run]
                self._create(handler, events)
                done += len(events)
            else:
                for item in run:
                    self._handle(item)
                    done += 1
                    if enough():
                        return done
            if enough():
                return done
        return done

    def _bulk_handler(self, item: Incoming) -> Handler | None:
        """Return the handler that plainly creates of an event, when nothing else reacts to it."""
        handlers = self._config.component.handlers.get(item.event.name, ())
        if len(handlers) != 1:
            return None
        handler = handlers[0]
        plain = not handler.hooks.before and not handler.hooks.after
        return handler if plain and handler.apply and handler.apply.create else None

    def _handle(self, item: Incoming) -> None:
        event = item.event
        self._versions.see(event)
        for handler in self._config.component.handlers.get(event.name, ()):
            self.handler = handler.name
            context = HandlerContext(
                db=self._db,
                log=logging.getLogger(f"{self._config.name}.{handler.python_name}"),
                config=self._config,
                payloads=self._payloads,
                handler=handler.name,
                event=event,
            )
            with guarded(self._config.alias):
                self._run(handler, context, event)
            refuse_undeclared(handler, context.emitted)
            self.emitted += [
                Emission(cause=item.message, message=self._payloads.write(emitted)) for emitted in context.emitted
            ]

    def _run(self, handler: Handler, context: HandlerContext, event: Event) -> None:
        for hook in handler.hooks.before:
            load_function(self._config, HOOKS, hook)(context, event)
        if handler.apply is None:
            load_function(self._config, HANDLERS, handler.name)(context, event)
            self._versions.see(event)
        else:
            self._apply_declared(handler, event)
        for hook in handler.hooks.after:
            load_function(self._config, HOOKS, hook)(context, event)
            self._versions.see(event)

    def _apply_declared(self, handler: Handler, event: Event) -> None:
        if handler.apply is None:
            return
        target, operation = handler.apply.target, handler.apply.operation
        if operation == "create":
            self._create(handler, [event])
            return
        manager = self._model(target)._default_manager
        identity = _identity(event)
        rows = manager.filter(pk=identity)
        given = self._attributes(target, event) | self._versions.of_row(target, identity, event)
        if operation == "delete":
            rows.delete()
        elif operation == "update" or rows.select_for_update().exists():
            rows.update(**given) if given else None
        else:
            # What is missing of a new entity is null, and refused where it is required: Django has "" for texts.
            attributes = self._config.component.types[target].attributes
            missing = {attribute.python_name: None for attribute in attributes if attribute.default is None}
            manager.create(pk=identity, **missing | given)

    def _create(self, handler: Handler, events: Sequence[Event]) -> None:
        """Store whole entities, replacing those that are there: applying twice is applying once."""
        self.handler = handler.name
        target = handler.apply.target if handler.apply else ""
        is_unique = any(attribute.unique for attribute in self._config.component.types[target].attributes)
        # One statement cannot touch a row twice: of several events about one entity the last one counts.
        rows: dict[str, dict[str, Any]] = {}
        versions: dict[str, dict[str, int]] = {}
        columns: tuple[str, ...] = ()
        for event in events:
            self._versions.see(event)
            identity = _identity(event)
            version = self._versions.of_row(target, identity, event)
            if is_unique and rows and (identity in rows or tuple(version) != columns):
                # Whether a value is another entity's is decided event by event, wherever a run begins and ends.
                self._replace(target, rows, versions)
                rows, versions = {}, {}
            columns = tuple(version)
            rows[identity] = self._attributes(target, event)
            # An event of another key leaves a version as it is, in the Cache too.
            versions[identity] = version or versions.get(identity, {})
        self._replace(target, rows, versions)

    def _replace(
        self, target: str, rows: Mapping[str, Mapping[str, Any]], versions: Mapping[str, Mapping[str, int]]
    ) -> None:
        """Store these rows, in a statement for those that have a version and one for those without."""
        model = self._model(target)
        names = [attribute.python_name for attribute in self._config.component.types[target].attributes]
        for columns in dict.fromkeys(map(tuple, versions.values())):
            made = [
                model(pk=identity, **row, **versions[identity])
                for identity, row in rows.items()
                if tuple(versions[identity]) == columns
            ]
            # using(): Django asks the router to read before it knows that this is a write.
            model._default_manager.using(self._config.alias).bulk_create(
                made, update_conflicts=True, unique_fields=["id"], update_fields=[*names, *columns]
            )

    def _attributes(self, target: str, event: Event) -> dict[str, Any]:
        """Return what an event says of an entity, by the attributes' names in Python."""
        payload = event.payload
        return {python_name: payload[name] for python_name, name in self._spellings[target] if name in payload}

    def _model(self, name: str) -> type[models.Model]:
        model: type[models.Model] = getattr(self._db, name)
        return model


def _identity(event: Event) -> str:
    identity = event.payload.get("id")
    if not isinstance(identity, str) or not identity:
        raise EventError(f"Event {event.id} ({event.name}) has no id in its payload, so no entity to be about.")
    return identity


def _spellings(entity: ObjectType) -> Sequence[tuple[str, str]]:
    """Return each attribute's Python name with the names that a payload may have for it, the preferred one last."""
    spellings = []
    for attribute in entity.attributes:
        old = [name for each in reversed(attribute.renamed_from) for name in (each, snake_case(each))]
        names = dict.fromkeys((*old, attribute.name, attribute.python_name))
        spellings += [(attribute.python_name, name) for name in names]
    return spellings
