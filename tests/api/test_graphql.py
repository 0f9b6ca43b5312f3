"""Commands as GraphQL fields: types, arguments, references, errors."""

from __future__ import annotations

import asyncio
import logging
import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from django.db import OperationalError, connections
from django.test.utils import CaptureQueriesContext, override_settings
from graphql import build_schema, lexicographic_sort_schema, print_schema

from byron.api.execution import GraphQLService
from byron.codegen.graphql import graphql_source
from byron.commands.runner import CommandEndedError, CommandRunner
from byron.exceptions import (
    BrokerUnavailableError,
    MessageTooLargeError,
    OutcomeUnknownError,
    PublishDeniedError,
    PublishRefusedError,
)
from byron.schema.values import plain_decimal
from byron.testing import GraphQLFailure
from tests.conftest import add_books


def test_the_served_schema_is_the_generated_one(library):
    served = GraphQLService(library).schema
    for scalar in ("Date", "DateTime", "Time", "Decimal", "UUID", "JSON"):
        served.type_map[scalar].description = None
    generated = build_schema(graphql_source(library.component))

    assert print_schema(lexicographic_sort_schema(served)) == print_schema(lexicographic_sort_schema(generated))


def test_every_scalar_is_read_back_as_it_was_written(component, everything):
    made = component.mutate("makeEverything", **everything)
    component.settle()

    [read] = component.query("everythings", amount=everything["amount"])
    assert read == made
    assert read["moment"] == "2024-02-29T10:00:00.123456Z"
    assert read["amount"] == "123456789012345678901234567890.10"
    assert read["amounts"] == ["1.10", "0"]


@pytest.mark.parametrize("amount", ["1e3", "1e1000", "-1.5E+2", "-0.00", "0E+5", "1E-1000", "9" * 1001])
def test_a_mutation_answers_a_number_as_it_is_read_later(component, everything, amount):
    made = component.mutate("makeEverything", **{**everything, "amount": amount, "amounts": [amount], "ratio": -0.0})
    [event] = component.events
    component.settle()

    [read] = component.query("everythings", amount=amount)
    assert read == made
    assert read["amounts"] == [read["amount"]] == [str(plain_decimal(Decimal(amount)))]
    assert [str(event.payload["amount"]), str(event.payload["amounts"][0])] == [read["amount"]] * 2
    assert [str(number) for number in (made["ratio"], event.payload["ratio"])] == ["0.0", "0.0"]


def test_what_a_command_returns_is_answered_as_a_cache_would_give_it(component, monkeypatch):
    book = {"id": "b", "title": "t", "genre": "DRAMA", "author": "a", "tags": [], "price": Decimal("1E+3")}
    monkeypatch.setattr("byron.commands.runner.run_declared", lambda *_, **__: book)

    assert component.graphql('{ getBook(id: "b") { price } }') == {"getBook": {"price": "1000"}}


def test_decimals_are_equal_and_ordered_by_value(component):
    for price in ("10", "9.50", "9.5", "100"):
        data = {"title": price, "genre": "POETRY", "author": "a", "tags": [], "price": price}
        component.mutate("addBook", data=data)
    component.settle()

    assert [book["price"] for book in component.query("listBooks")] == ["100", "10", "9.5", "9.50"]
    assert {book["price"] for book in component.query("listBooks", price="9.500")} == {"9.50", "9.5"}


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("moment", "2024-02-29T12:00:00", 'DateTime takes a string such as "2024-02-29T12:30:00Z"'),
        ("day", "2023-02-29", 'Date takes a string such as "2024-02-29", not "2023-02-29": day '),
        ("hour", "25:00", 'Time takes a string such as "12:30:00", not "25:00": hour must be '),
        ("amount", "NaN", 'Decimal takes a string such as "12.50", not "NaN".'),
        (
            "amount",
            "1e9999999",
            'Decimal takes a string such as "12.50", not "1e9999999": Decimals have 1001 digits',
        ),
        ("amount", 1.5, 'Decimal takes a string such as "12.50", not 1.5.'),
        ("code", "x", "UUID takes a string such as"),
        ("number", 2**31, "Int cannot represent non 32-bit signed integer value"),
        ("genres", ["PROSE"], "Value 'PROSE' does not exist in 'Genre' enum."),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused_with_the_remedy(component, everything, argument, value, message):
    with pytest.raises(GraphQLFailure) as failure:
        component.mutate("makeEverything", **{**everything, argument: value})

    assert message in str(failure.value)
    assert component.events == []


def test_references_cost_one_statement_a_level(component, library):
    [ada] = [component.mutate("createAuthor", fullName="Ada")["id"]]
    component.settle()
    books = add_books(component, *(f"book {number}" for number in range(10)), author=ada)
    component.settle()

    with CaptureQueriesContext(connections["library"]) as captured:
        data = component.graphql("{ listBooks { title author { fullName } } }")

    assert len(data["listBooks"]) == len(books)
    assert {book["author"]["fullName"] for book in data["listBooks"]} == {"Ada"}
    assert len(captured) == 2


def test_lists_of_references_keep_their_order_and_resolve_in_fragments(component, everything):
    first, second = add_books(component, "first", "second")
    component.settle()
    component.mutate("makeEverything", **{**everything, "books": [second, first]})
    component.settle()

    data = component.graphql("{ everythings { ...it } } fragment it on Everything { books { title } friend { id } }")

    assert data == {"everythings": [{"books": [{"title": "second"}, {"title": "first"}], "friend": None}]}


def test_a_mutation_returns_what_it_emitted_before_the_cache_knows_it(component):
    [book] = add_books(component, "unseen")

    assert component.query("getBook", id=book) is None
    component.settle()
    assert component.query("getBook", id=book)["title"] == "unseen"


def test_arguments_may_have_names_that_graphql_itself_uses(component):
    inner = {"title": "t", "genre": "DRAMA", "author": "a", "tags": []}

    assert component.mutate("closeLibrary", nested={"inner": inner, "items": [1, 2]}, info="i", root="r") is True


def test_an_async_command_is_run(component):
    assert component.query("howMany") == 0


def test_a_command_error_has_its_message_and_code(component):
    with pytest.raises(GraphQLFailure, match="A book needs a title") as failure:
        add_books(component, "   ")

    assert failure.value.code == "NO_TITLE"


def test_any_other_exception_is_masked_logged_and_publishes_nothing(component, caplog):
    with caplog.at_level(logging.ERROR, logger="byron.api"), pytest.raises(GraphQLFailure) as failure:
        component.mutate("closeLibrary", genre="POETRY")

    [error] = failure.value.errors
    assert error["extensions"]["code"] == "INTERNAL_ERROR"
    assert "secret" not in str(error)
    assert error["extensions"]["reference"] in caplog.text
    assert "the poets' password" in caplog.text


def test_a_developer_is_told_what_was_raised_and_where(component, settings, monkeypatch):
    settings.DEBUG = True
    settings.BASE_DIR = Path(__file__).parents[1] / "components"

    with pytest.raises(GraphQLFailure) as failure:
        component.mutate("closeLibrary", genre="POETRY")

    [error] = failure.value.errors
    assert re.search(
        r"RuntimeError: the poets' password is 'secret' \(.*/close_library\.py:\d+\)$", error["extensions"]["cause"]
    )


def test_a_database_that_is_away_is_told_as_such(component, monkeypatch, caplog):
    def how_many(ctx):
        raise OperationalError("the connection is closed")

    monkeypatch.setattr("library.api.commands.how_many.how_many", how_many)
    with pytest.raises(GraphQLFailure) as failure:
        component.query("howMany")

    [error] = failure.value.errors
    assert error["extensions"] == {"code": "CACHE_UNAVAILABLE"}
    assert "the connection is closed" not in str(error)
    assert "code=CACHE_UNAVAILABLE error='the connection is closed'" in caplog.text


def test_a_write_past_django_is_the_developers_error(component, monkeypatch, caplog):
    def how_many(ctx):
        with sqlite3.connect("file:nothing?mode=memory", uri=True) as connection:
            connection.execute("CREATE TABLE x (y)")
            connection.execute("PRAGMA query_only = ON")
            try:
                connection.execute("INSERT INTO x VALUES (1)")
            except sqlite3.Error as error:
                raise OperationalError("attempt to write a readonly database") from error

    monkeypatch.setattr("library.api.commands.how_many.how_many", how_many)
    with pytest.raises(GraphQLFailure) as failure:
        component.query("howMany")

    assert failure.value.code == "INTERNAL_ERROR"


def test_a_command_that_writes_the_cache_fails_and_publishes_nothing(component, caplog):
    with pytest.raises(GraphQLFailure) as failure:
        component.mutate("closeLibrary", genre="DRAMA")

    assert failure.value.code == "INTERNAL_ERROR"
    assert "The API cannot write Book: only the Sink writes the Cache." in caplog.text
    assert component.events == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BrokerUnavailableError("down"), "BROKER_UNAVAILABLE"),
        (OutcomeUnknownError("late"), "OUTCOME_UNKNOWN"),
        (PublishDeniedError("no"), "FORBIDDEN_EVENT"),
        (MessageTooLargeError("too large"), "EVENT_TOO_LARGE"),
        (PublishRefusedError("no"), "INTERNAL_ERROR"),
    ],
)
def test_trouble_with_the_broker_has_a_code_of_its_own(component, monkeypatch, error, code):
    def refuse(messages, timeout, **options):
        raise error

    monkeypatch.setattr(component.broker, "publish", refuse)
    with pytest.raises(GraphQLFailure) as failure:
        add_books(component, "lost")

    assert failure.value.code == code


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize(
    "error", [PublishDeniedError("no"), MessageTooLargeError("too large"), PublishRefusedError("no")], ids=str
)
def test_what_a_refused_mutation_has_claimed_is_free_for_the_next_one(component, monkeypatch, error, keyed):
    publish = component.broker.publish
    again = component.with_idempotency_key("k") if keyed else component
    with monkeypatch.context() as patch, pytest.raises(GraphQLFailure):
        patch.setattr(component.broker, "publish", lambda *given, **options: (_ for _ in ()).throw(error))
        again.mutate("createAuthor", fullName="Ada")
    assert component.broker.publish == publish

    assert again.mutate("createAuthor", fullName="Ada")["fullName"] == "Ada"
    assert [event.name for event in component.events] == ["new.author"]


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()], ids=repr)
def test_a_command_that_would_end_its_process_fails_and_the_other_ones_are_answered(component, monkeypatch, error):
    def end(ctx, **arguments):
        raise error

    monkeypatch.setattr("byron.commands.runner.load_function", lambda *_: end)
    with pytest.raises(GraphQLFailure) as failure:
        component.graphql("{ howMany listBooks { id } }")

    assert [each["extensions"]["code"] for each in failure.value.errors] == ["INTERNAL_ERROR"]


def test_a_keyboard_interrupt_that_nobody_can_have_typed_ends_nothing(library, component, monkeypatch):
    def interrupt(ctx, **arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("byron.commands.runner.load_function", lambda *_: interrupt)
    with pytest.raises(KeyboardInterrupt):
        CommandRunner(library).run(library.component.commands["howMany"], {})
    with ThreadPoolExecutor(1) as threads:
        failed = threads.submit(CommandRunner(library).run, library.component.commands["howMany"], {}).exception()
    assert isinstance(failed, CommandEndedError)


def test_a_subscription_is_told_that_there_are_none(component):
    with pytest.raises(GraphQLFailure, match="There are no subscriptions; ask with a query") as failure:
        component.graphql("subscription { howMany }")
    assert failure.value.code == "GRAPHQL_VALIDATION_FAILED"


def test_queries_answer_while_the_broker_is_away(component):
    component.broker.available = False

    assert component.query("listBooks") == []


def test_an_unknown_outcome_names_the_events_in_question(component, monkeypatch):
    sent = []

    def lose(messages, timeout, **options):
        sent.extend(message.id for message in messages)
        raise OutcomeUnknownError("late")

    monkeypatch.setattr(component.broker, "publish", lose)
    with pytest.raises(GraphQLFailure) as failure:
        component.mutate("addBook", data={"title": "x", "genre": "DRAMA", "author": "a", "tags": []})

    assert failure.value.errors[0]["extensions"] == {"code": "OUTCOME_UNKNOWN", "events": sent}
    assert len(sent) == 2


@override_settings(DEBUG=False)
def test_introspection_is_for_debug_only(component):
    with pytest.raises(GraphQLFailure, match="introspection has been disabled"):
        component.graphql("{ __schema { types { name } } }")

    with override_settings(DEBUG=True):
        assert component.graphql("{ __schema { queryType { name } } }") == {
            "__schema": {"queryType": {"name": "Query"}}
        }


def test_a_command_may_return_the_referenced_entity_itself(component, monkeypatch, library):
    def get_author(ctx, id):
        return {"id": id, "fullName": "not in the Cache"}

    def list_books(ctx, command, arguments, *, asked):
        return [{"id": "b", "title": "t", "genre": "DRAMA", "tags": [], "author": get_author(ctx, "a")}]

    monkeypatch.setattr("byron.commands.runner.run_declared", list_books)

    assert component.graphql("{ listBooks { author { fullName } } }") == {
        "listBooks": [{"author": {"fullName": "not in the Cache"}}]
    }


def test_a_required_reference_to_what_is_not_here_says_so(component):
    add_books(component, "orphan", author="nobody")
    component.settle()
    with pytest.raises(GraphQLFailure, match='author refers to Author "nobody", which is not here.') as failure:
        component.graphql("{ listBooks { author { fullName } } }")

    assert failure.value.code == "REFERENCE_MISSING"


@pytest.mark.parametrize("debug", [False, True])
def test_no_selection_is_suggested_where_suggestions_are_off(component, debug):
    with override_settings(DEBUG=debug), pytest.raises(GraphQLFailure) as failure:
        component.graphql("{ listBooks }")

    said = "Field 'listBooks' of type '[Book!]!' must have a selection of subfields."
    assert failure.value.errors[0]["message"] == said + (" Did you mean 'listBooks { ... }'?" if debug else "")


def test_an_operation_that_may_not_come_this_way_is_a_refusal(library, component):
    answer = GraphQLService(library).execute("mutation { closeLibrary }", queries_only=True)

    assert (answer.refusal.status, answer.refusal.headers) == (405, {"Allow": "POST"})
    assert not answer.executed
