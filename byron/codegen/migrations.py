"""Migrations from one schema.yaml to the next, made in-process by Django's own autodetector."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.apps import apps
from django.db import models
from django.db.migrations import Migration
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.graph import MigrationGraph
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from byron.cache import fields
from byron.codegen.consequences import Consequences
from byron.codegen.fields import model_fields
from byron.codegen.renames import apply_renames
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


class EmptyValues(MigrationQuestioner):
    """Answer what `makemigrations` would ask: fill with empty values; what is renamed, schema.yaml says."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMigration:
    """A migration to be written: its name, its text, and what to tell before it is."""

    name: str
    text: str
    #: What it loses, what may make it fail, and what it cannot fill: a sentence or two each.
    warnings: tuple[str, ...] = ()


def new_migration(component: Component, label: str) -> NewMigration | None:
    """Return the migration that brings an app's models to a schema.

    None when they are there already. The app need not be installed yet: then it is the first one. Raises
    GenerationError when the app has several last migrations.
    """
    before, graph = _current(label)
    current, wanted = before.clone(), ProjectState()
    renames = apply_renames(component, label, current)
    for (app, _), state in current.models.items():
        if app != label:
            wanted.add_model(state)
    for kind in component.content.types:
        built = [(column.name, column.build(label)) for column in model_fields(kind, component)]
        wanted.add_model(ModelState(label, kind.name, built))
    detector = MigrationAutodetector(current, wanted, EmptyValues(wanted, label))
    found = detector.changes(graph=graph, trim_to_apps={label}, convert_apps={label})
    if label in found:
        migration = found[label][0]
        if renames:
            _begin(migration, renames)
            migration.name = f"{migration.name.split('_')[0]}_{migration.suggest_name()[:100]}"
    elif renames:
        migration = Migration("renames", label)
        _begin(migration, renames)
        detector.arrange_for_graph({label: [migration]}, graph)
    else:
        return None
    text = MigrationWriter(migration, include_header=False).as_string()
    warnings = Consequences(component, label, migration.operations, before).sentences()
    return NewMigration(name=migration.name, text=text, warnings=warnings)


def _begin(migration: Migration, operations: Sequence[Operation]) -> None:
    cast(list[Operation], migration.operations)[:0] = operations


def _current(label: str) -> tuple[ProjectState, MigrationGraph]:
    """Return the models that the app's migrations make, and the graph of these."""
    if label not in apps.app_configs:
        return ProjectState(), MigrationGraph()
    loader = MigrationLoader(None)
    leaves = loader.detect_conflicts().get(label)
    if leaves:
        raise GenerationError(
            f"{label} has several last migrations: {', '.join(sorted(leaves))}. Remove those that the log has no "
            f"need of, or join them with `manage.py makemigrations --merge {label}`."
        )
    return loader.project_state(), loader.graph
