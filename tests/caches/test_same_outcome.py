"""What comes of a log does not depend on the engine, nor on where a batch begins and ends."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connections, models

from byron.broker.memory import MemoryBroker
from byron.cache.roles import Role, acting_as
from byron.cache.trouble import is_trouble, is_unavailable, lacks_right
from byron.commands.functions import load_function
from byron.commands.results import load_rows
from byron.events.event import Event
from byron.models import Checkpoint, ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.testing import event
from byron.testing.component import ComponentUnderTest
from tests.cache.conftest import meaning
from tests.sink.conftest import Workbench


@pytest.fixture(params=["sqlite_cache", "postgresql_cache", "mongodb_cache"])
def bench(request: pytest.FixtureRequest, library: ComponentConfig) -> Workbench:
    request.getfixturevalue(request.param)
    return Workbench(library, MemoryBroker("Perses"))


def shelves(bench: Workbench) -> list[Any]:
    return list(bench.model("Shelf").order_by("pk").values_list("pk", "label", "count"))


def shelf(bench: Workbench, identity: str, label: str, *, key: str | None = None) -> None:
    bench.publish("shelf.made", {"id": identity, "label": label, "count": 1}, key=key)


@pytest.mark.parametrize("key", [None, "of another entity"], ids=["own key", "another key"])
@pytest.mark.parametrize("turns", ["together", "singly"])
def test_a_value_that_was_taken_for_a_while_is_refused_however_events_are_fetched(
    bench: Workbench, turns: str, key: str | None, settings: Any
) -> None:
    settings.BYRON_SINK_BATCH_SIZE = 100 if turns == "together" else 1
    shelf(bench, "a", "first")
    shelf(bench, "b", "first", key=key)
    shelf(bench, "a", "second")
    shelf(bench, "c", "first")
    bench.run()

    assert shelves(bench) == [("a", "second", 1), ("c", "first", 1)]
    assert [position for position, _ in bench.states] == [2]


def test_what_is_set_aside_says_the_same_everywhere(bench: Workbench) -> None:
    bench.publish("author.seen", {"id": "1", "fullName": "Ada"})
    bench.publish("author.seen", {"id": "2", "fullName": "Ada"})
    bench.publish_raw("shelf.made", b"{}", key="3")
    bench.publish("author.seen", {"id": "4", "fullName": "Grace"})
    worker = bench.run()

    def told() -> list[tuple[int, str, bool, int]]:
        return [(row.position, row.error.partition(":")[0], bool(row.handler), row.tries) for row in bench.parked]

    assert told() == [(2, "IntegrityError", True, 1), (3, "EventError", False, 1)]
    # Tried again, it is no more the fault of the handler that was at work last.
    bench.retry(worker, "3")
    assert told() == [(2, "IntegrityError", True, 1), (3, "EventError", False, 2)]


def test_what_is_missing_of_a_new_entity_is_not_an_empty_text(bench: Workbench) -> None:
    bench.publish("author.seen", {"id": "1", "bornOn": "2024-02-29"})
    bench.publish("author.seen", {"id": "2", "fullName": "Ada"})
    bench.publish("author.seen", {"id": "2", "bornOn": "2024-02-29"})
    bench.run()

    found = bench.model("Author").order_by("pk").values_list("pk", "full_name", "born_on")
    assert list(found) == [("2", "Ada", date(2024, 2, 29))]
    assert [position for position, _ in bench.states] == [1]


def test_a_part_that_not_every_cache_stores_is_parked_alone(bench: Workbench) -> None:
    bench.publish("author.seen", {"id": "1", "fullName": "Ada"})
    for name in ("a\0", None, 5):
        bench.publish("author.seen", {"id": "1", "fullName": name}, key=f"{name!r}")
    bench.run()

    assert [row.error.partition(":")[0] for row in bench.parked] == ["EventError"] * 3
    assert list(bench.model("Author").values_list("full_name", flat=True)) == ["Ada"]


def test_a_moment_is_the_same_from_any_zone(bench: Workbench) -> None:
    row: dict[str, Any] = {
        "anId": "1",
        "number": 1,
        "ratio": 1.5,
        "flag": True,
        "day": "2024-02-29",
        "hour": "12:30:00",
    }
    row |= {"code": str(UUID(int=1)), "genres": [], "books": []}
    for number, moment in enumerate(("2024-03-01T12:29:00+23:59", "2024-02-28T12:31:00-23:59", "2024-02-29t12:30:00z")):
        made = {**row, "id": f"{number}", "amount": number, "moment": moment, "moments": [moment]}
        bench.publish("everything.made", made)
    bench.run()

    expected = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    found = bench.model("Everything").order_by("pk").values_list("moment", "moments")
    assert list(found) == [(expected, [expected])] * 3
    far = expected.astimezone(timezone(timedelta(hours=-23, minutes=-59)))
    assert bench.model("Everything").filter(moment=far).count() == 3


def test_a_function_s_rows_come_by_id_unless_it_orders_them(bench: Workbench) -> None:
    for identity in ("b", "c", "a"):
        shelf(bench, identity, f"shelf {identity}")
    bench.run()
    rows: models.QuerySet[Any] = bench.model("Shelf").all()

    assert [each.pk for each in load_rows(rows, ["label"])] == ["a", "b", "c"]
    assert [each.pk for each in load_rows(rows.order_by("-label"), [])] == ["c", "b", "a"]
    assert len(load_rows(rows[:2], [])) == 2


def test_a_field_with_an_index_may_come_later(bench: Workbench) -> None:
    model = apps.get_model("library", "Shelf")
    field = models.TextField(null=True, unique=True)
    field.set_attributes_from_name("later")
    with connections[bench.alias].schema_editor() as editor:
        editor.add_field(model, field)
        constraints = (
            connections[bench.alias].introspection.get_constraints(None, model._meta.db_table)
            if (connections[bench.alias].vendor == "mongodb")
            else _constraints(bench.alias, model)
        )

    assert any(each["columns"] == ["later"] and each["unique"] for each in constraints.values())


def _constraints(alias: str, model: Any) -> Any:
    with connections[alias].cursor() as cursor:
        return connections[alias].introspection.get_constraints(cursor, model._meta.db_table)


def test_a_right_that_the_sink_lacks_is_waited_for(
    postgresql_cache: str, library: ComponentConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Workbench(library, MemoryBroker("Perses"))
    shelf(bench, "a", "first")
    owner = connections.settings[postgresql_cache]
    monkeypatch.setenv("CACHE_SINK_PASSWORD", "pass")
    call_command("cacheroles", postgresql_cache, apply=True, sink="lacking", verbosity=0)
    connection = connections[postgresql_cache]
    with connection.cursor() as cursor:
        cursor.execute("REVOKE INSERT ON library_shelf FROM lacking")

    worker = bench.worker()
    with meaning(postgresql_cache, {**owner, "USER": "lacking", "PASSWORD": "pass"}):
        with pytest.raises(Exception, match="permission denied for table library_shelf") as caught:
            bench.run(worker)
        connections[postgresql_cache].close()
        worker.stop()
        with acting_as(Role.SINK):
            worker._wait_out(caught.value)
            worker.release()
        assert "forbidden component=library lane=library" in caplog.text and "cacheroles" in caplog.text
        assert not bench.parked and not shelves(bench)
        assert not Checkpoint.objects.using(postgresql_cache).filter(position__gt=0).exists()

    with connections[postgresql_cache].cursor() as cursor:
        cursor.execute("GRANT INSERT ON library_shelf TO lacking")
    with meaning(postgresql_cache, {**owner, "USER": "lacking", "PASSWORD": "pass"}):
        bench.run(bench.worker(lives=False))
        assert shelves(bench) == [("a", "first", 1)]
    assert not ParkedEvent.objects.using(postgresql_cache).exists()


@pytest.mark.parametrize(("code", "passes"), [(13, True), (11000, False)])
def test_a_right_that_is_lacking_on_mongodb_is_trouble_too(code: int, passes: bool) -> None:
    errors = pytest.importorskip("pymongo.errors")
    error = DatabaseError("not authorized on library to execute command")
    error.__cause__ = errors.OperationFailure("not authorized", code)

    assert is_trouble(error, "library") == lacks_right(error) == passes
    # A reader meets it too, as long as a new collection has no rights.
    assert is_unavailable(error, "library") == passes


def test_an_event_that_nobody_can_read_names_no_handler_when_it_is_tried_again(bench: Workbench) -> None:
    shelf(bench, "a", "taken")
    shelf(bench, "b", "taken")
    bench.publish_raw("shelf.made", b"{}", key="c")
    worker = bench.run()

    for key in ("b", "c"):
        assert bench.retry(worker, key)[0] == 0
    assert [(row.tries, bool(row.handler)) for row in bench.parked] == [(2, True), (2, False)]


def test_settle_in_tests_applies_what_one_lane_emits_for_another(
    postgresql_cache: str, library: ComponentConfig, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def new_author(ctx: Any, event: Event) -> None:
        if left := event.payload.get("left", 0):
            ctx.emit("new.author", {"id": f"{event.key}{left}", "fullName": "Ada", "left": left - 1})

    monkeypatch.setattr("library.sink.handlers.new_author.new_author", new_author)
    settings.BYRON_SINK_LANES = 4
    load_function.cache_clear()
    with ComponentUnderTest(library).connected() as component:
        component.publish(*(event("new.author", id=f"a{n}", full_name="Ada", left=1) for n in range(20)))

        assert component.settle() == 40
        assert component.settle() == 0
    load_function.cache_clear()
