"""What a migration loses, what may make it fail, and what it cannot fill: said before it is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import models
from django.db.migrations.operations import AddField, AlterField, CreateModel, DeleteModel, RemoveField
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from byron.cache import fields
from byron.cache.migrations import leaves_unfilled
from byron.schema.model import Component
from byron.schema.problems import listed
from byron.schema.types import ENUM_OPTIONS, SCALARS

#: Changes of type that every value and every row survives.
_WIDENED = frozenset({("Int", "Float"), ("an enum", "ID"), ("an enum", "String"), ("ID", "String")})


class Consequences:
    """What to tell about the operations of one migration; `state` is that of the models before it, and is changed."""

    def __init__(self, component: Component, label: str, operations: Sequence[Operation], state: ProjectState) -> None:
        self._component, self._label = component, label
        self._operations, self._state = operations, state
        self._rebuild = f"`manage.py rebuildcache {label}`"
        self._may_fail = False

    def sentences(self) -> tuple[str, ...]:
        """Return a sentence or two for each consequence, and last what can be done; empty when there are none."""
        found: list[str] = []
        for operation in self._operations:
            found += self._of(operation)
            operation.state_forwards(self._label, self._state)
        if found:
            found.append(self._remedy())
        return tuple(dict.fromkeys(found))

    def _remedy(self) -> str:
        remedy = (
            f"The log keeps everything: after `manage.py migrate`, {self._rebuild} builds the Cache anew from it while "
            "API and Sink go on."
        )
        if self._may_fail:
            remedy += (
                f" If the migration fails: stop the Sinks, `manage.py flush --database {self._label}`, migrate, and "
                "start them again; they fill the Cache from the log."
            )
        return remedy

    def _of(self, operation: Operation) -> Iterator[str]:
        if isinstance(operation, DeleteModel):
            others = [each.name for each in self._operations if isinstance(each, CreateModel)]
            yield f"{operation.name}: its table is dropped with all of its rows.{_if_renamed(others)}"
        elif isinstance(operation, RemoveField):
            kind = operation.model_name_lower
            others = [
                self._attribute(each)
                for each in self._operations
                if isinstance(each, AddField) and each.model_name_lower == kind
            ]
            yield f"{self._attribute(operation)}: its column is dropped with all that it holds.{_if_renamed(others)}"
            yield from self._refused(operation)
        elif isinstance(operation, AddField):
            yield from self._added(operation)
        elif isinstance(operation, AlterField):
            yield from self._altered(operation)

    def _added(self, operation: AddField) -> Iterator[str]:
        name, field = self._attribute(operation), operation.field
        if isinstance(field, fields.VersionField):
            yield (
                f"{name}: rows that are there get version 0, and changes that compare it are refused until "
                f"{self._rebuild}."
            )
        elif leaves_unfilled(operation):
            yield f"{name}: rows that are there get {_shown(field.default)} until {self._rebuild}."
            if field.unique:
                self._may_fail = True
                yield f"{name}: it is unique, and all of them get the same: with two rows the migration fails."
            yield from self._parked(operation, "lack it")

    def _altered(self, operation: AlterField) -> Iterator[str]:
        name, field = self._attribute(operation), operation.field
        before = self._state.models[self._label, operation.model_name_lower].fields[operation.name]
        old, new = _kind(before), _kind(field)
        if old != new and (old, new) not in _WIDENED:
            self._may_fail = True
            yield (
                f"{name}: its type changes from {old} to {new}. Values that cannot be converted make the migration "
                "fail, or stay in the column and cannot be read."
            )
            yield from self._parked(operation, "have a value there that does not fit")
        if before.null and not field.null and leaves_unfilled(operation):
            yield f"{name}: rows without a value get {_shown(field.default)} until {self._rebuild}."
            yield from self._parked(operation, "lack it, or have null there,")
        elif before.null and not field.null:
            yield f"{name}: rows without a value get its default, {_shown(field.default)}; events without one mean it."
        yield from self._new_default(operation, before)
        if field.unique and not before.unique:
            self._may_fail = True
            yield f"{name}: it becomes unique. Two rows with the same value make the migration fail."

    def _new_default(self, operation: AlterField, before: models.Field[Any, Any]) -> Iterator[str]:
        """Say what comes of another default: nothing to rows, but to what a rebuild makes of older events."""
        name, field = self._attribute(operation), operation.field
        if isinstance(field, fields.VersionField) or leaves_unfilled(operation) or field.default == before.default:
            return
        if not field.has_default():
            yield f"{name}: it has no default any more. Rows that are there keep what they have."
            if field.null:
                yield f"{name}: events in the log that lack it mean null from now on; a rebuild stores that."
            else:
                yield from self._parked(operation, "lack it")
        elif before.has_default():
            yield (
                f"{name}: its default changes from {_shown(before.default)} to {_shown(field.default)}. Rows that are "
                "there keep what they have; events in the log that lack it mean the new one, and a rebuild stores that."
            )
        elif before.null and field.null:
            yield (
                f"{name}: its default is {_shown(field.default)} now. Rows that are there keep what they have; events "
                "in the log that lack it mean the default, and a rebuild stores that."
            )

    def _parked(self, operation: AddField | AlterField, reason: str) -> Iterator[str]:
        """Say which handlers cannot apply events that the log has."""
        kind = next(each for each in self._component.types if each.lower() == operation.model_name_lower)
        handlers = [
            f"{handler.event} ({handler.name})"
            for handler in self._component.content.handlers
            if self._needs_whole(handler.event, kind)
            or (
                handler.apply is not None
                and handler.apply.target == kind
                and handler.apply.operation in ("create", "upsert")
            )
        ]
        if handlers:
            yield (
                f"{self._attribute(operation)}: events in the log that {reason} cannot be applied any more; a rebuild "
                f"parks them: {listed(handlers)}. If there are any, keep the attribute optional and as it was, or "
                "handle them in Python, without a declaration under events:."
            )

    def _refused(self, operation: RemoveField) -> Iterator[str]:
        """Say which handlers cannot apply events that have what is gone: declared payloads hold nothing unknown."""
        handlers = [
            f"{handler.event} ({handler.name})"
            for handler in self._component.content.handlers
            if handler.event in self._component.events
            and (self._component.events[handler.event].payload or "").lower() == operation.model_name_lower
        ]
        if handlers:
            yield (
                f"{self._attribute(operation)}: events in the log that have it cannot be applied any more, since they "
                f"are declared under events:; a rebuild parks them: {listed(handlers)}."
            )

    def _needs_whole(self, event: str, kind: str) -> bool:
        shape = self._component.payload_type(event)
        return shape is not None and shape.name == kind and self._component.carries_whole(event)

    def _attribute(self, operation: AddField | AlterField | RemoveField) -> str:
        """Return an attribute as schema.yaml writes it: `Student.fullName`; one that is gone by its column."""
        for kind in self._component.content.types:
            if kind.name.lower() == operation.model_name_lower:
                own = (each.name for each in kind.attributes if each.python_name == operation.name)
                return f"{kind.name}.{next(own, operation.name)}"
        return f"{operation.model_name}.{operation.name}"


def _if_renamed(others: Sequence[str]) -> str:
    if not others:
        return ""
    return f" If it is only called otherwise now ({listed(others)}), write renamedFrom: there first, and it is kept."


def _kind(field: models.Field[Any, Any]) -> str:
    """Return what schema.yaml calls the type of a field."""
    if isinstance(field, fields.ReferenceField):
        return "a reference"
    if isinstance(field, fields.ReferenceListField):
        return "a list of references"
    if isinstance(field, fields.ListField):
        return f"a list of {field.base}"
    if isinstance(field, models.CharField) and field.max_length == ENUM_OPTIONS["max_length"]:
        return "an enum"
    # By its name: Django's own class stores the same. A migration that was written by hand may have any field.
    kind = type(field).__name__
    return next((name for name, scalar in SCALARS.items() if scalar.model_field.endswith(f".{kind}")), kind)


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) else str(value)
