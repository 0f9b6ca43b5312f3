"""What a command returns is looked at before its events are published."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest
from django.apps import apps

from byron.commands.results import check_result
from byron.commands.runner import CommandRunner
from byron.exceptions import ContractError
from byron.schema.reader import parse_component

ANYTHING = parse_component("""
name: Any
namespace: Test
content:
  types: [{name: Thing, attributes: [{name: value, type: JSON}]}]
  commands:
    - {name: anything, type: query, returnType: JSON}
    - {name: thing, type: query, returnType: Thing}
""")

BOOK = {"id": "1", "title": "t", "genre": "DRAMA", "author": "a", "tags": []}


@pytest.mark.parametrize(
    ("command", "value", "problem"),
    [
        ("howMany", None, "howMany must return Int!, but it returned None. Nothing was published."),
        ("howMany", "7", "it returned '7'"),
        ("howMany", True, "it returned True"),
        ("closeLibrary", {"a": 1}, "it returned {'a': 1}"),
        ("listBooks", None, "it returned None"),
        ("listBooks", BOOK, "which is no list"),
        ("listBooks", [None], "its list holds None"),
        ("listBooks", [BOOK, 7], "it returned 7, which is no Book"),
        ("addBook", {**BOOK, "title": None}, "its Book has no title"),
        ("addBook", {**BOOK, "id": None}, "its Book has no id"),
        ("addBook", {**BOOK, "price": "1_0"}, "the price of its Book is '1_0', which is no Decimal"),
        ("addBook", {**BOOK, "price": " 10"}, "the price of its Book is ' 10', which is no Decimal"),
        ("addBook", {**BOOK, "price": Decimal("1e2000")}, "which is no Decimal"),
        ("addBook", {**BOOK, "price": 1.5}, "the price of its Book is 1.5, which is no Decimal"),
        ("addBook", "x" * 200, "x…, which is no Book"),
    ],
)
def test_a_value_of_another_type_is_refused(library, command, value, problem):
    with pytest.raises(ContractError) as error:
        check_result(library.component, library.component.commands[command], value)

    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("howMany", 0),
        ("closeLibrary", False),
        ("getBook", None),
        ("listBooks", []),
        ("listBooks", [BOOK]),
        ("addBook", BOOK),
        ("addBook", {**BOOK, "price": "12.50"}),
        ("addBook", {**BOOK, "price": Decimal("1e900")}),
    ],
)
def test_a_fitting_value_passes(library, command, value):
    check_result(library.component, library.component.commands[command], value)


@pytest.mark.parametrize(
    "value",
    [{1, 2}, {"a": {1}}, [b"x"], {1: "a"}, datetime.date(2024, 2, 29), float("nan"), 2**70, {"a": "\0"}],
    ids=repr,
)
def test_json_is_what_json_can_say(value):
    command = ANYTHING.commands["anything"]
    with pytest.raises(ContractError, match="which is no JSON"):
        check_result(ANYTHING, command, value)
    with pytest.raises(ContractError, match="the value of its Thing is .*, which is no JSON"):
        check_result(ANYTHING, ANYTHING.commands["thing"], {"id": "1", "value": value})


@pytest.mark.parametrize("value", [{"a": [1, None, {"b": (True, "c")}]}, "text", 2**64 - 1, 1e308, [], {}], ids=repr)
def test_json_may_be_any_of_that(value):
    check_result(ANYTHING, ANYTHING.commands["anything"], value)


def test_models_pass(library):
    book = apps.get_model("library", "Book")

    made = book(**BOOK)
    check_result(library.component, library.component.commands["addBook"], made)
    check_result(library.component, library.component.commands["listBooks"], [made])


def test_nothing_is_published_for_a_command_that_returns_something_else(component, library, monkeypatch):
    def close_library(ctx, nested, genre, info, root):
        ctx.emit("library.closed", {"id": "1"})
        return {"a": 1}

    monkeypatch.setattr("library.api.commands.close_library.close_library", close_library)
    with pytest.raises(ContractError, match="closeLibrary must return Boolean!"):
        CommandRunner(library).run(library.component.commands["closeLibrary"], {})

    assert component.events == []


def test_an_event_s_name_must_be_one_that_could_be_declared(component, library, monkeypatch):
    def close_library(ctx, nested, genre, info, root):
        ctx.emit("Library Closed", {"id": "1"})
        return True

    monkeypatch.setattr("library.api.commands.close_library.close_library", close_library)
    with pytest.raises(Exception, match="'Library Closed' cannot name an event: use words joined by dots"):
        CommandRunner(library).run(library.component.commands["closeLibrary"], {})
