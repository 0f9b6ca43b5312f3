"""Hooks of commands: what they may make of arguments and answers, and what they are told when it is too much."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from byron.commands.functions import HOOKS, load_function
from byron.commands.runner import CommandRunner, Outcome
from byron.exceptions import CommandError, ContractError
from tests.conftest import add_books

DATA = {"title": "t", "genre": "POETRY", "author": "a", "tags": ["x"]}

Run = Callable[..., Outcome]


@pytest.fixture
def run(component, library, monkeypatch) -> Run:
    """Run a command with functions in the place of its hooks."""

    def run_with(name: str, arguments: dict[str, Any], *, before: Any = None, after: Any = None) -> Outcome:
        functions = {"tidy": before, "tell": after}
        monkeypatch.setattr(
            "byron.commands.hooks.load_function",
            lambda config, folder, hook: functions[hook] if folder == HOOKS else load_function(config, folder, hook),
        )
        command = library.component.commands[name]
        names = {"before": ("tidy",) if before else (), "after": ("tell",) if after else ()}
        return CommandRunner(library).run(
            command.model_copy(update={"hooks": command.hooks.model_copy(update=names)}), arguments
        )

    return run_with


def returning(value: object) -> Callable[[Any, dict[str, Any]], object]:
    return lambda ctx, arguments: value


def changing(**changes: object) -> Callable[[Any, dict[str, Any]], None]:
    return lambda ctx, arguments: arguments["data"].update(changes)


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        (returning(["title"]), "returned \"\\['title'\\]\": a hook before a command returns its arguments"),
        (returning({"data": DATA, "date": 1}), "added the argument 'date', which .*; did you mean \"data\"\\?"),
        (returning({}), "took the argument 'data' away, which it cannot do without"),
        (changing(Title="T"), "added 'Title' to data, which BookInput does not have; did you mean \"title\"\\?"),
        (changing(zz=7), r"added 'zz' to data, which BookInput does not have\. It has title, genre"),
    ],
)
def test_a_hook_that_makes_other_arguments_is_named(run, component, hook, told):
    with pytest.raises(ContractError, match=f"^The hook tidy of addBook {told}"):
        run("addBook", {"data": {**DATA}}, before=hook)
    assert component.events == []


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        (lambda ctx, given: given.update(title="x"), "added the argument 'title', which it does not take"),
        (lambda ctx, given: given.update(where={"title": {"eq": "x"}}), "added 'title' to where, which ListBooksWhere"),
        (
            lambda ctx, given: given.update(where={"author": {"like": "x"}}),
            "added 'like' to where.author, which IDCondition",
        ),
    ],
)
def test_what_a_hook_filters_by_is_never_ignored(run, hook, told):
    with pytest.raises(ContractError, match=f"^The hook tidy of listBooks {told}"):
        run("listBooks", {}, before=hook)


def test_an_error_in_what_is_declared_names_the_hooks(run):
    with pytest.raises(KeyError) as caught:
        run("listBooks", {}, before=lambda ctx, given: given.update(order_by=["NOPE"]))
    assert caught.value.__notes__ == ["The arguments of listBooks were those that tidy left."]


def test_a_hook_may_narrow_what_is_read(run, component):
    add_books(component, "Emma")
    add_books(component, "Hamlet", genre="DRAMA")
    component.settle()

    [found] = run("listBooks", {}, before=lambda ctx, given: given.update(where={"genre": {"eq": "POETRY"}})).value
    assert found.title == "Emma"


def test_an_argument_that_a_hook_takes_away_is_as_if_left_out(run):
    def drop(ctx, arguments):
        del arguments["born_on"]

    assert run("createAuthor", {"full_name": "Ada", "born_on": "1815-12-10"}, before=drop).value["born_on"] is None


@pytest.mark.parametrize("changes", [{"title": 5}, {"genre": "NOVEL"}, {"tags": [None]}, {"title": None}])
def test_what_a_hook_spoils_is_no_mistake_of_the_client_s(run, component, changes):
    with pytest.raises(ContractError, match="^What tidy made of the arguments of addBook is refused: "):
        run("addBook", {"data": {**DATA}}, before=changing(**changes))
    assert component.events == []


def test_whose_mistake_it_was_takes_no_id_that_a_test_chose(run, component):
    component.choose_ids("42")
    with pytest.raises(ContractError, match="^What tidy made of the arguments of addBook is refused: "):
        run("addBook", {"data": {**DATA}}, before=changing(title=5))


def test_what_was_unfit_before_is_the_client_s(run):
    with pytest.raises(CommandError, match="author takes 255 characters at most") as caught:
        run("addBook", {"data": {**DATA, "author": "a" * 256}}, before=changing(title="T"))
    assert caught.value.code == "BAD_USER_INPUT"


def test_what_an_after_hook_changes_within_the_answer_is_not_in_the_event(run):
    def tell(ctx, value):
        value["tags"].append("secret")

    outcome = run("addBook", {"data": {**DATA, "tags": ["x"]}}, after=tell)
    assert outcome.value["tags"] == ["x", "secret"]
    assert outcome.events[0].payload["tags"] == ["x"]


def test_what_is_emitted_is_what_it_was_at_that_moment(run, library):
    def tell(ctx, value):
        payload = {"id": "b1", "tags": ["x"]}
        ctx.emit("book.told", payload)
        payload["tags"].append("y")

    outcome = run("createAuthor", {"full_name": "Ada", "born_on": None}, after=tell)
    assert outcome.events[-1].payload["tags"] == ["x"]


def test_the_log_and_the_client_are_told_apart(component, monkeypatch, caplog):
    def spoil(ctx, arguments):
        arguments["data"]["title"] = 5

    monkeypatch.setattr("library.hooks.normalize_title.normalize_title", spoil)
    load_function.cache_clear()
    with caplog.at_level(logging.ERROR), pytest.raises(AssertionError, match="INTERNAL_ERROR"):
        component.mutate("addBook", data=DATA)
    load_function.cache_clear()
    assert "What normalizeTitle made of the arguments of addBook is refused: title: Expected" in caplog.text
