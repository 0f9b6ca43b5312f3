"""Names: which are taken, by Python, Django, GraphQL or another declaration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from byron.schema import names
from byron.schema.declarations import TYPE_SECTIONS, Declarations, Found
from byron.schema.loader import Path
from byron.schema.model import Attribute, Command, Handler, InputAttribute
from byron.schema.names import is_python_word, is_reserved_file, snake_case
from byron.schema.problems import quoted
from byron.schema.reads import additions
from byron.schema.types import SCALARS

#: What can be compared as a date, and so gets methods from Django.
_DATES = frozenset({"Date", "DateTime"})


def check_names(declarations: Declarations) -> Found:
    """Find names that are reserved, too long, or used twice."""
    yield from _type_names(declarations)
    yield from _enum_values(declarations)
    yield from _model_attributes(declarations)
    yield from _input_attributes(declarations)
    yield from _functions(declarations)
    yield from _parameters(declarations)
    yield from _hooks(declarations)
    events = [
        (("content", "events", at, "name"), event.name)
        for at, event in enumerate(declarations.component.content.events)
    ]
    yield from _repeats(events, "one of the events")


def _type_names(declarations: Declarations) -> Found:
    content = declarations.component.content
    named: list[tuple[Path, str]] = [
        (("content", section, index, "name"), item.name)
        for section in TYPE_SECTIONS
        for index, item in enumerate(getattr(content, section))
    ]
    added = additions(declarations.component).names
    for path, name in named:
        if name in added:
            message = f"{quoted(name)} is what Byron calls a type that a declared read needs; choose another name"
            yield path, "B015", message
        elif name in SCALARS:
            yield path, "B015", f"{quoted(name)} is a scalar of the type table; choose another name"
        elif name in names.RESERVED_TYPES:
            yield path, "B015", f"{quoted(name)} is reserved by GraphQL or Python; choose another name"
    yield from _repeats(named, "a type, input or enum")


def _enum_values(declarations: Declarations) -> Found:
    for index, enum in enumerate(declarations.component.content.enums):
        seen: set[str] = set()
        for at, value in enumerate(enum.values):
            path: Path = ("content", "enums", index, "values", at)
            if value in names.RESERVED_ENUM_VALUES:
                yield path, "B015", f"{quoted(value)} is reserved by GraphQL or Python; choose another name"
            if value in seen:
                yield path, "B016", f"{quoted(value)} stands twice in this enum; remove one"
            seen.add(value)


def _model_attributes(declarations: Declarations) -> Found:
    for index, kind in enumerate(declarations.component.content.types):
        base: Path = ("content", "types", index, "attributes")
        dates = {a.python_name for a in kind.attributes if a.type.name in _DATES and not a.type.is_list}
        for at, attribute in enumerate(kind.attributes):
            path = (*base, at, "name")
            yield from _model_attribute(path, attribute, dates)
        named = [((*base, at, "name"), attribute.name) for at, attribute in enumerate(kind.attributes)]
        yield from _repeats(named, "an attribute of this type")
        yield from _columns(declarations, base, kind.attributes)


def _model_attribute(path: Path, attribute: Attribute, dates: set[str]) -> Found:
    name, python = attribute.name, attribute.python_name
    of_date = next((python.removeprefix(method) for method in names.DATE_METHODS if python.startswith(method)), "")
    if python == "id":
        yield path, "B015", 'each type gets "id: ID!" by itself; remove this attribute'
    elif python in names.MODEL_ATTRIBUTES or of_date in dates:
        yield path, "B015", f"{quoted(name)} is an attribute of every such Django model; choose another name"
    elif python in names.MODEL_WORDS:
        yield path, "B015", f"{quoted(name)} is a word that models.py needs itself; choose another name"
    elif python in names.GRAPHENE_WORDS:
        yield path, "B015", f"{quoted(name)} is reserved by Graphene; choose another name"
    elif len(python) > names.LONGEST_NAME:
        message = f"{quoted(name)} is too long: its column {python} may have {names.LONGEST_NAME} characters at most"
        yield path, "B014", message
    else:
        yield from _python_word(path, name)


def _columns(declarations: Declarations, base: Path, attributes: Sequence[Attribute]) -> Found:
    """Find attributes with the name of a reference's column: `advisor` is stored as `advisor_id`."""
    component = declarations.component
    references = {
        f"{attribute.python_name}_id": attribute.name
        for attribute in attributes
        if attribute.type.name in component.types and not attribute.type.is_list
    }
    for at, attribute in enumerate(attributes):
        reference = references.get(attribute.python_name)
        if reference is not None:
            message = f"{quoted(attribute.name)} is where the reference {quoted(reference)} is stored; rename one"
            yield (*base, at, "name"), "B016", message


def _input_attributes(declarations: Declarations) -> Found:
    content = declarations.component.content
    groups: list[tuple[Path, Sequence[InputAttribute], str]] = [
        *((("content", "inputs", index), group.attributes, "input") for index, group in enumerate(content.inputs)),
        *((("content", "events", index), event.attributes, "event") for index, event in enumerate(content.events)),
    ]
    for owner, members, kind in groups:
        base = (*owner, "attributes")
        for at, member in enumerate(members):
            yield from _python_word((*base, at, "name"), member.name)
        named = [((*base, at, "name"), member.name) for at, member in enumerate(members)]
        yield from _repeats(named, f"an attribute of this {kind}")


def _functions(declarations: Declarations) -> Found:
    content = declarations.component.content
    sections: Iterable[tuple[str, Sequence[Command | Handler]]] = (
        ("commands", content.commands),
        ("handlers", content.handlers),
    )
    for section, functions in sections:
        named = [(("content", section, index, "name"), function.name) for index, function in enumerate(functions)]
        for path, name in named:
            yield from _file(path, name)
        yield from _repeats(named, f"one of the {section}")


def _file(path: Path, name: str) -> Found:
    """Find a name that a function and its file cannot have."""
    python = snake_case(name)
    if is_reserved_file(python):
        message = f"{quoted(name)} would be the file {python}.py, which pytest or Windows takes for something else"
        yield path, "B015", f"{message}; choose another name"
    elif python in names.GRAPHENE_WORDS:
        yield path, "B015", f"{quoted(name)} is reserved by Graphene; choose another name"
    else:
        yield from _python_word(path, name)


def _parameters(declarations: Declarations) -> Found:
    for index, command in enumerate(declarations.component.content.commands):
        base: Path = ("content", "commands", index, "parameters")
        for at, parameter in enumerate(command.parameters):
            path = (*base, at, "name")
            yield from _python_word(path, parameter.name)
            if parameter.python_name in names.RESERVED_PARAMETERS:
                message = f"{quoted(parameter.name)} is an argument of Byron's own; choose another name"
                yield path, "B015", message
        named = [((*base, at, "name"), parameter.name) for at, parameter in enumerate(command.parameters)]
        yield from _repeats(named, "a parameter of this command")


def _hooks(declarations: Declarations) -> Found:
    files: dict[str, str] = {}
    for list_path, hooks in _hook_lists(declarations):
        seen: set[str] = set()
        for at, name in enumerate(hooks):
            path, python = (*list_path, at), snake_case(name)
            yield from _file(path, name)
            other = files.setdefault(python, name)
            if other != name:
                yield path, "B016", f"{quoted(name)} is in the same file as {quoted(other)}, {python}.py; rename one"
            elif python in seen:
                yield path, "B016", f"{quoted(name)} stands twice in this list; remove one"
            seen.add(python)


def _hook_lists(declarations: Declarations) -> Iterator[tuple[Path, Sequence[str]]]:
    content = declarations.component.content
    owners = chain(
        ((("content", "commands", index), command.hooks) for index, command in enumerate(content.commands)),
        ((("content", "handlers", index), handler.hooks) for index, handler in enumerate(content.handlers)),
    )
    for path, hooks in owners:
        yield (*path, "hooks", "before"), hooks.before
        yield (*path, "hooks", "after"), hooks.after


def _python_word(path: Path, name: str) -> Found:
    if is_python_word(snake_case(name)):
        yield path, "B015", f"{quoted(name)} is a Python keyword; choose another name"


def _repeats(named: Sequence[tuple[Path, str]], what: str) -> Found:
    """Find names that are the same, become the same in Python, or differ in case alone."""
    as_written: set[str] = set()
    in_python: dict[str, str] = {}
    folded: dict[str, str] = {}
    for path, name in named:
        python, fold = snake_case(name), name.casefold()
        if name in as_written:
            yield path, "B016", f"{quoted(name)} is already the name of {what}; remove or rename one"
        elif python in in_python:
            both = f"{quoted(name)} and {quoted(in_python[python])}, already the name of {what},"
            yield path, "B016", f"{both} are both {python} in Python; rename one"
        elif fold in folded:
            both = f"{quoted(name)} and {quoted(folded[fold])}, already the name of {what},"
            yield path, "B016", f"{both} differ in case alone; rename one"
        as_written.add(name)
        in_python.setdefault(python, name)
        folded.setdefault(fold, name)
