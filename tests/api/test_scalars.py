"""The scalars that GraphQL lacks: one form each, and nothing that a Cache would give back changed."""

from __future__ import annotations

import datetime
import decimal
import uuid

import pytest
from graphql import GraphQLError, parse_value

from byron.api import scalars
from byron.testing import GraphQLFailure


@pytest.mark.parametrize(
    ("scalar", "text", "value"),
    [
        (scalars.DateTime, "2024-02-29T12:30Z", datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)),
        (
            scalars.DateTime,
            "2024-02-29T12:30:00.5+00:00",
            datetime.datetime(2024, 2, 29, 12, 30, 0, 500000, datetime.UTC),
        ),
        (scalars.Date, "0001-01-01", datetime.date.min),
        (scalars.Time, "23:59:59.999999", datetime.time.max),
        (scalars.Decimal, "-0.00", decimal.Decimal("0.00")),
        (scalars.Decimal, "+1e3", decimal.Decimal("1000")),
        (scalars.UUID, "0191D3C4-7a2b-7c3d-8e4f-5a6b7c8d9e0f", uuid.UUID("0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f")),
        (
            scalars.JSON,
            {"a": [1, None, 2**64 - 1, -(2**63), 0.5, "ü"]},
            {"a": [1, None, 2**64 - 1, -(2**63), 0.5, "ü"]},
        ),
    ],
)
def test_a_value_is_read_exactly(scalar, text, value):
    read = scalar.parse_value(text)
    assert (read, str(read)) == (value, str(value))


@pytest.mark.parametrize(
    ("scalar", "text"),
    [
        (scalars.DateTime, "2024-02-29T12:30:00"),
        (scalars.DateTime, "2024-02-29 12:30:00Z"),
        (scalars.DateTime, "2024-02-29T12:30:00.1234567Z"),
        (scalars.DateTime, "2024-02-30T12:30:00Z"),
        (scalars.DateTime, "0001-01-01T00:00:00+14:00"),
        (scalars.DateTime, "9999-12-31T23:59:59-14:00"),
        (scalars.DateTime, "20240229T123000Z"),
        (scalars.Date, "20240229"),
        (scalars.Date, "2024-W09-4"),
        (scalars.Date, "2024-02-29T00:00:00Z"),
        (scalars.Time, "12:30:00Z"),
        (scalars.Time, "12:30:00+02:00"),
        (scalars.Time, "24:00"),
        (scalars.Time, "12"),
        (scalars.Decimal, " 1"),
        (scalars.Decimal, "1_000"),
        (scalars.Decimal, "٣"),
        (scalars.Decimal, "Infinity"),
        (scalars.Decimal, "1e1001"),
        (scalars.Decimal, "1" * 1002),
        (scalars.Decimal, ""),
        (scalars.Decimal, 1.5),
        (scalars.Decimal, True),
        (scalars.UUID, "{0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f}"),
        (scalars.UUID, "0191d3c47a2b7c3d8e4f5a6b7c8d9e0f"),
        (scalars.UUID, 5),
    ],
)
def test_other_forms_are_refused_with_an_example(scalar, text):
    with pytest.raises(GraphQLError, match=f'^{scalar.__name__} takes a string such as ".+", not '):
        scalar.parse_value(text)


def test_an_error_does_not_repeat_a_long_text():
    with pytest.raises(GraphQLError) as caught:
        scalars.UUID.parse_value("x" * 100_000)
    assert len(str(caught.value)) < 300


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2**64, "JSON takes integers of 64 bits; write larger ones as strings."),
        ({"a": [-(2**63) - 1]}, "JSON takes integers of 64 bits; write larger ones as strings."),
        ({"a\0": 1}, "JSON takes no character U+0000, which not every Cache can store."),
        (["\0"], "JSON takes no character U+0000, which not every Cache can store."),
        (float("inf"), "JSON takes finite numbers."),
        (float("nan"), "JSON takes finite numbers."),
        (nested(101), "JSON takes 100 levels at most."),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_json_that_would_not_come_back_is_refused(value, message):
    with pytest.raises(GraphQLError) as caught:
        scalars.JSON.parse_value(value)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [2**64, {"a\0": "\0"}, nested(101)], ids=["integer", "NUL", "levels"])
def test_json_that_was_stored_once_is_given_as_it_is(value):
    assert scalars.JSON.serialize(value) == value


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("-inf")]}])
def test_what_json_cannot_say_is_not_given(value):
    with pytest.raises(ValueError, match="which JSON cannot hold"):
        scalars.JSON.serialize(value)


def test_json_of_a_hundred_levels_is_taken():
    assert scalars.JSON.parse_value(nested(100)) == nested(100)


def test_json_is_read_from_a_document():
    node = parse_value('{a: [1, "x", true, null, $given, $missing], big: 12}')
    assert scalars.JSON.parse_literal(node, {"given": 7}) == {"a": [1, "x", True, None, 7, None], "big": 12}
    with pytest.raises(GraphQLError, match="JSON takes finite numbers"):
        scalars.JSON.parse_literal(parse_value("1e999"))


@pytest.mark.parametrize(
    ("document", "message", "column"),
    [
        (
            'mutation { sendParcel(sentOn: "x") { id } }',
            'Argument \'sentOn\': Date takes a string such as "2024-02-29", not "x".',
            31,
        ),
        (
            'mutation { addBook(data: {title: "", genre: DRAMA, author: "", tags: [], price: 12.5}) { id } }',
            "Argument 'data.price': Decimal takes a string such as \"12.50\", not 12.5.",
            81,
        ),
        (
            '{ books(where: {title: {eq: "x"}, price: {in: ["1", "x"]}}) { totalCount } }',
            'Argument \'where.price.in\': Decimal takes a string such as "12.50", not "x".',
            53,
        ),
        (
            'query($limit: Decimal = "x") { countBooks(price: $limit) }',
            'Variable \'$limit\': Decimal takes a string such as "12.50", not "x".',
            25,
        ),
        (
            "mutation { makeEverything(extra: {a: 18446744073709551616}) { id } }",
            "Argument 'extra': JSON takes integers of 64 bits; write larger ones as strings.",
            34,
        ),
        (
            "{ books(first: true) { totalCount } }",
            "Argument 'first': Int cannot represent non-integer value: true",
            16,
        ),
        (
            "{ books(first: 2147483648) { totalCount } }",
            "Argument 'first': Int cannot represent non 32-bit signed integer value: 2147483648",
            16,
        ),
        (
            'mutation { addBook(data: {title: "", genre: PROSE, author: "", tags: []}) { id } }',
            "Argument 'data.genre': Value 'PROSE' does not exist in 'Genre' enum.",
            45,
        ),
        (
            'mutation { addBook(data: {title: "", genre: DRAMA, author: "", tags: ["", null]}) { id } }',
            "Argument 'data.tags': Expected value of type 'String!', found null.",
            75,
        ),
        (
            'mutation { addBook(data: {genre: DRAMA, author: "", tags: []}) { id } }',
            "Field 'BookInput.title' of required type 'String!' was not provided.",
            26,
        ),
    ],
)
def test_a_value_in_the_text_is_refused_with_its_place_and_argument(component, document, message, column):
    with pytest.raises(GraphQLFailure) as failure:
        component.graphql(document)

    [error] = [each for each in failure.value.errors if each["message"] == message]
    assert error["locations"] == [{"line": 1, "column": column}]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"title": None},
            "got invalid value null at 'data.title'; Expected non-nullable type 'String!' not to be null.",
        ),
        ({"title": True}, "got invalid value true at 'data.title'; String cannot represent a non string value: true"),
        ({"tags": [None]}, "got invalid value null at 'data.tags[0]'; Expected non-nullable type 'String!' not to be"),
        ([1], "got invalid value [1]; Expected type 'BookInput' to be an object."),
    ],
)
def test_variables_are_told_of_in_the_words_of_graphql(component, value, message):
    book = {"title": "", "genre": "DRAMA", "author": "", "tags": []}
    with pytest.raises(GraphQLFailure) as failure:
        component.graphql(
            "mutation($data: BookInput!) { addBook(data: $data) { id } }",
            data={**book, **value} if isinstance(value, dict) else value,
        )

    assert message in failure.value.errors[0]["message"]


def test_a_number_too_large_for_a_float_is_told_so(component, everything):
    with pytest.raises(GraphQLFailure, match="The number is too large"):
        component.mutate("makeEverything", **{**everything, "ratio": 10**400})


@pytest.mark.parametrize("text", ["2024-02-29T12:00:00+24:00", "2024-02-29T12:00:00-05:60"])
def test_an_offset_is_less_than_a_day(component, text):
    with pytest.raises(GraphQLFailure, match="DateTime takes a string such as .*, not "):
        component.query("everythings", moment=text)


def test_a_variable_that_is_null_within_a_value_is_named(component):
    with pytest.raises(GraphQLFailure) as failure:
        component.graphql(
            """mutation($title: String = "x", $tag: String = "y") {
              addBook(data: {title: $title, genre: DRAMA, author: "a", tags: [$tag]}) { id }
            }""",
            tag=None,
        )

    [error] = failure.value.errors
    assert error["message"].endswith(": $tag is null, which may not be there.")
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_value_of_a_variable_is_refused_with_its_place_and_name(component):
    with pytest.raises(GraphQLFailure) as failure:
        component.graphql(
            "mutation($data: BookInput!) { addBook(data: $data) { id } }",
            data={"title": "", "genre": "DRAMA", "author": "", "tags": [], "price": "x"},
        )

    assert failure.value.errors[0]["message"] == (
        "Variable '$data' got invalid value 'x' at 'data.price'; Decimal takes a string such as \"12.50\", not \"x\"."
    )
    assert failure.value.errors[0]["locations"] == [{"line": 1, "column": 10}]
