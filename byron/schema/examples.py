"""An example of each thing that schema.yaml declares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from byron.schema.model import Command, Component, Member, ObjectType
from byron.schema.names import snake_case
from byron.schema.reads import OWN_ARGUMENTS, arguments_of
from byron.schema.type_ref import TypeRef
from byron.schema.types import SCALARS

#: A value of each scalar as a client writes it.
EXAMPLES: dict[str, Any] = {
    "ID": "42",
    "String": "Ada",
    "Int": 7,
    "Float": 1.5,
    "Boolean": True,
    "DateTime": "2024-02-29T12:30:00Z",
    "Date": "2024-02-29",
    "Time": "12:30:00",
    "Decimal": "12.50",
    "UUID": "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f",
    "JSON": {"any": ["value"]},
}


#: The id of whatever an example refers to, and of the entity that it is about.
EXAMPLE_ID = EXAMPLES["ID"]


def example_arguments(component: Component, command: Command, *, complete: bool = False) -> dict[str, Any]:
    """Return arguments for a command by their Python names: those required, or all but a read's own."""
    own = OWN_ARGUMENTS if command.read is not None else ()
    return _members(component, [each for each in arguments_of(component, command) if each.name not in own], complete)


def example_payload(component: Component, event: str) -> dict[str, Any] | None:
    """Return a payload of an event, whole, by its Python names; None when nothing tells its shape."""
    shape = component.payload_type(event)
    if shape is None:
        return None
    identity = {"id": EXAMPLE_ID} if isinstance(shape, ObjectType) else {}
    return identity | _members(component, shape.attributes, complete=True)


def example_value(component: Component, reference: TypeRef, name: str) -> Any:
    """Return a value of a type, as JSON has it, for what has this name."""
    if reference.name in component.enums:
        value: Any = component.enums[reference.name].values[0]
    elif reference.name in component.inputs:
        members = component.inputs[reference.name].attributes
        value = {
            member.name: example_value(component, member.type, member.name)
            for member in members
            if member.type.required
        }
    elif reference.name == "String" and not name.lower().endswith("name"):
        value = f"some {snake_case(name).replace('_', ' ')}"
    else:
        value = EXAMPLES[reference.name] if reference.name in SCALARS else EXAMPLE_ID
    return [value] if reference.is_list else value


def _members(component: Component, members: Iterable[Member], complete: bool) -> dict[str, Any]:
    return {
        member.python_name: example_value(component, member.type, member.name)
        for member in members
        if complete or member.type.required
    }
