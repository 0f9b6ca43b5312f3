"""Versions: an entity's is the position of the last event applied whose key is the entity's id.

By keys, and not by what handlers do: keys are what the broker can compare, see `byron.commands.versions`.
"""

from __future__ import annotations

from django.db import models

from byron.commands.context import component_models
from byron.events.event import Event
from byron.schema.installed import ComponentConfig
from byron.schema.reads import VERSION


class Versions:
    """The versions that come of some events, until they are stored, and in the same transaction."""

    def __init__(self, config: ComponentConfig) -> None:
        self._alias = config.alias
        models_by_name = vars(component_models(config))
        self._models: dict[str, type[models.Model]] = {
            name: models_by_name[name] for name in config.component.versioned
        }
        self._due: dict[str, dict[str, int]] = {name: {} for name in self._models}

    def forget(self) -> None:
        """Begin anew: what is not stored was rolled back."""
        for due in self._due.values():
            due.clear()

    def see(self, event: Event) -> None:
        """Take note of an event, before its handlers run: entities with its key as their id have a new version."""
        # No such id is in any table, and PostgreSQL refuses to look for it.
        if self._due and "\x00" not in event.key:
            for due in self._due.values():
                due[event.key] = event.position or 0

    def of_row(self, target: str, identity: str, event: Event) -> dict[str, int]:
        """Return the column that is to be stored with a row because of an event, if there is one.

        It is due no more then, until the next event.
        """
        if event.key != identity or target not in self._due:
            return {}
        self._due[target].pop(identity, None)
        return {VERSION: event.position or 0}

    def store(self) -> None:
        """Store what is due: a statement a type, or two when many entities may be meant."""
        for name, due in self._due.items():
            if due:
                self._store(self._models[name], due)
                due.clear()

    def _store(self, model: type[models.Model], due: dict[str, int]) -> None:
        rows = model._default_manager.using(self._alias)
        if len(due) > 1:
            # Most events may be about entities of other types. This is a read that is part of a write.
            standing = rows.select_for_update().filter(pk__in=due).values_list("pk", flat=True)
            entities = [model(pk=key, **{VERSION: due[key]}) for key in standing]
            rows.bulk_update(entities, [VERSION])
        else:
            for key, position in due.items():
                rows.filter(pk=key).update(**{VERSION: position})
