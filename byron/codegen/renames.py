"""`renamedFrom:` of types and attributes to the operations of a migration that keep their rows."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.migrations.operations import RenameField, RenameModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from byron.schema.model import Component, ObjectType
from byron.schema.names import snake_case


def apply_renames(component: Component, label: str, state: ProjectState) -> list[Operation]:
    """Rename in a state of models what schema.yaml says was renamed, and return the operations that did.

    What has its new name already is left alone, so that `renamedFrom:` may stay in schema.yaml for ever.
    """
    operations: list[Operation] = []
    for kind in component.content.types:
        if (label, kind.name.lower()) in state.models:
            continue
        old = next((state.models[key] for key in _keys(label, kind) if key in state.models), None)
        if old is not None:
            rename = RenameModel(old.name, kind.name)
            rename.state_forwards(label, state)
            operations.append(rename)
    for kind in component.content.types:
        for attribute in kind.attributes:
            model = state.models.get((label, kind.name.lower()))
            if model is None or attribute.python_name in model.fields:
                continue
            column = next((name for name in map(snake_case, attribute.renamed_from) if name in model.fields), None)
            if column is not None:
                change = RenameField(kind.name, column, attribute.python_name)
                change.state_forwards(label, state)
                operations.append(change)
    return operations


def _keys(label: str, kind: ObjectType) -> Iterator[tuple[str, str]]:
    return ((label, name.lower()) for name in kind.renamed_from)
