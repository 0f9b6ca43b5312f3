"""Commands that schema.yaml alone describes: `read:` and `emit:`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models

from byron.commands.context import Context
from byron.commands.reads import run_read
from byron.exceptions import CommandError, EventError
from byron.schema.model import Command, Component, Emit, ObjectType


def run_declared(context: Context, command: Command, arguments: Mapping[str, Any]) -> Any:
    """Do what a command's `read:` or `emit:` says; `arguments` has snake_case names."""
    if command.read is not None:
        return run_read(context, command, command.read, arguments)
    if command.emit is not None:
        return _emit(context, command, command.emit, arguments)
    raise TypeError(f"{command.name} is not declared")


def _emit(context: Context, command: Command, emit: Emit, arguments: Mapping[str, Any]) -> dict[str, Any]:
    component = context.config.component
    entity = component.types[command.return_type.name]
    given = _given(component, command, arguments)
    payload = {"id": context.uuid(), **{a.python_name: given.get(a.python_name) for a in entity.attributes}}
    try:
        context.payloads.encode(emit.event, payload)
    except EventError as error:
        # The client's arguments are all that is in it: GraphQL's types do not say everything, such as an id's length.
        raise CommandError(str(error), code="BAD_USER_INPUT") from error
    _check_unique(context, entity, payload)
    context.emit(emit.event, payload)
    return payload


def _given(component: Component, command: Command, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with those of input types laid out flat."""
    given: dict[str, Any] = {}
    for parameter in command.parameters:
        value = arguments.get(parameter.python_name)
        if parameter.type.name in component.inputs and not parameter.type.is_list:
            given.update(value or {})
        else:
            given[parameter.python_name] = value
    return given


def _check_unique(context: Context, entity: ObjectType, payload: Mapping[str, Any]) -> None:
    """Refuse a value that the Cache already has. Raises CommandError with code CONFLICT."""
    model: type[models.Model] = getattr(context.db, entity.name)
    for attribute in entity.attributes:
        value = payload[attribute.python_name]
        if not attribute.unique or value is None:
            continue
        if model._default_manager.filter(**{attribute.python_name: value}).exists():
            raise CommandError(f'{entity.name} with {attribute.name} "{value}" already exists.', code="CONFLICT")
