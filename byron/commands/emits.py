"""Declared mutations: `emit:` and a client's arguments → an event, and the entity that it is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.db import DatabaseError, models

from byron.commands.context import Context, attributes_of
from byron.events.ids import new_id
from byron.events.misfits import misfit
from byron.exceptions import CommandError, ContractError, EventError
from byron.schema.defaults import default_value, fixed_values
from byron.schema.model import Command, Component, Emit, ObjectType
from byron.schema.problems import listed
from byron.schema.reads import VERSION


class _UnfitError(Exception):
    """Arguments that make no valid event."""


def run_emit(
    context: Context, command: Command, emit: Emit, arguments: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Do what an `emit:` says, and return the entity as it will be, or was when it is deleted.

    `arguments` holds those that were given, `asked` what the client gave before hooks changed them. Raises
    CommandError for an entity that is not there, a value that is taken, and a client's arguments that make no
    valid event; ContractError when only what hooks made of them does not.
    """
    entity = context.config.component.types[command.return_type.name]
    try:
        payload, answer = _outcome(context, command, emit, entity, arguments, context.uuid)
    except _UnfitError as error:
        if command.hooks.before and _is_fit(context, command, emit, entity, asked):
            hooks = listed(command.hooks.before)
            raise ContractError(f"What {hooks} made of the arguments of {command.name} is refused: {error}") from error
        raise CommandError(str(error), code="BAD_USER_INPUT") from error
    _claim_unique(context, entity, payload)
    context.emit(emit.event, payload)
    return answer


def _is_fit(context: Context, command: Command, emit: Emit, entity: ObjectType, arguments: Mapping[str, Any]) -> bool:
    try:
        # The ids that a test chose are for what is emitted.
        _outcome(context, command, emit, entity, arguments, new_id)
    except (_UnfitError, CommandError, DatabaseError):
        return False
    return True


def _outcome(
    context: Context,
    command: Command,
    emit: Emit,
    entity: ObjectType,
    arguments: Mapping[str, Any],
    make_id: Callable[[], str],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an event's payload, and the entity to answer with. Raises _UnfitError, and CommandError as `_find`."""
    component = context.config.component
    given = {**_flat(component, command, arguments), **fixed_values(component, entity, emit)}
    if emit.operation == "create":
        _refuse_nulls(entity, given, "leave it out to get its default")
        given = {**_defaults(component, entity), **given}
        made = {"id": make_id(), **{each.python_name: given[each.python_name] for each in entity.attributes}}
        return _fitting(context, emit, made), made
    standing = _find(context, entity, given.pop("id"))
    if emit.operation == "delete":
        return _fitting(context, emit, {"id": standing["id"]}), standing
    _refuse_nulls(entity, given, "leave it out to keep it as it is")
    # Not compared with the Cache: it may be behind, and a value that seems to stand may be gone in the log.
    return _fitting(context, emit, {"id": standing["id"], **given}), {**standing, **given}


def _flat(component: Component, command: Command, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with those of input types laid out flat."""
    given: dict[str, Any] = {}
    for parameter in command.parameters:
        if parameter.python_name not in arguments:
            continue
        value = arguments[parameter.python_name]
        if parameter.type.name in component.inputs and not parameter.type.is_list:
            given.update(value or {})
        else:
            given[parameter.python_name] = value
    return given


def _find(context: Context, entity: ObjectType, identity: str) -> dict[str, Any]:
    model: type[models.Model] = getattr(context.db, entity.name)
    found = model._default_manager.filter(pk=identity).first()
    if found is None:
        message = f'There is no {entity.name} "{identity}" here; if it was just made, try again in a moment.'
        raise CommandError(message, code="NOT_FOUND")
    # With the version of just this state, where there is one.
    own = {VERSION: getattr(found, VERSION)} if entity.name in context.config.component.versioned else {}
    return {**attributes_of(found), **own}


def _defaults(component: Component, entity: ObjectType) -> dict[str, Any]:
    """Return what a new entity has when nothing is given."""
    return {each.python_name: default_value(component, each) for each in entity.attributes}


def _refuse_nulls(entity: ObjectType, given: Mapping[str, Any], instead: str) -> None:
    for attribute in entity.attributes:
        if attribute.type.required and given.get(attribute.python_name, "") is None:
            raise _UnfitError(f"{attribute.name} cannot be null; {instead}.")


def _fitting(context: Context, emit: Emit, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload that its event can have: GraphQL's types do not say everything, such as an id's length."""
    try:
        context.payloads.encode(emit.event, payload)
    except EventError as error:
        reason = error.__cause__
        raise _UnfitError(misfit(reason) if isinstance(reason, msgspec.ValidationError) else str(error)) from error
    return payload


def _claim_unique(context: Context, entity: ObjectType, payload: Mapping[str, Any]) -> None:
    """Refuse a value that another entity has or is about to get. Raises CommandError as `Context.claim` does."""
    for attribute in entity.attributes:
        value = payload.get(attribute.python_name)
        if attribute.unique and value is not None:
            context.claim(f"{entity.name}.{attribute.name}", value, id=payload["id"])
