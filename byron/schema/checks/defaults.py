"""`default:`: whether each is a value of its type, and may stand where it stands."""

from __future__ import annotations

from collections.abc import Iterator

from byron.schema.declarations import Declarations, Found
from byron.schema.defaults import is_shown_by_graphql, plain_value
from byron.schema.loader import Path
from byron.schema.model import Attribute, Member
from byron.schema.problems import quoted
from byron.schema.values import check_indexed


def check_defaults(declarations: Declarations) -> Found:
    """Find defaults that are no values of their types, that two entities may not share, or GraphQL cannot show."""
    for path, member, is_sent in _members(declarations):
        if member.default is None or not declarations.is_sound(member.type):
            continue
        misplaced = declarations.component.types if is_sent else declarations.component.inputs
        if member.type.name in misplaced:
            continue  # That is another problem.
        try:
            value = plain_value(declarations.component, member.type, member.default)
            if isinstance(member, Attribute) and member.index and isinstance(value, str):
                check_indexed(value)
        except ValueError as error:
            yield path, "B027", f"the default of {quoted(member.name)} does not fit: {error}"
            continue
        if isinstance(member, Attribute) and member.unique:
            message = f"{quoted(member.name)} is unique, so no two may have its default"
            yield path, "B022", f"{message}; remove default: or unique:"
        elif is_sent and path[1] != "events" and not is_shown_by_graphql(member.type, member.default):
            message = f"the default of {quoted(member.name)} is a list or an object within JSON"
            yield path, "B027", f"{message}, which GraphQL cannot show here; leave it out, and set it in Python"


def _members(declarations: Declarations) -> Iterator[tuple[Path, Member, bool]]:
    """Give whatever may have a default, with the place of that and whether clients send its values."""
    content = declarations.component.content
    for index, kind in enumerate(content.types):
        for at, attribute in enumerate(kind.attributes):
            yield ("content", "types", index, "attributes", at, "default"), attribute, False
    for index, group in enumerate(content.inputs):
        for at, member in enumerate(group.attributes):
            yield ("content", "inputs", index, "attributes", at, "default"), member, True
    for index, event in enumerate(content.events):
        for at, member in enumerate(event.attributes):
            yield ("content", "events", index, "attributes", at, "default"), member, True
    for index, command in enumerate(content.commands):
        for at, parameter in enumerate(command.parameters):
            yield ("content", "commands", index, "parameters", at, "default"), parameter, True
