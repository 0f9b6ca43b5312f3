"""What a command returned as plain JSON, from which its answer can be made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models

from byron.commands.context import attributes_of
from byron.events.codec import decode_untyped, encode_payload
from byron.schema.model import Command, Component, ObjectType
from byron.schema.reads import VERSION

_VALUE = "value"


def plain_value(component: Component, command: Command, value: Any) -> Any:
    """Return what a command returned with nothing in it that JSON does not have.

    It is as good as the original: scalars are as an event's payload has them, entities are dicts, references their ids
    unless the entity itself was given. Raises EventError for what JSON cannot hold.
    """
    name = command.return_type.name
    plain = encode_payload({_VALUE: _of_any(component, name, value)})
    return decode_untyped(plain)[_VALUE]


def _of_any(component: Component, name: str, value: Any) -> Any:
    if name not in component.types:
        return value
    if isinstance(value, list | tuple):
        return [_of_any(component, name, item) for item in value]
    if isinstance(value, models.Model):
        # One that was not asked for is not loaded.
        return attributes_of(value) | {name: held for name, held in vars(value).items() if name == VERSION}
    return _of_mapping(component, component.types[name], value) if isinstance(value, Mapping) else value


def _of_mapping(component: Component, kind: ObjectType, entity: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {"id": entity["id"]}
    if kind.name in component.versioned and VERSION in entity:
        plain[VERSION] = entity[VERSION]
    for attribute in kind.attributes:
        for name in (attribute.python_name, attribute.name):
            if name in entity:
                plain[name] = _of_any(component, attribute.type.name, entity[name])
    return plain
