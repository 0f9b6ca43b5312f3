"""Where null comes in an order: after every value, on each engine; before every value in a descending one."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import F, QuerySet
from django.db.models.constants import LOOKUP_SEP


def with_nulls_last(rows: QuerySet[Any], name: Any) -> Any:
    """Return what `order_by` was given so that it says where null comes, unless there is none, or it says so itself."""
    if not isinstance(name, str) or not name.lstrip("-") or name == "?" or rows.query.combinator:
        return name
    plain = name.removeprefix("-")
    if not _may_be_null(rows, plain):
        return name
    return F(plain).asc(nulls_last=True) if plain == name else F(plain).desc(nulls_first=True)


def _may_be_null(rows: QuerySet[Any], name: str) -> bool:
    if name in rows.query.annotations:
        # What is computed is for whoever computes it: MongoDB does not tell its null in an order.
        return False
    if LOOKUP_SEP in name:
        return True
    try:
        return bool(getattr(rows.model._meta.get_field(name), "null", False))
    except FieldDoesNotExist:
        # Such as "pk"; Django says what is wrong with others.
        return False
