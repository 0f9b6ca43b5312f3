"""What takes too long is interrupted, whatever it is at, and nothing is published."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from django.db import connections
from django.test.utils import override_settings

from byron.commands.functions import load_function
from byron.commands.runner import CommandRunner
from byron.commands.time_limit import TimeLimit, seconds_left, uninterrupted
from byron.exceptions import CommandError
from byron.testing import GraphQLFailure

pytestmark = pytest.mark.django_db(databases=["library"])

#: SQLite counts for minutes.
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


def spin(ctx=None):
    while True:
        sum(range(1000))


def spin_on(ctx=None):
    while True:
        try:
            spin()
        except Exception:
            continue


def count_for_ever(ctx=None):
    with connections["library"].cursor() as cursor:
        cursor.execute(ENDLESS)


async def wait(ctx=None):
    await asyncio.sleep(600)


async def compute(ctx=None):
    spin_on()


@pytest.fixture
def how_many(monkeypatch):
    """Have a query run a function."""

    def use(function):
        load_function.cache_clear()
        monkeypatch.setattr("library.api.commands.how_many.how_many", function)

    yield use
    load_function.cache_clear()


@pytest.mark.parametrize("function", [spin, spin_on, count_for_ever, wait, compute])
def test_a_command_that_takes_too_long_is_refused_with_its_name(component, how_many, function):
    how_many(function)
    began = time.monotonic()
    with override_settings(BYRON_API_COMMAND_TIMEOUT=0.2), pytest.raises(GraphQLFailure) as failure:
        component.query("howMany")

    assert failure.value.code == "TIME_LIMIT"
    assert str(failure.value) == "TIME_LIMIT: howMany took longer than 0.2 seconds; nothing was changed."
    assert time.monotonic() - began < 10
    # The thread and its connection are as before.
    assert component.graphql("{ listBooks { id } }") == {"listBooks": []}


def test_what_was_emitted_too_late_is_not_published(component, how_many):
    def late(ctx):
        ctx.emit("book.gone", {"id": "b"})
        time.sleep(0.3)
        return 1

    how_many(late)
    with override_settings(BYRON_API_COMMAND_TIMEOUT=0.2), pytest.raises(GraphQLFailure) as failure:
        component.query("howMany")

    assert (failure.value.code, component.events) == ("TIME_LIMIT", [])


def test_an_error_that_came_before_the_time_was_up_is_raised_as_it_is():
    with pytest.raises(KeyError), TimeLimit(5, "library", "x"):
        raise KeyError("a")


def test_zero_is_no_limit():
    with TimeLimit(0, "library", "x"):
        assert seconds_left() is None


def test_a_thread_is_only_interrupted_while_it_is_inside():
    # Limits that end about when the work does: none is hit afterwards, and each is told right.
    refused, passed, strays = [], [], []

    def work(seconds):
        try:
            for _ in range(20):
                try:
                    with TimeLimit(0.15, "library", "x"):
                        until = time.monotonic() + seconds
                        while time.monotonic() < until:
                            sum(range(50))
                except CommandError as error:
                    refused.append((seconds, error.code))
                else:
                    passed.append(seconds)
        except BaseException as error:
            strays.append(error)
        finally:
            connections["library"].close()

    threads = [threading.Thread(target=work, args=(seconds,)) for seconds in (0.1, 0.149, 0.15, 0.151, 0.3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert strays == []
    assert len(refused) + len(passed) == 100
    assert [seconds for seconds in passed if seconds > 0.15] == []
    assert {code for _, code in refused} == {"TIME_LIMIT"}


def test_what_an_answer_still_reads_is_interrupted(component, monkeypatch):
    monkeypatch.setattr("byron.commands.pages.Page.total", property(count_for_ever))
    began = time.monotonic()
    with override_settings(BYRON_API_COMMAND_TIMEOUT=0.2), pytest.raises(GraphQLFailure) as failure:
        component.graphql("{ books { nodes { id } totalCount } }")

    assert failure.value.code == "TIME_LIMIT"
    assert str(failure.value) == "TIME_LIMIT: The operation took longer than 0.2 seconds; nothing was changed."
    assert time.monotonic() - began < 10
    assert component.graphql("{ listBooks { id } }") == {"listBooks": []}


def test_what_was_carried_out_is_never_told_as_if_it_was_not(component, monkeypatch):
    monkeypatch.setattr("byron.api.references.ReferenceLoader.load", lambda *_: spin())
    with override_settings(BYRON_API_COMMAND_TIMEOUT=0.2), pytest.raises(GraphQLFailure) as failure:
        component.mutate("createAuthor", fullName="Ada")

    assert failure.value.code == "ANSWER_TOO_LATE"
    assert "was carried out" in str(failure.value)
    assert [event.payload["full_name"] for event in component.events] == ["Ada"]


def test_under_an_idempotency_key_what_was_carried_out_is_answered_the_next_time(component, monkeypatch):
    again = component.with_idempotency_key("k")
    with monkeypatch.context() as patch, override_settings(BYRON_API_COMMAND_TIMEOUT=0.2):
        patch.setattr("byron.api.references.ReferenceLoader.load", lambda *_: spin())
        with pytest.raises(GraphQLFailure) as failure:
            again.mutate("createAuthor", fullName="Ada")
    assert failure.value.code == "ANSWER_TOO_LATE"

    assert again.mutate("createAuthor", fullName="Ada")["fullName"] == "Ada"
    assert len(component.events) == 1


def test_a_publication_is_not_interrupted_and_its_time_does_not_count(component, monkeypatch):
    publish = CommandRunner._publish

    def slowly(*args):
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            sum(range(50))
        return publish(*args)

    monkeypatch.setattr(CommandRunner, "_publish", slowly)
    with override_settings(BYRON_API_COMMAND_TIMEOUT=0.3):
        assert component.mutate("createAuthor", fullName="Ada")["fullName"] == "Ada"


def test_a_limit_inside_of_another_ends_with_it_and_counts_for_it():
    with pytest.raises(CommandError, match="outer took"), TimeLimit(0.2, "library", "outer"):
        told = r"inner was interrupted: outer took longer than 0\.2 seconds\. inner changed nothing\."
        with pytest.raises(CommandError, match=told), TimeLimit(60, "library", "inner"):
            spin()
        spin()


def test_what_is_done_while_a_limit_is_suspended_takes_nothing_of_it():
    with TimeLimit(30, "library", "x"):
        with uninterrupted():
            time.sleep(0.05)
            before = seconds_left()
            with TimeLimit(10, "library", "y"):
                time.sleep(0.02)
        assert before - 1 < seconds_left() <= before - 0.02
