"""`default:`: what fits, what does not, and what each value is in JSON and in Python."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Any

import pytest

from byron.codegen.graphql import graphql_source
from byron.schema.defaults import default_value, plain_default
from byron.schema.model import Component
from byron.schema.problems import InvalidSchemaError
from byron.schema.reader import parse_component

SCHEMA = """\
name: A
namespace: B
content:
  enums: [{name: Course, values: [CS, MATH]}]
  inputs: [{name: Group, attributes: [{name: a, type: Int}]}]
  types:
    - name: T
      attributes: [{name: a, type: "%s", default: %s}]
    - name: Other
      attributes: [{name: a, type: Int}]
"""


def component(kind: str, default: str) -> Component:
    return parse_component(SCHEMA % (kind, default))


def problem(kind: str, default: str) -> str:
    with pytest.raises(InvalidSchemaError) as refused:
        component(kind, default)
    [found] = refused.value.problems
    line = (SCHEMA % (kind, default)).splitlines()[7]
    assert (found.line, found.column) == (8, line.index("default: ") + len("default: ") + 1)
    return f"{found.code} {found.message}".removeprefix('B027 the default of "a" does not fit: ')


@pytest.mark.parametrize(
    ("kind", "written", "plain", "python"),
    [
        ("ID", "x", "x", "x"),
        ("String!", "''", "", ""),
        ("String", "$none", "$none", "$none"),
        ("Int", "0", 0, 0),
        ("Float!", "1", 1.0, 1.0),
        ("Boolean!", "no", False, False),
        ("DateTime", "2024-02-29T14:30:00.5+02:00", "2024-02-29T12:30:00.500000Z", None),
        ("Date", "2024-02-29", "2024-02-29", datetime.date(2024, 2, 29)),
        ("Time!", "12:30:00", "12:30:00", datetime.time(12, 30)),
        ("Decimal!", "'12.50'", "12.50", decimal.Decimal("12.50")),
        ("Decimal", "7", "7", decimal.Decimal(7)),
        ("UUID", "0191D3C4-7a2b-7c3d-8e4f-5a6b7c8d9e0f", "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f", None),
        ("JSON!", "{a: [1, ~, {b: 1.5}]}", {"a": [1, None, {"b": 1.5}]}, {"a": [1, None, {"b": 1.5}]}),
        ("JSON", "[]", [], []),
        ("Course!", "MATH", "MATH", "MATH"),
        ("Other!", "'42'", "42", "42"),
        ("[Int!]!", "[]", [], []),
        ("[Course]", "[CS, ~]", ["CS", None], ["CS", None]),
        ("[Decimal]!", "['0.10', ~, 3]", ["0.10", None, "3"], [decimal.Decimal("0.10"), None, decimal.Decimal(3)]),
        ("[Other!]!", "['42']", ["42"], ["42"]),
    ],
)
def test_a_value_is_read_by_its_type(kind: str, written: str, plain: Any, python: Any) -> None:
    declared = component(kind, written)
    [attribute] = declared.types["T"].attributes

    assert repr(plain_default(declared, attribute)) == repr(plain)
    found = default_value(declared, attribute)
    if kind == "DateTime":
        python = datetime.datetime(2024, 2, 29, 12, 30, 0, 500_000, datetime.UTC)
    elif kind == "UUID":
        python = uuid.UUID(plain)
    assert (found, type(found)) == (python, type(python))


@pytest.mark.parametrize(
    ("kind", "written", "message"),
    [
        ("String", "5", "5 is no String; put it between quotes"),
        ("String!", "no", "false is no String; put it between quotes"),
        ("String", r'"a\0b"', '"a\\x00b" holds the character U+0000, which cannot be stored; remove it'),
        ("ID", "x" * 256, f'"{"x" * 59}…" is no ID: it has 255 characters at most'),
        ("Int!", "'5'", '"5" is no Int; write a whole number of 32 bits in plain digits'),
        ("Int", "2147483648", "2147483648 is no Int; write a whole number of 32 bits in plain digits"),
        ("Int", "true", "true is no Int; write a whole number of 32 bits in plain digits"),
        ("Float", "much", '"much" is no Float; write a number such as 1.5'),
        ("Float", "1.0e+999", "inf is no Float; write a number such as 1.5"),
        ("Boolean", "1", "1 is no Boolean; write true or false"),
        ("DateTime", "2024-02-29T12:30:00", None),
        ("DateTime", "0001-01-01T00:00:00+14:00", None),
        ("Date", "2023-02-29", '"2023-02-29" is no Date; write it as "2024-02-29", between quotes'),
        ("Time", "12:30:00Z", '"12:30:00Z" is no Time; write it as "12:30:00", between quotes'),
        ("Decimal", "12.50", '12.5 is no Decimal; write it as "12.50", between quotes'),
        ("Decimal", "NaN", '"NaN" is no Decimal; write it as "12.50", between quotes'),
        ("Decimal", "true", 'true is no Decimal; write it as "12.50", between quotes'),
        ("UUID", "x", None),
        ("JSON", "{a: 18446744073709551616}", "18446744073709551616 has more than 64 bits; put it between quotes"),
        ("JSON", "[1.0e+999]", "inf is no number that JSON holds; put it between quotes"),
        ("Course", "MAHT", '"MAHT" is no Course; did you mean "MATH"?'),
        ("Course", "x", '"x" is no Course; it is one of CS, MATH'),
        ("Course!", "yes", "true is no Course; put it between quotes"),
        ("Other", "''", '"" is no id of Other: it has 1 to 255 characters'),
        ("Other", "5", "5 is no Other; put it between quotes"),
        ("[Int!]", "5", "5 is no list; put it between brackets"),
        ("[Int!]", "[1, ~]", '"[Int!]" holds no null; remove it'),
        ("[Int]", "[1, x]", '"x" is no Int; write a whole number of 32 bits in plain digits'),
        ("Int", "[1]", "a list is no Int; write a whole number of 32 bits in plain digits"),
        ("Int", "~", 'B013 "default" is empty; it takes a value'),
    ],
)
def test_a_value_that_does_not_fit_is_a_problem_with_its_place_and_remedy(
    kind: str, written: str, message: str | None
) -> None:
    found = problem(kind, written)

    assert found == message if message else ("is no" in found and "; write it as" in found or "a number" in found)


def problems(*declared: str) -> list[str]:
    with pytest.raises(InvalidSchemaError) as refused:
        parse_component(SCHEMA % ("Int", 1) + "\n".join(f"  {line}" for line in declared) + "\n")
    return [f"{found.line}:{found.column}: {found.code} {found.message}" for found in refused.value.problems]


def test_a_default_that_no_two_may_share_is_refused() -> None:
    source = SCHEMA.replace("default: %s", "default: %s, unique: true") % ("String", "x")

    with pytest.raises(InvalidSchemaError, match="8:55: B022") as refused:
        parse_component(source)
    assert '"a" is unique, so no two may have its default; remove default: or unique:' in str(refused.value)


def test_a_default_is_no_longer_than_its_index_takes() -> None:
    source = SCHEMA.replace("default: %s", "default: %s, index: true")
    assert parse_component(source % ("String", "x" * 2600))

    with pytest.raises(InvalidSchemaError, match='8:55: B027 the default of "a" does not fit: .* 2600 bytes of UTF-8'):
        parse_component(source % ("String", "x" * 2601))


def test_what_clients_send_has_no_default_that_graphql_cannot_show() -> None:
    parameters = (
        "[{name: j, type: JSON, default: {}}, {name: k, type: JSON, default: 1}, {name: g, type: Group, default: {}}]"
    )
    assert problems(
        "commands:",
        "  - name: f",
        "    type: mutation",
        "    returnType: Int",
        f"    parameters: {parameters}",
    ) == [
        '15:51: B027 the default of "j" is a list or an object within JSON, which GraphQL cannot show here; leave it '
        "out, and set it in Python",
        '15:123: B027 the default of "g" does not fit: "Group" is an input; give its attributes defaults instead',
    ]


def test_a_default_of_a_doubtful_type_is_not_judged() -> None:
    assert [line.split()[1] for line in problems("events: [{name: e, payload: T}]", "x: 1")] == ["B010"]
    source = SCHEMA % ("Strng", "5")
    with pytest.raises(InvalidSchemaError) as refused:
        parse_component(source)
    assert [found.code for found in refused.value.problems] == ["B012"]


COMMAND = """\
  commands:
    - {name: q, type: query, returnType: Int}
    - name: make
      type: mutation
      returnType: "T!"
      parameters: [%s]
      emit: {event: t.made%s}
"""


def test_a_declared_mutation_shows_the_defaults_of_what_may_be_left_out() -> None:
    source = graphql_source(parse_component(SCHEMA % ("Course!", "MATH") + COMMAND % ("{name: a, type: Course}", "")))

    assert "make(a: Course = MATH): T!" in source


def test_a_parameter_that_must_be_given_stays_so() -> None:
    command = COMMAND % ('{name: a, type: "Course!"}', "")

    assert "make(a: Course!): T!" in graphql_source(parse_component(SCHEMA % ("Course!", "MATH") + command))


def test_a_default_of_its_own_comes_first() -> None:
    command = COMMAND % ('{name: a, type: "Course!", default: CS}', "")

    assert "make(a: Course! = CS): T!" in graphql_source(parse_component(SCHEMA % ("Course!", "MATH") + command))


def test_a_required_attribute_with_a_default_needs_no_parameter() -> None:
    assert parse_component(SCHEMA % ("Course!", "MATH") + COMMAND % ("", ""))


def test_an_update_cannot_send_what_was_left_out() -> None:
    command = COMMAND % ('{name: id, type: "ID!"}, {name: a, type: Int, default: 5}', ", update: T")

    with pytest.raises(InvalidSchemaError) as refused:
        parse_component(SCHEMA % ("Int", "1") + command)

    assert str(refused.value) == (
        'schema.yaml:16:45: B022 "a" has a default, which would be sent whenever it is left out, and update: leaves '
        "that alone; remove the default"
    )


def test_an_event_may_lack_what_has_a_default_to_be_stored() -> None:
    handlers = "  events: [{name: e, payload: Short}]\n  handlers: [{name: h, event: e, apply: {create: T}}]\n"
    short = '  inputs: [{name: Short, attributes: [{name: id, type: "ID!"}]},'
    source = (SCHEMA % ("Int!", "1") + handlers).replace("  inputs: [", short)

    assert parse_component(source)
    with pytest.raises(InvalidSchemaError, match="which lacks a of T"):
        parse_component(source.replace(", default: 1", ""))
