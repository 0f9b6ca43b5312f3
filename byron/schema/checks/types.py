"""Types: whether each is declared, may stand where it stands, and can have a value at all."""

from __future__ import annotations

from collections.abc import Iterator

from byron.schema.cycles import cycles
from byron.schema.declarations import Declarations, Found
from byron.schema.loader import Path
from byron.schema.problems import did_you_mean, quoted
from byron.schema.type_ref import TypeRef

_LONGEST_TRAIL = 6


def check_types(declarations: Declarations) -> Found:
    """Find types that are unknown, in the wrong place, endless, or not comparable where they must be."""
    yield from _references(declarations)
    yield from _endless_inputs(declarations)
    yield from _attribute_options(declarations)


def _references(declarations: Declarations) -> Found:
    component = declarations.component
    known = declarations.types_of_all_kinds
    for path, reference, is_input in _all_references(declarations):
        name = reference.name
        if name not in known:
            if not declarations.type_in_doubt(name):
                yield path, "B012", f"unknown type {quoted(name)}{did_you_mean(name, known)}"
        elif is_input and name in component.types:
            message = f"{quoted(name)} is a type, which clients cannot send"
            yield path, "B020", f'{message}; use an input, or "ID" for a reference'
        elif not is_input and name in component.inputs:
            yield path, "B020", f"{quoted(name)} is an input, which cannot be stored or returned; use a type"


def _all_references(declarations: Declarations) -> Iterator[tuple[Path, TypeRef, bool]]:
    """Give every type expression with its path and whether a client sends its values."""
    content = declarations.component.content
    for index, kind in enumerate(content.types):
        for at, attribute in enumerate(kind.attributes):
            yield ("content", "types", index, "attributes", at, "type"), attribute.type, False
    for index, group in enumerate(content.inputs):
        for at, member in enumerate(group.attributes):
            yield ("content", "inputs", index, "attributes", at, "type"), member.type, True
    for index, event in enumerate(content.events):
        for at, member in enumerate(event.attributes):
            yield ("content", "events", index, "attributes", at, "type"), member.type, True
    for index, command in enumerate(content.commands):
        if not command.returns_pages:
            yield ("content", "commands", index, "returnType"), command.return_type, False
        for at, parameter in enumerate(command.parameters):
            yield ("content", "commands", index, "parameters", at, "type"), parameter.type, True


def _endless_inputs(declarations: Declarations) -> Found:
    """Find inputs that no finite value fits, because each requires the next."""
    component = declarations.component
    places = {group.name: index for index, group in enumerate(component.content.inputs)}
    requires = {
        group.name: [
            member.type.name
            for member in group.attributes
            if member.type.required and not member.type.is_list and member.type.name in places
        ]
        for group in component.inputs.values()
    }
    for trail in cycles(requires):
        path: Path = ("content", "inputs", places[trail[0]], "name")
        names = trail if len(trail) <= _LONGEST_TRAIL else [*trail[:_LONGEST_TRAIL], "…"]
        shown = " → ".join([*names, trail[0]])
        subject = f"{shown} requires itself" if len(trail) == 1 else f"{shown} require one another"
        yield path, "B021", f"{subject} without end; make one of these attributes optional"


def _attribute_options(declarations: Declarations) -> Found:
    for index, kind in enumerate(declarations.component.content.types):
        for at, attribute in enumerate(kind.attributes):
            chosen = [option for option in ("unique", "index") if getattr(attribute, option)]
            if declarations.is_comparable(attribute.type):
                continue
            for option in chosen:
                path: Path = ("content", "types", index, "attributes", at, option)
                message = f"{quoted(str(attribute.type))} cannot be {option}: lists and JSON have no order"
                yield path, "B022", f"{message}; remove {option}:"
