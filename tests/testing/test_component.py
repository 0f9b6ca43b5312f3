"""The fixture `component`."""

from __future__ import annotations

import pytest

from byron.sink import runner
from byron.sink.lanes import split
from byron.testing import GraphQLFailure, event
from tests.conftest import add_books


def test_arguments_go_by_either_spelling(component):
    assert component.mutate("createAuthor", full_name="Ada")["fullName"] == "Ada"
    assert component.mutate("createAuthor", fullName="Bob")["fullName"] == "Bob"


def test_an_unknown_argument_is_an_error_that_lists_the_known_ones(component):
    with pytest.raises(
        LookupError, match=r'takes no argument fullNam; did you mean "fullName"\? It takes: full_name, born_on'
    ):
        component.mutate("createAuthor", fullNam="Ada")


def test_an_unknown_command_is_an_error_that_lists_the_known_ones(component):
    with pytest.raises(
        LookupError, match="declares no query 'addBook'; it is a mutation. It declares: listBooks, getBook"
    ):
        component.query("addBook")


def test_a_failure_has_the_message_and_the_code(component):
    with pytest.raises(GraphQLFailure, match="A book needs a title") as failure:
        add_books(component, "")

    assert failure.value.code == "NO_TITLE"
    assert str(failure.value).startswith("NO_TITLE: A book needs a title")


def test_events_are_what_was_emitted_in_order(component):
    books = add_books(component, "one", "two")

    assert [(event.name, event.key) for event in component.events] == [("new.book", book) for book in books]


def test_acting_as_a_user_is_for_that_call_and_shares_all_else(component):
    ada = component.as_user("ada", roles=["teacher"])
    ada.mutate("createAuthor", fullName="Ada")

    assert component.settle() == 1
    assert ada.events == component.events
    assert ada.broker is component.broker


def test_settle_says_how_many_events_were_applied(component):
    add_books(component, "one", "two")

    assert component.settle() == 2
    assert component.settle() == 0


def test_settle_applies_what_one_lane_emits_for_another(component, monkeypatch):
    def new_author(ctx, event):
        if left := event.payload.get("left", 0):
            ctx.emit("new.author", {"id": f"{event.key}{left}", "fullName": "Ada", "left": left - 1})

    monkeypatch.setattr("library.sink.handlers.new_author.new_author", new_author)
    # All slots in turn, as several lanes have them on engines that allow it.
    monkeypatch.setattr(runner, "lanes_of", lambda config: split(config.consumer_name, 4))
    component.publish(*(event("new.author", id=f"a{n}", full_name="Ada", left=3) for n in range(10)))

    assert component.settle() == 40
    assert component.settle() == 0


def test_an_idempotency_key_is_a_text(component):
    with pytest.raises(TypeError, match=r'is a text: write with_idempotency_key\("7"\), not 7$'):
        component.with_idempotency_key(7)


def test_what_is_forgotten_may_happen_again(component):
    seen = event("author.seen", id="a1", full_name="Eve")
    keyed = component.with_idempotency_key("k1")
    component.mutate("createAuthor", fullName="Ada")
    assert component.settle() == 1

    component.publish(seen)
    component.mutate("createAuthor", fullName="Bob")
    forgotten = keyed.mutate("createAuthor", fullName="Cy")
    component.forget_pending()
    assert len(component.events) == 1

    component.publish(seen)
    component.mutate("createAuthor", fullName="Bob")
    assert keyed.mutate("createAuthor", fullName="Cy") != forgotten
    assert component.settle() == 3


def test_what_is_applied_is_not_forgotten(component):
    keyed = component.with_idempotency_key("k1")
    made = keyed.mutate("createAuthor", fullName="Ada")
    component.settle()
    component.forget_pending()

    assert keyed.mutate("createAuthor", fullName="Ada") == made
    with pytest.raises(GraphQLFailure, match="CONFLICT"):
        component.mutate("createAuthor", fullName="Ada")
    assert component.settle() == 0
