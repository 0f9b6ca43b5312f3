"""The Sink on a log in memory: once, in order, and never past a failure."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connections
from django.test.utils import CaptureQueriesContext

from byron.broker.memory import MemoryBroker
from byron.cache.checkpoint import last_position, read_checkpoints
from byron.cache.roles import Role, acting_as
from byron.events.event import Event
from byron.events.payloads import PayloadCodec
from byron.exceptions import CacheReadError, EventError, LogMismatchError
from byron.management.commands.runsink import run_until_signalled
from byron.models import ParkedEvent
from byron.sink.batch import BatchApplier
from byron.sink.effects import Effects
from byron.sink.lanes import Lane
from byron.sink.runner import Sink
from tests.conftest import add_books


def emit(component, name, payload, *, key=None):
    codec = PayloadCodec(component.config.component)
    event = Event(name=name, key=key or payload["id"], payload=payload, namespace="Perses", source="Test")
    component.broker.ensure_log()
    component.broker.publish([codec.write(event)], 1)


def parked():
    return list(ParkedEvent.objects.using("library").order_by("position"))


def titles():
    with acting_as(Role.API):
        return sorted(apps.get_model("library", "Book").objects.values_list("title", flat=True))


def test_events_are_applied_and_the_checkpoint_moves_with_them(component, library):
    add_books(component, "one", "two")

    assert component.settle() == 2
    assert titles() == ["one", "two"]
    applied = read_checkpoints("library", library.consumer_name)
    assert {(each.position, each.event_id) for each in applied.values()} == {(2, component.events[-1].id)}
    assert sorted(applied) == list(range(16))


def test_what_was_applied_is_not_applied_again(component, library):
    add_books(component, "one")
    component.settle()
    apps.get_model("library", "Book").objects.all().delete()

    assert component.settle() == 0
    assert titles() == []


def test_a_redelivery_is_skipped_by_its_position(component, library):
    add_books(component, "one", "two")
    component.settle()
    batches = BatchApplier(Effects(library, Lane(consumer=library.consumer_name), owner=""))
    with acting_as(Role.SINK), CaptureQueriesContext(connections["library"]) as captured:
        assert batches.apply(component.broker.messages) == 2

    assert not [query["sql"] for query in captured if query["sql"].startswith(("INSERT", "UPDATE"))]


def test_a_run_of_declared_creates_is_one_statement(component, everything):
    for number in range(20):
        component.mutate("makeEverything", **{**everything, "amount": str(number)})

    with CaptureQueriesContext(connections["library"]) as captured:
        assert component.settle() == 20
    inserts = [query["sql"] for query in captured if query["sql"].startswith('INSERT INTO "library_everything"')]
    assert len(inserts) == 1


def test_the_declared_operations_do_what_they_say(component):
    [book] = add_books(component, "one")
    emit(component, "book.renamed", {"id": book, "title": "uno"})
    emit(component, "book.renamed", {"id": "unknown", "title": "nobody"})
    emit(component, "author.seen", {"id": "a1", "fullName": "Ada"})
    emit(component, "author.seen", {"id": "a1", "bornOn": "1815-12-10"})
    component.settle()

    assert component.query("getBook", id=book)["title"] == "uno"
    assert component.query("getAuthor", id="a1") == {"id": "a1", "fullName": "Ada", "bornOn": "1815-12-10"}
    emit(component, "book.gone", {"id": book})
    component.settle()
    assert component.query("getBook", id=book) is None


def test_an_event_without_an_identity_is_not_applied(component):
    emit(component, "book.gone", {}, key="k")
    with pytest.raises(EventError, match=r"\(book\.gone\) has no id in its payload"):
        component.settle()


def test_a_failing_event_holds_back_what_follows_and_keeps_what_came_before(component, library):
    add_books(component, "before", "cursed", "after")
    with pytest.raises(RuntimeError, match="this book is cursed"):
        component.settle()

    assert titles() == ["before"]
    assert last_position("library", library.consumer_name) == 1


def test_a_handler_may_not_serve_reads(component, library):
    with (
        acting_as(Role.SINK),
        pytest.raises(CacheReadError, match=r"The Sink does not read Book: .*Use select_for_update"),
    ):
        apps.get_model("library", "Book").objects.count()


def test_a_log_that_lost_the_checkpoint_s_event_stops_the_sink(component, library):
    add_books(component, "one")
    component.settle()
    other = MemoryBroker("Perses")
    other.ensure_log()
    with acting_as(Role.SINK), pytest.raises(LogMismatchError, match="the log was recreated or restored") as error:
        Sink(library, lambda: other).settle()

    assert "manage.py rebuildcache library" in str(error.value)


def test_an_event_that_nobody_handles_is_passed_over(component):
    emit(component, "nobody.cares", {"id": "1"})

    assert component.settle() == 0


@pytest.mark.django_db(transaction=True, databases=["library", "students"])
def test_a_running_sink_tries_a_failing_handler_again_until_it_succeeds(component, library, tmp_path, settings):
    settings.BYRON_SINK_RETRY_DELAY = 0.01
    noted = tmp_path / "noted"
    emit(component, "trouble.made", {"id": "1", "path": str(noted)})
    sink = Sink(library, lambda: component.broker)

    with running(sink):
        _wait_for(lambda: [row.tries for row in parked()] == [3])
        noted.touch()
        _wait_for(lambda: not parked())

    assert Path(noted).read_text() == "1\n"


@pytest.mark.django_db(transaction=True, databases=["library", "students"])
def test_a_running_sink_waits_for_a_broker_that_is_away(component, library, settings, caplog):
    settings.BYRON_SINK_RETRY_DELAY = 0.01
    add_books(component, "late")
    component.broker.available = False
    sink = Sink(library, lambda: component.broker)
    with running(sink):
        _wait_for(lambda: "waiting component=library" in caplog.text)
        component.broker.available = True
        _wait_for(lambda: sink.applied == 1)

    assert titles() == ["late"]


@contextmanager
def running(sink):
    def run():
        with acting_as(Role.SINK):
            sink.run()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        sink.stop()
        thread.join(10)
    assert not thread.is_alive()


def _wait_for(condition, seconds=10.0):
    done = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if condition():
            return
        done.wait(0.01)
    pytest.fail("the condition did not come to hold in time")


def test_what_a_failing_event_was_is_told_with_the_error(component):
    [book] = add_books(component, "cursed")
    with pytest.raises(RuntimeError) as failure:
        component.settle()

    assert failure.value.__notes__ == [f"In the handler newBook of new.book {book}, at position 1 of the log"]


@pytest.mark.django_db(transaction=True, databases=["library", "students"])
def test_a_sink_that_ends_by_itself_is_told_to_the_command(component, library):
    def connect():
        raise ValueError("no such place")

    sink = Sink(library, connect)
    sink.run = connect  # type: ignore[method-assign]

    [failure] = run_until_signalled([sink])

    assert str(failure) == "no such place"
