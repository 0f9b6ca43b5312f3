"""Lists in pages, by keyset: a page goes on after an entity's values, however many there are before it.

An entity that is added or removed meanwhile neither repeats nor hides another, as it would with offsets.
The method is known as seek or keyset pagination (M. Winand, "SQL Performance Explained", 2012).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy

from byron.commands.cursors import read, written
from byron.exceptions import CommandError
from byron.schema.reads import Order

Rows = QuerySet[Any]


class Page:
    """Part of a list. Nothing is read before it is asked for."""

    def __init__(
        self,
        rows: Rows,
        order: Sequence[Order],
        *,
        size: int,
        after: str | None = None,
        columns: Collection[str] = (),
    ) -> None:
        """Begin after a cursor, or at the first row, and load only these attributes; all without any.

        Raises CommandError when the cursor is none of this list's.
        """
        self.is_first = after is None
        self._all = rows
        self._order = order
        self._size = size
        start = rows if after is None else following(rows, order, self._place(after))
        needed = {*columns, *(each.python_name for each in order)} if columns else set()
        self._rows = ordered(start, order).only(*needed)[: size + 1]

    @cached_property
    def nodes(self) -> list[Any]:
        """The page's entities."""
        return list(self._rows)[: self._size]

    @property
    def has_next(self) -> bool:
        """Whether there are more entities after the page."""
        return len(self._rows) > self._size

    @cached_property
    def total(self) -> int:
        """How many entities all pages have together."""
        return self._all.count()

    def cursor(self, node: Any) -> str:
        """Return the text after which a page goes on behind an entity of this one."""
        values = [written(getattr(node, _field(self._all, each).attname)) for each in self._order]
        text = json.dumps([self._signature, values], ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @property
    def _signature(self) -> str:
        return " ".join(("-" if each.descending else "") + each.attribute for each in self._order)

    def _place(self, cursor: str) -> list[Any]:
        try:
            signature, values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            if signature != self._signature or len(values) != len(self._order):
                raise ValueError("of another order")
            fields = [_field(self._all, each) for each in self._order]
            return [read(field, value) for field, value in zip(fields, values, strict=True)]
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            message = "after is no cursor of this list in this order; begin again without it."
            raise CommandError(message, code="UNKNOWN_CURSOR") from error


def ordered(rows: Rows, order: Sequence[Order]) -> Rows:
    """Return rows in an order in which null comes after every value, on every database."""
    return rows.order_by(*(_expression(_field(rows, each), each) for each in order))


def following(rows: Rows, order: Sequence[Order], place: Sequence[Any]) -> Rows:
    """Return the rows that come after these values in an order."""
    beyond, same = Q(pk__in=[]), Q()
    for each, value in zip(order, place, strict=True):
        beyond |= same & _further(_field(rows, each), each, value)
        same &= Q(**{f"{each.python_name}__isnull": True}) if value is None else Q(**{each.python_name: value})
    return rows.filter(beyond)


def _further(field: Any, each: Order, value: Any) -> Q:
    name = each.python_name
    if each.descending:
        return Q(**{f"{name}__isnull": False}) if value is None else Q(**{f"{name}__lt": value})
    if value is None:
        return Q(pk__in=[])
    greater = Q(**{f"{name}__gt": value})
    return greater | Q(**{f"{name}__isnull": True}) if field.null else greater


def _expression(field: Any, each: Order) -> OrderBy:
    # Where there is no null, nothing is said of it: an index would not be used for what it was not made for.
    if each.descending:
        return F(each.python_name).desc(nulls_first=True if field.null else None)
    return F(each.python_name).asc(nulls_last=True if field.null else None)


def _field(rows: Rows, each: Order) -> Any:
    return rows.model._meta.get_field(each.python_name)
