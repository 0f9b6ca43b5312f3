"""The GraphQL scalars that GraphQL itself lacks, each read exactly and written as it was given."""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable
from typing import Any

import graphene
from graphql import GraphQLError, StringValueNode
from graphql.language import ast
from graphql.utilities import value_from_ast_untyped

#: Digits before or after the point, at most: far within what PostgreSQL's numeric stores.
_LARGEST_EXPONENT = 1000


def _from_text(name: str, example: str, read: Callable[[str], Any]) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """Return `parse_value` and `parse_literal` of a scalar that is written as a string."""

    def parse_value(value: Any) -> Any:
        if not isinstance(value, str):
            raise GraphQLError(f'{name} takes a string such as "{example}", not {value!r}.')
        try:
            return read(value)
        except (ValueError, ArithmeticError) as error:
            raise GraphQLError(f'{name} takes a string such as "{example}", not "{value}".') from error

    def parse_literal(node: ast.ValueNode, variables: Any = None) -> Any:
        return parse_value(node.value if isinstance(node, StringValueNode) else value_from_ast_untyped(node))

    return parse_value, parse_literal


def _zoned(text: str) -> datetime.datetime:
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return moment


def _finite(text: str) -> decimal.Decimal:
    number = decimal.Decimal(text)
    if not number.is_finite():
        raise ValueError("not finite")
    if abs(number.adjusted()) > _LARGEST_EXPONENT or len(number.as_tuple().digits) > _LARGEST_EXPONENT:
        raise ValueError("more than any Cache stores")
    return number


def _iso(value: Any) -> str:
    """Return a date, a time or both in ISO 8601; an event's payload may hold it so already."""
    if isinstance(value, str):
        return value
    return str(value.isoformat()).replace("+00:00", "Z")


class DateTime(graphene.Scalar):
    """A moment with its zone, in ISO 8601: `2024-02-29T12:30:00Z`."""

    serialize = staticmethod(_iso)
    parse_value, parse_literal = map(staticmethod, _from_text("DateTime", "2024-02-29T12:30:00Z", _zoned))


class Date(graphene.Scalar):
    """A day, in ISO 8601: `2024-02-29`."""

    serialize = staticmethod(_iso)
    parse_value, parse_literal = map(staticmethod, _from_text("Date", "2024-02-29", datetime.date.fromisoformat))


class Time(graphene.Scalar):
    """A time of day, in ISO 8601: `12:30:00`."""

    serialize = staticmethod(_iso)
    parse_value, parse_literal = map(staticmethod, _from_text("Time", "12:30:00", datetime.time.fromisoformat))


class Decimal(graphene.Scalar):
    """An exact decimal of any size, as a string: `"12.50"`."""

    serialize = staticmethod(str)
    parse_value, parse_literal = map(staticmethod, _from_text("Decimal", "12.50", _finite))


class UUID(graphene.Scalar):
    """A UUID: `"0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f"`."""

    serialize = staticmethod(str)
    parse_value, parse_literal = map(
        staticmethod, _from_text("UUID", "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f", uuid.UUID)
    )


class JSON(graphene.Scalar):
    """Any JSON value."""

    @staticmethod
    def serialize(value: Any) -> Any:
        return value

    @staticmethod
    def parse_value(value: Any) -> Any:
        return value

    @staticmethod
    def parse_literal(node: ast.ValueNode, variables: Any = None) -> Any:
        return value_from_ast_untyped(node, variables)
