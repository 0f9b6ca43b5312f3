"""What declared handlers (`apply:`) do to the Cache: a run of events of one kind in few statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connections, models
from django.db.models.sql import UpdateQuery

from byron.commands.context import component_models
from byron.events.event import Event
from byron.exceptions import EventError
from byron.schema.installed import ComponentConfig
from byron.schema.model import Apply, ObjectType
from byron.schema.names import snake_case
from byron.sink.versions import Versions


class DeclaredChanges:
    """Creates, updates and deletes one component's entities as events say, inside the caller's transaction."""

    def __init__(self, config: ComponentConfig, versions: Versions) -> None:
        self._alias = config.alias
        self._types = config.component.types
        self._db = component_models(config)
        self._versions = versions
        self._spellings = {name: _spellings(entity) for name, entity in config.component.types.items()}

    def apply(self, what: Apply, events: Sequence[Event]) -> None:
        """Apply a run of events in order, as if one by one. Raises EventError, and the database's errors."""
        operation, target = what.operation, what.target
        if operation == "create":
            self._create(target, events)
        elif operation == "delete":
            self._delete(target, events)
        elif self._is_unique(target):
            # Whether a value is another entity's is decided event by event.
            for event in events:
                self._change(target, [event], creates=operation == "upsert")
        else:
            self._change(target, events, creates=operation == "upsert")

    def _create(self, target: str, events: Sequence[Event]) -> None:
        """Store whole entities, replacing those that are there: applying twice is applying once."""
        is_unique = self._is_unique(target)
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
        names = [attribute.python_name for attribute in self._types[target].attributes]
        for columns in dict.fromkeys(map(tuple, versions.values())):
            made = [
                model(pk=identity, **row, **versions[identity])
                for identity, row in rows.items()
                if tuple(versions[identity]) == columns
            ]
            self._rows(target).bulk_create(
                made, update_conflicts=True, unique_fields=["id"], update_fields=[*names, *columns]
            )

    def _delete(self, target: str, events: Sequence[Event]) -> None:
        gone = set()
        for event in events:
            self._versions.see(event)
            identity = _identity(event)
            self._versions.of_row(target, identity, event)
            gone.add(identity)
        self._rows(target).filter(pk__in=gone).delete()

    def _change(self, target: str, events: Sequence[Event], *, creates: bool) -> None:
        """Update entities by what events say of them; of those that are not there, make new ones, or nothing."""
        rows = self._rows(target)
        # This is a read that is part of a write.
        wanted = {_identity(event) for event in events}
        standing = (
            set(rows.filter(pk__in=wanted).select_for_update().values_list("pk", flat=True)) if creates else wanted
        )
        changes: dict[str, dict[str, Any]] = {}
        for event in events:
            self._versions.see(event)
            identity = _identity(event)
            given = self._attributes(target, event) | self._versions.of_row(target, identity, event)
            if identity in standing:
                changes.setdefault(identity, {}).update(given)
            else:
                rows.create(pk=identity, **self._missing(target) | given)
                standing.add(identity)
        self._update(target, {identity: given for identity, given in changes.items() if given})

    def _update(self, target: str, changes: Mapping[str, Mapping[str, Any]]) -> None:
        rows = self._rows(target)
        connection = connections[self._alias]
        if len(changes) < 2 or connection.vendor == "mongodb":
            for identity, given in changes.items():
                rows.filter(pk=identity).update(**given)
            return
        # Those that change the same columns differ in their values alone.
        alike: dict[str, list[Sequence[Any]]] = {}
        for identity, given in changes.items():
            query: Any = rows.filter(pk=identity).query.chain(UpdateQuery)
            query.add_update_values(given)
            statement, values = query.get_compiler(self._alias).as_sql()
            alike.setdefault(statement, []).append(values)
        with connection.cursor() as cursor:
            for statement, each in alike.items():
                cursor.executemany(statement, each)

    def _missing(self, target: str) -> dict[str, Any]:
        """Return null for each attribute without a default: Django has "" for texts, which no event has said."""
        attributes = self._types[target].attributes
        return {attribute.python_name: None for attribute in attributes if attribute.default is None}

    def _attributes(self, target: str, event: Event) -> dict[str, Any]:
        """Return what an event says of an entity, by the attributes' names in Python."""
        payload = event.payload
        return {python_name: payload[name] for python_name, name in self._spellings[target] if name in payload}

    def _is_unique(self, target: str) -> bool:
        return any(attribute.unique for attribute in self._types[target].attributes)

    def _model(self, target: str) -> type[models.Model]:
        model: type[models.Model] = getattr(self._db, target)
        return model

    def _rows(self, target: str) -> models.QuerySet[models.Model]:
        # using(): Django asks the router to read before it knows that this is a write.
        return self._model(target)._default_manager.using(self._alias)


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
