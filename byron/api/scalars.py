"""The GraphQL scalars that GraphQL itself lacks, each read exactly and written as it was given."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import graphene
from graphql import GraphQLError, StringValueNode
from graphql.language import ast
from graphql.pyutils import Undefined, inspect
from graphql.utilities import value_from_ast_untyped

from byron.schema.forms import FORMS, FormError
from byron.schema.values import check_finite, check_json, plain_decimal

#: Characters of a text that an error repeats.
_SHOWN = 80


def _from_text(name: str) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """Return `parse_value` and `parse_literal` of a scalar that is written as a string of one form."""
    form = FORMS[name]

    def parse_value(value: Any) -> Any:
        reason = ""
        if isinstance(value, str):
            try:
                return form.value(value)
            except FormError:
                pass
            except ValueError as error:
                reason = f": {str(error).rstrip('.')}"
        given = f'"{value[:_SHOWN]}"' if isinstance(value, str) else inspect(value)
        raise GraphQLError(f'{name} takes a string such as "{form.example}", not {given}{reason}.')

    def parse_literal(node: ast.ValueNode, variables: Any = None) -> Any:
        with _placed(node):
            return parse_value(node.value if isinstance(node, StringValueNode) else value_from_ast_untyped(node))

    return parse_value, parse_literal


@contextmanager
def _placed(node: ast.ValueNode) -> Iterator[None]:
    """Say of an error where in the document its value is."""
    try:
        yield
    except GraphQLError as error:
        raise GraphQLError(error.message, node) from error


def _json(value: Any) -> Any:
    """Return a JSON value as it can be stored. Raises GraphQLError for one that would not come back as it is."""
    try:
        check_json(value)
    except ValueError as error:
        raise GraphQLError(str(error)) from error
    return value


def _stored_json(value: Any) -> Any:
    """Return a JSON value as it is, if JSON can say it: what was stored once must not hide a whole list of others."""
    check_finite(value)
    return value


def _given(value: Any) -> Any:
    """Return a literal's value with null for each variable in it that was not given."""
    if isinstance(value, dict):
        return {key: _given(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_given(item) for item in value]
    return None if value is Undefined else value


def _iso(value: Any) -> str:
    """Return a date or a time in ISO 8601; an event's payload may hold it so already."""
    return value if isinstance(value, str) else str(value.isoformat())


def _iso_moment(value: Any) -> str:
    """Return a moment in UTC, in ISO 8601: so it is the same in a mutation's answer and when it is read later."""
    moment = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    return str(moment.astimezone(datetime.UTC).isoformat()).replace("+00:00", "Z")


def _decimal_text(value: Any) -> str:
    """Return a decimal's text: the same in the answer of whatever a command returned, and when it is read later."""
    return str(plain_decimal(value if isinstance(value, decimal.Decimal) else decimal.Decimal(value)))


class DateTime(graphene.Scalar):
    """A moment, in ISO 8601: `2024-02-29T12:30:00Z`. It is taken in any zone and given in UTC."""

    serialize = staticmethod(_iso_moment)
    parse_value, parse_literal = map(staticmethod, _from_text("DateTime"))


class Date(graphene.Scalar):
    """A day, in ISO 8601: `2024-02-29`."""

    serialize = staticmethod(_iso)
    parse_value, parse_literal = map(staticmethod, _from_text("Date"))


class Time(graphene.Scalar):
    """A time of day without a zone, in ISO 8601: `12:30:00`."""

    serialize = staticmethod(_iso)
    parse_value, parse_literal = map(staticmethod, _from_text("Time"))


class Decimal(graphene.Scalar):
    """An exact decimal of any size, as a string: `"12.50"`."""

    serialize = staticmethod(_decimal_text)
    parse_value, parse_literal = map(staticmethod, _from_text("Decimal"))


class UUID(graphene.Scalar):
    """A UUID: `"0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f"`."""

    serialize = staticmethod(str)
    parse_value, parse_literal = map(staticmethod, _from_text("UUID"))


class JSON(graphene.Scalar):
    """Any JSON value."""

    serialize = staticmethod(_stored_json)
    parse_value = staticmethod(_json)

    @staticmethod
    def parse_literal(node: ast.ValueNode, variables: Any = None) -> Any:
        with _placed(node):
            return _json(_given(value_from_ast_untyped(node, variables)))
