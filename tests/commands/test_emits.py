"""Declared mutations that change or remove what is there."""

from __future__ import annotations

import pytest

from byron.testing import GraphQLFailure, event

BOOK = {"title": "Emma", "genre": "DRAMA", "price": "9.50", "author": "a1", "tags": ["x"]}


@pytest.fixture
def emma(component):
    """A component with one book and two authors."""
    component.given(
        event("new.book", id="b1", **BOOK),
        event("new.author", id="a1", full_name="Jane", born_on="1775-12-16"),
        event("new.author", id="a2", full_name="Ada", born_on=None),
    )
    return component


def test_an_update_emits_what_was_given_and_nothing_else(emma):
    emma.when("changeBook", id="b1", title="Persuasion").then(event("book.renamed", title="Persuasion"))

    assert dict(emma.events[-1].payload) == {"id": "b1", "title": "Persuasion"}
    assert emma.events[-1].key == "b1"


def test_an_update_returns_the_entity_as_it_will_be(emma):
    made = emma.mutate("changeBook", id="b1", title="Persuasion", price=None)

    assert (made["title"], made["price"], made["genre"], made["tags"]) == ("Persuasion", None, "DRAMA", ["x"])
    assert emma.query("getBook", id="b1")["title"] == "Emma"
    emma.settle()
    assert emma.query("getBook", id="b1") == made


def test_null_is_a_value_and_what_is_left_out_stays(emma):
    emma.when("changeBook", id="b1", price=None).settled()
    book = emma.query("getBook", id="b1")
    assert (book["price"], book["title"]) == (None, "Emma")


def test_a_required_attribute_cannot_be_made_null(emma):
    refused = emma.when("changeBook", id="b1", title=None)
    refused.then_error("BAD_USER_INPUT", "title cannot be null; leave it out to keep it as it is.")
    assert emma.when("changeBook", id="b1", tags=None).then_error("BAD_USER_INPUT", "tags cannot be null")


def test_an_unknown_entity_is_not_found(emma):
    emma.when("changeBook", id="b9", title="x").then_error("NOT_FOUND", 'There is no Book "b9" here')
    emma.when("removeBook", id="b9").then_error("NOT_FOUND")


def test_a_unique_value_of_another_is_a_conflict_and_one_s_own_is_none(emma):
    emma.when("renameAuthor", id="a1", data={"fullName": "Ada"}).then_error("CONFLICT", 'fullName "Ada" already exists')
    emma.when("renameAuthor", id="a1", data={"fullName": "Jane"}).then(event("author.seen", fullName="Jane"))


def test_an_input_gives_what_changes(emma):
    emma.mutate("renameAuthor", id="a1", data={"bornOn": None})
    assert dict(emma.events[-1].payload) == {"id": "a1", "born_on": None}
    emma.settle()
    assert emma.query("getAuthor", id="a1") == {"id": "a1", "fullName": "Jane", "bornOn": None}


def test_a_value_that_makes_no_event_is_refused(emma):
    with pytest.raises(GraphQLFailure) as failure:
        emma.mutate("changeBook", id="b1", tags=["a\x00b"])
    assert failure.value.code == "BAD_USER_INPUT"


def test_a_delete_returns_what_was_there_and_emits_its_id(emma):
    gone = emma.mutate("removeBook", id="b1")

    assert gone == {"id": "b1", "title": "Emma", "genre": "DRAMA", "price": "9.50", "tags": ["x"]}
    assert dict(emma.events[-1].payload) == {"id": "b1"}
    emma.settle()
    assert emma.query("getBook", id="b1") is None
