"""Declared reads: `read:` and a client's arguments → entities, an entity, a number or a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import StrIndex

from byron.commands.context import Context
from byron.commands.pages import Page, following, ordered
from byron.exceptions import CommandError
from byron.schema.model import Command, Read
from byron.schema.names import snake_case
from byron.schema.reads import Order, default_order, orders

Rows = QuerySet[Any]

#: Values that one `in:` may list: databases have limits of their own, far above.
_MOST_VALUES = 1000

_LOOKUPS = {"eq": "exact", "in": "in", "lt": "lt", "lte": "lte", "gt": "gt", "gte": "gte", "is_null": "isnull"}

#: The conditions that clients write otherwise.
_WRITTEN = {"starts_with": "startsWith", "is_null": "isNull"}


def run_read(context: Context, command: Command, read: Read, arguments: Mapping[str, Any]) -> Any:
    """Do what a `read:` says; `arguments` has snake_case names.

    Returns a QuerySet for a list, a Page where the command returns pages, an entity or None for a get, an int for
    a count; of entities only what the client asks for is loaded. Raises CommandError for arguments that make no
    sense.
    """
    everything: Rows = getattr(context.db, read.target)._default_manager.all()
    if read.get:
        name = snake_case(read.by or "id")
        return everything.only(*context.columns).filter(**{name: arguments[name]}).first()
    chosen = _filtered(everything, read, arguments)
    if read.count:
        return chosen.count()
    size = _size(arguments.get("first"), read.limit)
    order, after = _order(read, arguments.get("order_by")), arguments.get("after")
    if command.returns_pages:
        return Page(chosen, order, size=size, after=after, columns=context.columns)
    if after is not None:
        chosen = following(chosen, order, _place_of(everything, order, after))
    return ordered(chosen, order)[:size]


def _filtered(rows: Rows, read: Read, arguments: Mapping[str, Any]) -> Rows:
    # A variable that a client leaves null is a filter that it leaves out.
    for name in map(snake_case, read.filter):
        if arguments.get(name) is not None:
            rows = rows.filter(**{name: arguments[name]})
    for name, conditions in (arguments.get("where") or {}).items():
        for operator, value in (conditions or {}).items():
            if value is None:
                instead = "" if operator == "is_null" else ", or use isNull"
                raise _refusal(f"{_shown(read, name, operator)} is null; leave it out{instead}.")
            if operator == "in" and len(value) > _MOST_VALUES:
                shown = _shown(read, name, operator)
                raise _refusal(f"{shown} lists {len(value)} values; {_MOST_VALUES} are the most.")
            rows = _where(rows, name, operator, value)
    return rows


def _shown(read: Read, name: str, operator: str) -> str:
    """Return a condition's place as the client wrote it."""
    attribute = next((each for each in read.filter if snake_case(each) == name), name)
    return f"where.{attribute}.{_WRITTEN.get(operator, operator)}"


def _where(rows: Rows, name: str, operator: str, value: Any) -> Rows:
    if operator in _LOOKUPS:
        return rows.filter(**{f"{name}__{_LOOKUPS[operator]}": value})
    if operator not in ("contains", "starts_with"):
        raise LookupError(f"There is no condition {operator!r}.")
    # Not LIKE, which tells upper from lower case on PostgreSQL and does not on SQLite.
    place = f"{name}_{operator}_place"
    found = Q(**{place: 1}) if operator == "starts_with" else Q(**{f"{place}__gt": 0})
    located: Rows = rows.alias(**{place: StrIndex(F(name), Value(value))})
    return located.filter(found)


def _size(first: int | None, limit: int) -> int:
    if first is None:
        return limit
    if first < 0:
        raise _refusal(f"first is {first}; it must be 0 or more.")
    if first > limit:
        raise _refusal(f"first is {first}; {limit} are the most at once. Go on with after.")
    return first


def _order(read: Read, chosen: Sequence[str] | None) -> list[Order]:
    """Return what to order by. The id ends every order, so that equal values come in the same order each time."""
    known = orders(read)
    wanted = default_order(read) if chosen is None else [known[name] for name in chosen]
    order: dict[str, Order] = {}
    for each in [*wanted, Order(attribute="id", descending=False)]:
        order.setdefault(each.attribute, each)
    return list(order.values())


def _place_of(rows: Rows, order: Sequence[Order], identity: str) -> list[Any]:
    """Return the values that an entity is ordered by."""
    found = rows.filter(pk=identity).values_list(*(each.python_name for each in order)).first()
    if found is None:
        message = f'after is "{identity}", which is not there, or not any more; begin again without it.'
        raise CommandError(message, code="UNKNOWN_CURSOR")
    return list(found)


def _refusal(message: str) -> CommandError:
    return CommandError(message, code="BAD_USER_INPUT")
