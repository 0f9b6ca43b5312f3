"""What a query answers beside what it should: told row by row and attribute by attribute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from byron.schema.model import ObjectType
from byron.schema.problems import did_you_mean, listed
from byron.testing.alike import alike
from byron.testing.reports import cut, shown

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True


def answers_differ(expected: Any, found: Any, *, kind: ObjectType | None) -> list[str]:
    """Return in what an answer is not as expected, as lines for people; none when it is.

    Of entities, which are of a kind, the attributes that are expected count, and of their lists how many there are, and
    their order. Any other value, and what an attribute holds, must be just that.
    """
    return cut([f"  {line}" for line in _lines("", expected, found, kind=kind, is_whole=kind is None)])


def _lines(place: str, expected: Any, found: Any, *, kind: ObjectType | None, is_whole: bool) -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        # A page holds entities; what an attribute holds, GraphQL does not look into.
        is_page = not is_whole and "pageInfo" in found
        of_kind = None if is_page else kind
        for name in dict.fromkeys([*expected, *found] if is_whole else expected):
            inner = f"{place}.{name}" if place else f"{name}"
            if name not in found:
                yield f"{inner}: {_absence(name, expected[name], found, of_kind)}"
            elif name not in expected:
                yield f"{inner}: {shown(found[name])}, not expected"
            else:
                within = kind if is_page and name == "nodes" else None
                yield from _lines(inner, expected[name], found[name], kind=within, is_whole=not is_page)
    elif isinstance(expected, list | tuple) and isinstance(found, list):
        yield from _rows(place, expected, found, kind=kind, is_whole=is_whole)
    elif not alike(expected, found):
        yield f"{place + ': ' if place else ''}expected {shown(expected)}, found {shown(found)}"


def _absence(name: Any, expected: Any, found: Mapping[str, Any], kind: ObjectType | None) -> str:
    """Say why an answer has nothing by a name: it was not asked for, or there is no such thing."""
    if kind is None:
        return f"expected {shown(expected)}, and not there{did_you_mean(str(name), found)}"
    if any(name in (each.name, each.python_name) and each.name not in found for each in kind.attributes):
        return "a reference, which `then_query` does not ask for: write a document for `component.graphql`"
    known = list(dict.fromkeys([*found, *(each.name for each in kind.attributes)]))
    return f"{kind.name} has no {name}{did_you_mean(str(name), known) or '.'} It has: {listed(known)}."


def _rows(
    place: str, expected: Sequence[Any], found: Sequence[Any], *, kind: ObjectType | None, is_whole: bool
) -> Iterator[str]:
    """Tell rows by their ids where they have any, and by their places otherwise."""
    wanted, there = _by_id(expected), _by_id(found)
    if wanted is None or there is None:
        wanted, there = dict(enumerate(expected)), dict(enumerate(found))
        names = {number: f"{place}[{number}]" for number in [*wanted, *there]}
    else:
        names = {identity: f"{place}[id {identity}]" for identity in [*wanted, *there]}
    for key, name in names.items():
        if key not in there:
            yield f"{name}: missing; expected {shown(wanted[key])}"
        elif key not in wanted:
            yield f"{name}: not expected; found {shown(there[key])}"
        else:
            yield from _lines(name, wanted[key], there[key], kind=kind, is_whole=is_whole)
    if set(wanted) == set(there) and list(wanted) != list(there):
        yield f"{place + ': ' if place else ''}expected in the order {shown(list(wanted))}, found {shown(list(there))}"


def _by_id(rows: Sequence[Any]) -> dict[Any, Any] | None:
    """Return rows by their ids, or None when some have none, or the same."""
    if not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        return None
    found = {row["id"]: row for row in rows}
    return found if len(found) == len(rows) else None
