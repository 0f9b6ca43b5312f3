"""`renamedFrom:`: whether the old names are free, and each of one thing alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from byron.schema.declarations import TYPE_SECTIONS, Declarations, Found
from byron.schema.loader import Path
from byron.schema.model import Attribute, EventType, InputAttribute, InputType, ObjectType
from byron.schema.names import snake_case
from byron.schema.problems import quoted


def check_renames(declarations: Declarations) -> Found:
    """Find old names that are still in use, or that two things have."""
    yield from _types(declarations)
    content = declarations.component.content
    shapes: Iterator[tuple[str, int, ObjectType | InputType | EventType]] = chain(
        (("types", index, kind) for index, kind in enumerate(content.types)),
        (("inputs", index, group) for index, group in enumerate(content.inputs)),
        (("events", index, event) for index, event in enumerate(content.events)),
    )
    for section, index, shape in shapes:
        yield from _attributes(shape, ("content", section, index, "attributes"))


def _types(declarations: Declarations) -> Found:
    content = declarations.component.content
    # As Django and the databases see them: without regard to case.
    used = {item.name.casefold(): item.name for section in TYPE_SECTIONS for item in getattr(content, section)}
    owners: dict[str, str] = {}
    for index, kind in enumerate(content.types):
        for path, old in _old_names(("content", "types", index), kind.renamed_from):
            name = used.get(old.casefold())
            if name is not None and name != kind.name or old == kind.name:
                yield path, "B026", _in_use(old, "this schema")
            elif owners.setdefault(old.casefold(), kind.name) != kind.name:
                yield path, "B026", _had_by(old, owners[old.casefold()])


def _attributes(shape: ObjectType | InputType | EventType, base: Path) -> Found:
    attributes: Sequence[Attribute | InputAttribute] = shape.attributes
    # Not by its Python name when it is the attribute's own: fullName may have been full_name.
    columns = {each.python_name: each.name for each in attributes}
    if isinstance(shape, ObjectType):
        columns["id"] = "id"
    owners: dict[str, str] = {}
    for at, attribute in enumerate(attributes):
        for path, old in _old_names((*base, at), attribute.renamed_from):
            column = snake_case(old)
            if old == attribute.name or columns.get(column, attribute.name) != attribute.name:
                yield path, "B026", _in_use(old, shape.name)
            elif owners.setdefault(column, attribute.name) != attribute.name:
                yield path, "B026", _had_by(old, owners[column])


def _old_names(path: Path, names: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Give each old name with the place to show: the list of them, since one name may stand without a list."""
    for name in names:
        yield (*path, "renamedFrom"), name


def _in_use(name: str, where: str) -> str:
    return f"{quoted(name)} is a name in {where} still, so nothing else was renamed from it; remove it here, or there"


def _had_by(name: str, owner: str) -> str:
    return f"{quoted(name)} is what {quoted(owner)} was renamed from already; remove it from one of them"
