"""Versions in the Cache: the position of the last event whose key is the entity's id, whatever its handlers do."""

from __future__ import annotations

import pytest
import yaml
from django.db import connections
from django.test.utils import CaptureQueriesContext

from byron.schema.model import Component
from byron.sink.triage import Selection, retry_parked
from byron.sink.versions import Versions
from byron.testing.events import event
from byron.testing.survival import SurvivalError


def made(bench, identity, *, key=None, label=None, name="shelf.made"):
    payload = {"id": identity, "label": label or f"Shelf {identity}", "count": 0, "above": None}
    return bench.publish(name, payload, key=key)


def versions(bench):
    return dict(bench.model("Shelf").order_by("id").values_list("id", "version"))


def test_declared_handlers_set_versions(bench):
    made(bench, "a")
    made(bench, "b")
    bench.publish("shelf.changed", {"id": "a", "count": 3})
    bench.publish("shelf.changed", {"id": "b"})
    made(bench, "c")
    made(bench, "c", label="again")
    bench.publish("shelf.dropped", {"id": "c"})
    made(bench, "d")
    bench.run()
    assert versions(bench) == {"a": 3, "b": 4, "d": 8}


def test_written_handlers_leave_versions_to_the_sink(bench, handle):
    def fill(ctx, event):
        if event.payload["how"] == "update":
            ctx.db.Shelf.objects.filter(pk=event.key).update(count=1)
        elif event.payload["how"] == "create":
            ctx.db.Shelf.objects.filter(pk=event.key).delete()
            ctx.db.Shelf.objects.create(id=event.key, label=event.key, count=2)

    handle("shelfFilled", fill)
    for identity in "abc":
        made(bench, identity)
    bench.publish("shelf.filled", {"how": "update"}, key="a")
    bench.publish("shelf.filled", {"how": "create"}, key="b")
    bench.publish("shelf.filled", {"how": "nothing"}, key="c")
    bench.publish("shelf.filled", {"how": "create"}, key="d")
    bench.run()
    assert versions(bench) == {"a": 4, "b": 5, "c": 6, "d": 7}


def test_one_event_at_a_time_comes_to_the_same(bench, settings):
    settings.BYRON_SINK_BATCH_SIZE = 1
    test_declared_handlers_set_versions(bench)


def test_an_event_of_another_key_changes_an_entity_and_not_its_version(bench):
    made(bench, "a")
    made(bench, "a", key="other", label="changed")
    made(bench, "b", key="other")
    made(bench, "b", key="other", label="changed too")
    bench.publish("shelf.changed", {"id": "a", "count": 9}, key="other")
    bench.run()
    assert versions(bench) == {"a": 1, "b": 0}
    assert list(bench.model("Shelf").order_by("id").values_list("label", "count")) == [
        ("changed", 9),
        ("changed too", 0),
    ]


def test_an_event_about_another_type_counts_for_the_id_too(bench):
    # The broker knows keys, not types: else a version would stay that which it refuses.
    made(bench, "a")
    bench.author("a")
    bench.publish("author.seen", {"id": "a", "fullName": "Ada"})
    bench.author("\x00")
    bench.run()
    assert versions(bench) == {"a": 3}


def test_events_that_are_not_handled_do_not_count(bench):
    made(bench, "a")
    bench.publish("shelf.painted", {"id": "a"})
    made(bench, "b")
    bench.run()
    assert versions(bench) == {"a": 1, "b": 3}


def test_an_event_that_was_set_aside_counts_when_it_is_applied(bench, handle):
    fails = True

    def fill(ctx, event):
        if fails:
            raise RuntimeError("not yet")

    handle("shelfFilled", fill)
    made(bench, "a")
    bench.publish("shelf.filled", {}, key="a")
    bench.publish("shelf.changed", {"id": "a", "count": 1})
    made(bench, "b")
    bench.run().release()
    assert versions(bench) == {"a": 1, "b": 4}

    fails = False
    list(retry_parked(bench.config, Selection()))
    assert versions(bench) == {"a": 3, "b": 4}


def test_a_run_of_creates_is_one_statement_with_its_versions(bench, statements_of):
    def inserts(name):
        for number in range(50):
            bench.publish(name, {"id": f"{name}{number}", "label": f"{name}{number}", "count": 0, "above": None})
        return [sql for sql in statements_of(bench.run) if "library_shelf" in sql]

    [statement] = inserts("shelf.made")
    assert statement.startswith("INSERT")
    assert sorted(versions(bench).values()) == list(range(1, 51))


def test_events_about_other_types_cost_one_statement_a_batch(bench, statements_of):
    for number in range(50):
        bench.author(f"a{number}")
    [statement] = [sql for sql in statements_of(bench.run) if "library_shelf" in sql]
    assert statement.startswith("SELECT")


def test_without_versioned_types_nothing_is_asked(bench, statements_of, monkeypatch):
    data = yaml.safe_load(bench.config.schema_path.read_text())
    for command in data["content"]["commands"]:
        command.pop("version", None)
    fresh = Component.model_validate(data)
    monkeypatch.setitem(bench.config.__dict__, "component", fresh)
    for number in range(5):
        bench.author(f"a{number}")
    assert [sql for sql in statements_of(bench.run) if "library_shelf" in sql] == []


@pytest.fixture
def statements_of(bench):
    """Run a function and return the SQL that it had executed."""

    def run(function):
        with CaptureQueriesContext(connections["library"]) as captured:
            function()
        return [query["sql"] for query in captured.captured_queries]

    return run


def test_versions_survive_faults(component):
    shelves = [event("shelf.made", id=each, label=each, count=0, above=None) for each in "abc"]
    component.survives(
        *shelves,
        event("shelf.filled", id="a", count=1),
        event("shelf.changed", id="b", count=2),
        event("new.author", id="a", full_name="the same id"),
        event("shelf.dropped", id="c"),
        event("shelf.filled", id="b", count=3),
    )


def test_faults_find_a_version_that_is_not_right(component, monkeypatch):
    monkeypatch.setattr(Versions, "store", lambda self: None)
    with pytest.raises(SurvivalError, match="version"):
        component.survives(
            event("shelf.made", id="a", label="a", count=0, above=None),
            event("shelf.filled", id="a", count=1),
            event("shelf.changed", id="a", count=1),
            event("new.author", id="b", full_name="b"),
            event("shelf.filled", id="a", count=2),
        )
