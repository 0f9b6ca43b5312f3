"""What the parts of a schema must be to one another: names, references, declared operations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from byron.schema import names
from byron.schema.loader import Document, Path
from byron.schema.model import (
    Attribute,
    Command,
    Component,
    Handler,
    Hooks,
    InputAttribute,
    ObjectType,
    Parameter,
    TypeRef,
)
from byron.schema.names import is_python_word, snake_case
from byron.schema.parser import Parsed
from byron.schema.problems import Problem, did_you_mean, quoted
from byron.schema.types import SCALARS

Found = Iterator[tuple[Path, str, str]]
_CONTENT = "content"


def validate(parsed: Parsed) -> list[Problem]:
    """Return every problem that the declarations of a component have with one another."""
    if parsed.component is None:
        return []
    component, doubtful = parsed.component, parsed.doubtful
    found = chain(
        _reserved_names(component),
        _repeated_names(component),
        _type_references(component, doubtful),
        _endless_inputs(component),
        _attribute_options(component),
        _events(component, doubtful),
        _commands(component, doubtful),
        _handlers(component, doubtful),
    )
    return [_problem(parsed.document, *each) for each in found]


def _problem(document: Document, path: Path, code: str, message: str) -> Problem:
    place = document.position(path)
    return Problem(line=place.line, column=place.column, code=code, message=message)


# Names


def _reserved_names(component: Component) -> Found:
    content = component.content
    for section, declared in (("types", content.types), ("inputs", content.inputs), ("enums", content.enums)):
        for index, item in enumerate(declared):
            path: Path = (_CONTENT, section, index, "name")
            if item.name in SCALARS:
                yield path, "B015", f"{quoted(item.name)} is a scalar of the type table; choose another name"
            elif item.name in names.RESERVED_TYPES:
                yield path, "B015", f"{quoted(item.name)} is reserved by GraphQL or Python; choose another name"
    for index, enum in enumerate(content.enums):
        for at, value in enumerate(enum.values):
            if value in ("true", "false", "null", "None"):
                path = (_CONTENT, "enums", index, "values", at)
                yield path, "B015", f"{quoted(value)} is reserved by GraphQL; choose another name"
    for section, owners in (("types", content.types), ("inputs", content.inputs)):
        for index, owner in enumerate(owners):
            for at, attribute in enumerate(owner.attributes):
                path = (_CONTENT, section, index, "attributes", at, "name")
                yield from _reserved_field(path, attribute.name, is_model=section == "types")
    for section, functions in (("commands", content.commands), ("handlers", content.handlers)):
        for index, function in enumerate(functions):
            path = (_CONTENT, section, index)
            yield from _reserved_word((*path, "name"), function.name)
            yield from _reserved_hooks((*path, "hooks"), function.hooks)
    for index, command in enumerate(content.commands):
        for at, parameter in enumerate(command.parameters):
            path = (_CONTENT, "commands", index, "parameters", at, "name")
            yield from _reserved_word(path, parameter.name)
            if parameter.python_name in names.RESERVED_PARAMETERS:
                message = f"{quoted(parameter.name)} is an argument of Byron's own; choose another name"
                yield path, "B015", message


def _reserved_field(path: Path, name: str, *, is_model: bool) -> Found:
    python = snake_case(name)
    if is_model and python == "id":
        yield path, "B015", 'each type gets "id: ID!" by itself; remove this attribute'
    elif is_model and python in names.MODEL_ATTRIBUTES:
        yield path, "B015", f"{quoted(name)} is an attribute of every Django model; choose another name"
    else:
        yield from _reserved_word(path, name)


def _reserved_word(path: Path, name: str) -> Found:
    if is_python_word(snake_case(name)):
        yield path, "B015", f"{quoted(name)} is a Python keyword; choose another name"


def _reserved_hooks(path: Path, hooks: Hooks) -> Found:
    for moment, functions in (("before", hooks.before), ("after", hooks.after)):
        for index, name in enumerate(functions):
            yield from _reserved_word((*path, moment, index), name)


def _repeated_names(component: Component) -> Found:
    content = component.content
    graphql_types = [
        ((_CONTENT, section, index, "name"), item.name)
        for section, declared in (("types", content.types), ("inputs", content.inputs), ("enums", content.enums))
        for index, item in enumerate(declared)
    ]
    yield from _repeats(graphql_types, "a type, input or enum")
    for section in ("events", "commands", "handlers"):
        declared_here: Sequence[Command] = getattr(content, section)
        named = [((_CONTENT, section, index, "name"), item.name) for index, item in enumerate(declared_here)]
        yield from _repeats(named, f"one of the {section}")
    for section, owners in (("types", content.types), ("inputs", content.inputs)):
        for index, owner in enumerate(owners):
            base: Path = (_CONTENT, section, index, "attributes")
            attributes: Sequence[Attribute | InputAttribute] = owner.attributes
            yield from _repeats(
                [((*base, at, "name"), attribute.name) for at, attribute in enumerate(attributes)],
                f"an attribute of {owner.name}",
                columns=[name for a in attributes if a.type.name in component.types for name in (a.name + "_id",)],
            )
    for index, command in enumerate(content.commands):
        base = (_CONTENT, "commands", index, "parameters")
        parameters = [((*base, at, "name"), parameter.name) for at, parameter in enumerate(command.parameters)]
        yield from _repeats(parameters, f"a parameter of {command.name}")
    for index, enum in enumerate(content.enums):
        base = (_CONTENT, "enums", index, "values")
        seen: set[str] = set()
        for at, value in enumerate(enum.values):
            if value in seen:
                yield (*base, at), "B016", f"{quoted(value)} stands twice in {enum.name}; remove one"
            seen.add(value)


def _repeats(named: Sequence[tuple[Path, str]], what: str, columns: Iterable[str] = ()) -> Found:
    """Find names that are the same, or become the same in Python or on a file system that ignores case."""
    seen: dict[str, str] = {snake_case(column): column.removesuffix("_id") for column in columns}
    for path, name in named:
        spellings = {snake_case(name), name.casefold()}
        earlier = next((seen[spelling] for spelling in spellings if spelling in seen), None)
        if earlier == name:
            yield path, "B016", f"{quoted(name)} is already the name of {what}; remove or rename one"
        elif earlier is not None:
            message = (
                f"{quoted(name)} is too like {quoted(earlier)}, already the name of {what}: in Python or in a file"
            )
            yield path, "B016", f"{message} name they are the same; rename one"
        for spelling in spellings:
            seen.setdefault(spelling, name)


# Types


def _known_types(component: Component) -> list[str]:
    return [*SCALARS, *component.types, *component.enums, *component.inputs]


def _type_references(component: Component, doubtful: frozenset[str]) -> Found:
    for path, reference, place in _all_references(component):
        name = reference.name
        if name in doubtful:
            continue
        if name not in _known_types(component):
            yield path, "B012", f"unknown type {quoted(name)}{did_you_mean(name, _known_types(component))}"
        elif place == "input" and name in component.types:
            message = f"{quoted(name)} is a type, which clients cannot send"
            yield path, "B020", f'{message}; use an input, or "ID" for a reference'
        elif place == "output" and name in component.inputs:
            yield path, "B020", f"{quoted(name)} is an input, which cannot be stored or returned; use a type"


def _all_references(component: Component) -> Iterator[tuple[Path, TypeRef, str]]:
    content = component.content
    for index, declared in enumerate(content.types):
        for at, attribute in enumerate(declared.attributes):
            yield (_CONTENT, "types", index, "attributes", at, "type"), attribute.type, "output"
    for index, group in enumerate(content.inputs):
        for at, member in enumerate(group.attributes):
            yield (_CONTENT, "inputs", index, "attributes", at, "type"), member.type, "input"
    for index, command in enumerate(content.commands):
        yield (_CONTENT, "commands", index, "returnType"), command.return_type, "output"
        for at, parameter in enumerate(command.parameters):
            yield (_CONTENT, "commands", index, "parameters", at, "type"), parameter.type, "input"


def _endless_inputs(component: Component) -> Found:
    """Find inputs that no finite value fits, because each requires the next."""
    requires = {
        declared.name: [
            attribute.type.name
            for attribute in declared.attributes
            if attribute.type.required and not attribute.type.is_list and attribute.type.name in component.inputs
        ]
        for declared in component.content.inputs
    }
    for index, declared in enumerate(component.content.inputs):
        trail = _way_back(declared.name, requires)
        if trail:
            path: Path = (_CONTENT, "inputs", index, "name")
            yield path, "B021", f"{' → '.join(trail)} require one another without end; make one of them optional"


def _way_back(start: str, requires: dict[str, list[str]]) -> list[str]:
    trails = [[start]]
    visited = set()
    while trails:
        trail = trails.pop()
        for following in requires.get(trail[-1], ()):
            if following == start:
                return [*trail, start]
            if following not in visited:
                visited.add(following)
                trails.append([*trail, following])
    return []


def _attribute_options(component: Component) -> Found:
    for index, declared in enumerate(component.content.types):
        for at, attribute in enumerate(declared.attributes):
            if (attribute.unique or attribute.index) and not _comparable(attribute.type, component):
                option = "unique" if attribute.unique else "index"
                path: Path = (_CONTENT, "types", index, "attributes", at, option)
                message = f"{quoted(str(attribute.type))} cannot be {option}: lists and JSON have no order"
                yield path, "B022", message


def _comparable(reference: TypeRef, component: Component) -> bool:
    scalar = SCALARS.get(reference.name)
    return not reference.is_list and (scalar is None or scalar.comparable)


# Events, commands, handlers


def _events(component: Component, doubtful: frozenset[str]) -> Found:
    for index, event in enumerate(component.content.events):
        path: Path = (_CONTENT, "events", index)
        if event.payload in doubtful:
            continue
        shapes = [*component.types, *component.inputs]
        if event.payload not in shapes:
            message = f"unknown type {quoted(event.payload)}{did_you_mean(event.payload, shapes)}"
            yield (*path, "payload"), "B012", message
            continue
        shape = component.types.get(event.payload) or component.inputs[event.payload]
        keys = {attribute.name: attribute.type for attribute in shape.attributes}
        if event.payload in component.types:
            keys["id"] = TypeRef(name="ID", required=True)
        if event.key not in keys:
            message = f"{event.payload} has no attribute {quoted(event.key)} to be the key"
            yield (*path, "key"), "B019", message + did_you_mean(event.key, keys)
        elif keys[event.key].is_list or not keys[event.key].required:
            message = f"the key {quoted(event.key)} must be a required attribute and no list"
            yield (*path, "key"), "B020", message


def _commands(component: Component, doubtful: frozenset[str]) -> Found:
    for index, command in enumerate(component.content.commands):
        if command.name in doubtful:
            continue
        path: Path = (_CONTENT, "commands", index)
        if command.type == "query" and command.emit:
            yield (*path, "emit"), "B022", "a query emits nothing; use type: mutation, or read:"
        elif command.type == "mutation" and command.read:
            yield (*path, "read"), "B022", "a mutation does not read; use type: query, or emit:"
        elif command.read:
            yield from _read(component, command, path, doubtful)
        elif command.emit:
            yield from _emit(component, command, path, doubtful)


def _read(component: Component, command: Command, path: Path, doubtful: frozenset[str]) -> Found:
    read = command.read
    if read is None or read.target in doubtful:
        return
    kind = "list" if read.list else "get"
    if read.target not in component.types:
        message = f"unknown type {quoted(read.target)}{did_you_mean(read.target, component.types)}"
        yield (*path, "read", kind), "B012", message
        return
    if command.parameters:
        message = "a declared read takes its parameters from filter: (list) or takes the id (get); remove these"
        yield (*path, "parameters"), "B022", message
    returned = command.return_type
    if returned.name != read.target or returned.is_list != (kind == "list"):
        fitting = f"[{read.target}!]!" if kind == "list" else read.target
        message = f"{quoted(str(returned))} is not what {kind}: {read.target} returns; write {quoted(fitting)}"
        yield (*path, "returnType"), "B022", message
    elif kind == "get" and returned.required:
        message = f"get: finds nothing for an unknown id; write {quoted(read.target)} without the !"
        yield (*path, "returnType"), "B022", message
    for key in ("filter", "order"):
        if kind == "get" and getattr(read, key):
            yield (*path, "read", key), "B022", f"{key}: goes with list:, not with get:"
    attributes = component.types[read.target].attribute
    chosen: list[tuple[str, int, str]] = [("filter", at, name) for at, name in enumerate(read.filter)]
    chosen += [("order", at, name.removeprefix("-")) for at, name in enumerate(read.order)]
    for key, at, name in chosen:
        if name != "id" and name not in attributes:
            message = f"{read.target} has no attribute {quoted(name)}{did_you_mean(name, ['id', *attributes])}"
            yield (*path, "read", key, at), "B019", message
        elif name != "id" and not _comparable(attributes[name].type, component):
            message = f"{quoted(name)} is {quoted(str(attributes[name].type))}, which cannot be compared"
            yield (*path, "read", key, at), "B020", message
    filters = [((*path, "read", "filter", at), name) for at, name in enumerate(read.filter)]
    yield from _repeats(filters, f"a filter of {command.name}")


def _emit(component: Component, command: Command, path: Path, doubtful: frozenset[str]) -> Found:
    returned = command.return_type
    if returned.name in doubtful or command.emit is None:
        return
    if returned.name not in component.types or returned.is_list:
        message = f"emit: makes one entity, so returnType must be one of the types; it is {quoted(str(returned))}"
        yield (*path, "returnType"), "B023", message
        return
    declared = component.events.get(command.emit.event)
    if declared and declared.payload != returned.name and declared.payload not in doubtful:
        message = f"{declared.name} carries {declared.payload}, and this command makes {returned.name}; make them one"
        yield (*path, "emit", "event"), "B022", message
    entity = component.types[returned.name]
    given: dict[str, TypeRef] = {}
    for at, parameter in enumerate(command.parameters):
        base: Path = (*path, "parameters", at)
        members = _members(parameter, component)
        for member in members:
            given[member.name] = member.type
            yield from _fits(base, member, entity, component)
    missing = [a.name for a in entity.attributes if a.type.required and a.name not in given]
    if missing:
        listed = ", ".join(missing)
        yield (
            (*path, "emit"),
            "B023",
            f"no parameter gives {listed}, which {entity.name} requires; add it or write Python",
        )


def _members(parameter: Parameter, component: Component) -> Sequence[Parameter | InputAttribute]:
    """Return what a parameter of a declared mutation gives: itself, or its input's attributes."""
    if parameter.type.name in component.inputs and not parameter.type.is_list:
        return component.inputs[parameter.type.name].attributes
    return (parameter,)


def _fits(path: Path, given: Parameter | InputAttribute, entity: ObjectType, component: Component) -> Found:
    attribute = entity.attribute.get(given.name)
    if attribute is None:
        hint = did_you_mean(given.name, entity.attribute)
        yield path, "B023", f"{entity.name} has no attribute {quoted(given.name)} to take this parameter{hint}"
        return
    wanted = attribute.type
    name = "ID" if wanted.name in component.types else wanted.name
    optional_for_required = wanted.required and not given.type.required
    if given.type.name != name or given.type.is_list != wanted.is_list or optional_for_required:
        fitting = TypeRef(
            name=name, is_list=wanted.is_list, required=wanted.required, items_required=wanted.items_required
        )
        message = f"{quoted(given.name)} is {quoted(str(given.type))}, and {entity.name} takes {quoted(str(fitting))}"
        yield path, "B023", message


def _handlers(component: Component, doubtful: frozenset[str]) -> Found:
    for index, handler in enumerate(component.content.handlers):
        if handler.apply is None or handler.name in doubtful or handler.apply.target in doubtful:
            continue
        path: Path = (_CONTENT, "handlers", index, "apply", handler.apply.operation)
        if handler.apply.target not in component.types:
            hint = did_you_mean(handler.apply.target, component.types)
            yield path, "B012", f"unknown type {quoted(handler.apply.target)}{hint}"
            continue
        yield from _apply(component, handler, path, doubtful)


def _apply(component: Component, handler: Handler, path: Path, doubtful: frozenset[str]) -> Found:
    if handler.apply is None or handler.event not in component.events:
        return
    payload = component.events[handler.event].payload
    shape = component.types.get(payload) or component.inputs.get(payload)
    if shape is None or payload in doubtful or payload == handler.apply.target:
        return
    given = {attribute.name for attribute in shape.attributes} | ({"id"} if isinstance(shape, ObjectType) else set())
    entity = component.types[handler.apply.target]
    needed = {"id"}
    if handler.apply.operation == "create":
        needed |= {attribute.name for attribute in entity.attributes if attribute.type.required}
    missing = sorted(needed - given)
    if missing:
        listed = ", ".join(missing)
        message = (
            f"{handler.event} carries {payload}, which lacks {listed} of {entity.name}; write the handler in Python"
        )
        yield path, "B023", message
