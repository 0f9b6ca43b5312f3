"""Groups of attributes within payloads: as dicts with Python's names for handlers, with declared ones on the wire."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from byron.schema.model import Attribute, Component, InputAttribute, InputType

_Groups = Sequence[Attribute | InputAttribute]


def plain(payload: Mapping[str, Any], groups: _Groups, component: Component) -> dict[str, Any]:
    """Return a payload that was read, by Python's names, with dicts by Python's names for its groups."""
    return _changed(payload, groups, component, _as_dict)


def with_wire_names(payload: Mapping[str, Any], groups: _Groups, component: Component) -> dict[str, Any]:
    """Return a payload whose groups have the names that schema.yaml gives them; its own names stay."""
    return _changed(payload, groups, component, _as_written)


def _changed(
    payload: Mapping[str, Any],
    groups: _Groups,
    component: Component,
    change: Callable[[Any, InputType, Component], Any],
) -> dict[str, Any]:
    changed = dict(payload)
    for attribute in groups:
        group = component.inputs[attribute.type.name]
        for name in {attribute.name, attribute.python_name} & changed.keys():
            value = changed[name]
            many = isinstance(value, list | tuple)
            changed[name] = (
                [change(item, group, component) for item in value] if many else change(value, group, component)
            )
    return changed


def _as_dict(value: Any, group: InputType, component: Component) -> Any:
    if not isinstance(value, msgspec.Struct):
        return value
    given = {name: each for name, each in msgspec.structs.asdict(value).items() if each is not msgspec.UNSET}
    return plain(given, _groups_of(group, component), component)


def _as_written(value: Any, group: InputType, component: Component) -> Any:
    if not isinstance(value, Mapping):
        return value
    names = {attribute.python_name: attribute.name for attribute in group.attributes}
    given = with_wire_names(value, _groups_of(group, component), component)
    return {names.get(name, name): each for name, each in given.items()}


def _groups_of(group: InputType, component: Component) -> _Groups:
    return [each for each in group.attributes if each.type.name in component.inputs]
