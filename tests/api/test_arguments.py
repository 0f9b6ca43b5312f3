"""Arguments are plain when a command gets them, and what no Cache can hold is refused with its place."""

from __future__ import annotations

import pytest

from byron.testing import GraphQLFailure

BOOK = {"title": "t", "genre": "DRAMA", "author": "a", "tags": []}


def refused(component, command, **arguments):
    with pytest.raises(GraphQLFailure) as failure:
        component.mutate(command, **arguments)
    assert failure.value.code == "BAD_USER_INPUT"
    return str(failure.value).removeprefix("BAD_USER_INPUT: ")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"title": "a\0"}, "data.title holds the character U+0000, which cannot be stored."),
        ({"author": "\0"}, "data.author holds the character U+0000, which cannot be stored."),
        ({"tags": ["a", "b", "\ud800"]}, "data.tags[2] holds half of a surrogate pair, which is no character."),
    ],
)
def test_a_text_that_cannot_be_stored_is_refused_with_its_place(component, given, message):
    assert refused(component, "addBook", data={**BOOK, **given}) == message


def test_the_place_is_named_as_clients_name_it(component):
    assert refused(component, "createAuthor", fullName="\0").startswith("fullName holds ")
    nested = {"inner": BOOK, "more": [BOOK, {**BOOK, "tags": ["", "\0"]}]}
    assert refused(component, "closeLibrary", nested=nested).startswith("nested.more[1].tags[1] holds ")


def test_a_float_in_the_text_that_is_beyond_every_double_is_refused_with_its_place(component, everything):
    document = (
        'mutation { makeEverything(ratio: 1e309, anId: "1", number: 1, flag: true, moment: "2024-02-29T12:00:00Z", '
        'day: "2024-02-29", hour: "12:00", amount: "1", code: "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f", '
        "moments: [], genres: [], books: []) { id } }"
    )
    with pytest.raises(GraphQLFailure, match="ratio is beyond the numbers of 64 bits"):
        component.graphql(document)


def test_json_is_passed_on_as_it_was_read(component, everything):
    extra = {"a": [-0.0, 1.0, 1, None, {"b": "c"}]}

    assert str(component.mutate("makeEverything", **{**everything, "extra": extra})["extra"]) == str(extra)
