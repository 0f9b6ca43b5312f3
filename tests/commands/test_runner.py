"""One command's life: hooks, function, events."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from byron.commands.functions import COMMANDS, HOOKS, load_function
from byron.commands.runner import CommandRunner
from byron.exceptions import BrokerUnavailableError, CommandError, ContractError
from tests.conftest import add_books


def test_a_before_hook_changes_the_arguments(component):
    add_books(component, "  spaced  ")

    [event] = component.events
    assert event.payload["title"] == "spaced"


def test_hooks_may_emit_and_all_of_it_is_published_together(component):
    add_books(component, "Hamlet", genre="DRAMA")

    first, second = component.events
    assert [first.name, second.name] == ["new.book", "drama.added"]
    assert first.key == second.key == first.payload["id"]
    assert first.correlation_id == second.correlation_id
    assert (first.version, first.source, first.namespace) == (2, "Library", "Perses")


def test_hooks_run_as_declared_and_each_sees_what_those_before_it_did(component, library, monkeypatch):
    def first(ctx, arguments):
        arguments["data"]["title"] += " 1"

    def second(ctx, arguments):
        # What a hook returns takes the arguments' place.
        return {"data": {**arguments["data"], "title": arguments["data"]["title"] + " 2"}}

    def third(ctx, result):
        seen.append(result["title"])
        result["title"] += " 3"

    def fourth(ctx, result):
        seen.append(result["title"])

    seen, hooks = [], {"first": first, "second": second, "third": third, "fourth": fourth}
    monkeypatch.setattr(
        "byron.commands.hooks.load_function",
        lambda config, folder, name: hooks[name] if folder == HOOKS else load_function(config, folder, name),
    )
    declared = library.component.commands["addBook"]
    changed = declared.hooks.model_copy(update={"before": ("first", "second"), "after": ("third", "fourth")})
    data = {"title": "t", "genre": "POETRY", "author": "a", "tags": []}
    outcome = CommandRunner(library).run(declared.model_copy(update={"hooks": changed}), {"data": data})

    assert seen == ["t 1 2", "t 1 2 3"]
    assert outcome.value["title"] == "t 1 2 3"
    assert outcome.events[0].payload["title"] == "t 1 2"


def test_an_exception_in_a_hook_publishes_nothing(component, library, monkeypatch):
    def fail(ctx, result):
        raise CommandError("too late", code="LATE")

    monkeypatch.setattr("library.hooks.welcome.welcome", fail)
    load_function.cache_clear()
    runner = CommandRunner(library)
    data = {"title": "t", "genre": "DRAMA", "author": "a", "tags": []}
    with pytest.raises(CommandError, match="too late"):
        runner.run(library.component.commands["addBook"], {"data": data})
    load_function.cache_clear()

    assert component.events == []


def test_the_request_s_trace_and_correlation_go_with_the_events(component, library):
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = RequestFactory().post("/", headers={"traceparent": trace, "X-Correlation-ID": "order-7"})
    arguments = {"full_name": "Ada", "born_on": None}

    CommandRunner(library).run(library.component.commands["createAuthor"], arguments, request)

    [event] = component.events
    assert (event.traceparent, event.correlation_id) == (trace, "order-7")


@pytest.mark.parametrize(("header", "expected"), [({}, "request-1"), ({"X-Correlation-ID": "order-7"}, "order-7")])
def test_the_request_s_id_is_the_correlation_unless_another_is_given(component, library, header, expected):
    request = RequestFactory().post("/", headers=header)
    request.request_id = "request-1"

    CommandRunner(library).run(library.component.commands["createAuthor"], {"full_name": "Ada"}, request)

    assert [event.correlation_id for event in component.events] == [expected]


def test_an_ill_formed_trace_is_left_out(component, library):
    request = RequestFactory().post("/", headers={"traceparent": "x", "X-Correlation-ID": "a b"})

    CommandRunner(library).run(library.component.commands["createAuthor"], {"full_name": "Ada"}, request)

    [event] = component.events
    assert event.traceparent is None
    assert event.correlation_id != "a b"


def test_a_declared_mutation_refuses_a_value_that_is_taken(component):
    component.mutate("createAuthor", fullName="Ada")
    component.settle()
    with pytest.raises(AssertionError, match='Author with fullName "Ada" already exists') as failure:
        component.mutate("createAuthor", fullName="Ada")

    assert failure.value.code == "CONFLICT"


def test_nothing_is_published_when_the_broker_is_away(component, library):
    component.broker.available = False
    with pytest.raises(BrokerUnavailableError):
        CommandRunner(library).run(library.component.commands["createAuthor"], {"full_name": "Ada"})
    component.broker.available = True

    assert component.events == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"author": ""}, "author must not be empty."),
        ({"author": "x" * 256}, "author takes 255 characters at most."),
        ({"author": "a\0"}, "author must not have the character U+0000."),
        ({"tags": ["a", "\0"]}, "tags[1] must not have the character U+0000."),
        (
            {"title": "x" * 3000},
            "title: A text that is unique or has an index takes 2600 bytes of UTF-8 at most, not 3000.",
        ),
    ],
)
def test_a_typed_event_that_breaks_its_declaration_is_not_published(component, library, given, message):
    data = {"title": "t", "genre": "POETRY", "author": "a", "tags": [], **given}
    with pytest.raises(CommandError) as refusal:
        CommandRunner(library).run(library.component.commands["addBook"], {"data": data})

    assert (refusal.value.message, refusal.value.code) == (message, "BAD_USER_INPUT")
    assert component.events == []


def test_a_missing_function_names_its_file_and_the_remedy(library):
    with pytest.raises(
        ContractError, match=r"noSuch has no file library/api/commands/no_such\.py; `manage\.py generate`"
    ):
        load_function(library, COMMANDS, "noSuch")


def test_an_entity_can_be_emitted_as_it_is(component, library):
    context = CommandRunner(library)._context(library.component.commands["addBook"], None)
    book = context.db.Book(id="b1", title="t", genre="DRAMA", author="a1", tags=["x"])

    event = context.emit("new.book", book)

    assert event.key == "b1"
    assert event.payload == {"id": "b1", "title": "t", "genre": "DRAMA", "price": None, "author": "a1", "tags": ["x"]}
