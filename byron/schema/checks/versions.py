"""Commands that take a version: what is to be known of them, so that the broker can compare it."""

from __future__ import annotations

from byron.schema.declarations import Declarations, Found
from byron.schema.loader import Path
from byron.schema.model import Command
from byron.schema.problems import quoted
from byron.schema.reads import VERSION
from byron.schema.type_ref import TypeRef

_ID = TypeRef(name="ID", required=True)


def check_versions(declarations: Declarations) -> Found:
    """Find commands that take a version and are not about one entity, and names that are in its way."""
    component = declarations.component
    versioned = set()
    for index, command in enumerate(component.content.commands):
        if command.version and not declarations.in_doubt("commands", command.name):
            yield from _command(declarations, command, ("content", "commands", index))
            versioned.add(command.return_type.name)
    for index, kind in enumerate(component.content.types):
        for at, attribute in enumerate(kind.attributes):
            if kind.name in versioned and attribute.python_name == VERSION:
                message = f"each {kind.name} gets a version by itself, since a command takes it; rename this attribute"
                yield ("content", "types", index, "attributes", at, "name"), "B025", message


def _command(declarations: Declarations, command: Command, path: Path) -> Found:
    at = (*path, "version")
    if command.type == "query":
        yield at, "B025", "a query changes nothing; use type: mutation, or remove version:"
        return
    if command.emit is not None and command.emit.operation == "create":
        yield at, "B025", "a new entity has no version yet; use update: or delete:, or remove version:"
        return
    returned = command.return_type
    is_one = returned.name in declarations.component.types and not returned.is_list
    if declarations.is_sound(returned) and not is_one:
        message = "version: is that of one entity, so returnType must be one of the types"
        yield (*path, "returnType"), "B025", f"{message}; it is {quoted(str(returned))}"
    if not any(parameter.name == "id" and parameter.type == _ID for parameter in command.parameters):
        yield at, "B025", 'version: is that of the entity with the id given; add the parameter {name: id, type: "ID!"}'
    for number, parameter in enumerate(command.parameters):
        if parameter.python_name == VERSION:
            message = '"version" is the argument that version: true adds; rename this parameter'
            yield (*path, "parameters", number, "name"), "B025", message
