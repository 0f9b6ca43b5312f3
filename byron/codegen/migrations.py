"""Migrations from one schema.yaml to the next, made in-process by Django's own autodetector."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

from django.apps import apps
from django.db import models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from byron.cache import fields
from byron.codegen.fields import model_fields
from byron.exceptions import GenerationError
from byron.schema.model import Component

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

#: What the rows of a Cache get for a new required attribute until the Cache is rebuilt, by field class.
_EMPTY: tuple[tuple[type[Any], Any], ...] = (
    (models.BooleanField, False),
    (models.IntegerField, 0),
    (models.FloatField, 0.0),
    (models.DateTimeField, _EPOCH),
    (models.DateField, _EPOCH.date()),
    (models.TimeField, datetime.time(0)),
    (models.UUIDField, uuid.UUID(int=0)),
    (fields.DecimalField, decimal.Decimal(0)),
    (fields.ListField, []),
    (models.JSONField, {}),
)


class _Questioner(MigrationQuestioner):
    """Answer what `makemigrations` would ask: fill with empty values, and rename nothing."""

    def ask_not_null_addition(self, field_name: str, model_name: str) -> Any:
        return self._empty(field_name, model_name)

    def ask_not_null_alteration(self, field_name: str, model_name: str) -> Any:
        return self._empty(field_name, model_name)

    def __init__(self, wanted: ProjectState, label: str) -> None:
        super().__init__(defaults={"ask_initial": True})
        self._wanted, self._label = wanted, label

    def _empty(self, field_name: str, model_name: str) -> Any:
        field = self._wanted.models[self._label, model_name.lower()].fields[field_name]
        return next((empty for kind, empty in _EMPTY if isinstance(field, kind)), "")


def new_migration(component: Component, label: str) -> tuple[str, str] | None:
    """Return the name and text of the migration that brings an app's models to a schema.

    None when they are there already. The app need not be installed yet: then it is the first one.
    """
    wanted, current, graph = ProjectState(), ProjectState(), MigrationGraph()
    if label in apps.app_configs:
        loader = MigrationLoader(None)
        leaves = loader.detect_conflicts().get(label)
        if leaves:
            raise GenerationError(
                f"{label} has several last migrations: {', '.join(sorted(leaves))}. Remove those that the log has no "
                f"need of, or join them with `manage.py makemigrations --merge {label}`."
            )
        current, graph = loader.project_state(), loader.graph
        for (app, _), state in current.models.items():
            if app != label:
                wanted.add_model(state)
    for kind in component.content.types:
        built = [(column.name, column.build(label)) for column in model_fields(kind, component)]
        wanted.add_model(ModelState(label, kind.name, built))
    questioner = _Questioner(wanted, label)
    detector = MigrationAutodetector(current, wanted, questioner)
    found = detector.changes(graph=graph, trim_to_apps={label}, convert_apps={label})
    if label not in found:
        return None
    migration = found[label][0]
    return migration.name, MigrationWriter(migration, include_header=False).as_string()
