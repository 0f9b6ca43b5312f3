"""The Sink on MongoDB: each event's effect once, wherever a process ends."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, OperationalError, connections

from byron.broker.memory import MemoryBroker
from byron.cache import visits
from byron.cache.roles import Role, acting_as
from byron.commands.functions import load_function
from byron.models import Checkpoint, OutboxMessage, ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.sink.lane import LaneWorker
from byron.sink.triage import Selection, discard_parked, parked_events, retry_parked
from tests.mongodb import why_not
from tests.sink.conftest import KilledError, Workbench

MongoClient = pytest.importorskip("pymongo").MongoClient

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no MongoDB: {why_not()}")


def _handle(ctx: Any, event: Any) -> None:
    """Count in a way that shows when an event is applied twice, and emit."""
    row, _ = ctx.db.Author.objects.update_or_create(id=event.payload["id"], defaults={})
    row.full_name = f"{row.full_name}+{event.payload['full_name']}"
    row.save()
    ctx.emit("author.welcomed", {"id": event.payload["id"]})
    if event.payload["full_name"] == "poison":
        raise RuntimeError("poison")


@pytest.fixture
def bench(mongodb_cache: str, library: ComponentConfig, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    monkeypatch.setattr(import_module("library.sink.handlers.new_author"), "new_author", _handle)
    load_function.cache_clear()
    yield Workbench(library, MemoryBroker("Perses"))
    monkeypatch.undo()
    load_function.cache_clear()


@contextmanager
def ending_at(step: int) -> Iterator[list[str]]:
    """Let the process end before the statement, the commit or what follows a commit that has this number."""
    steps: list[str] = []
    connection = connections["library"]
    commit = connection._commit

    def reach(what: str) -> None:
        steps.append(what)
        if len(steps) == step:
            raise KilledError(what)

    def statement(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        reach(sql)
        return execute(sql, *rest)

    def committed() -> None:
        reach("before the commit")
        commit()
        reach("after the commit")

    connection._commit = committed
    try:
        with connection.execute_wrapper(statement):
            yield steps
    finally:
        del connection._commit


def empty(bench: Workbench) -> None:
    for model in (Checkpoint, OutboxMessage, ParkedEvent, apps.get_model("library", "Author")):
        model.objects.using(bench.alias).all().delete()
    bench.broker = MemoryBroker("Perses")
    bench.broker.ensure_log()


def run_to_the_end(bench: Workbench) -> LaneWorker:
    worker = bench.run()
    with acting_as(Role.SINK):
        worker.release()
    return worker


def state(bench: Workbench) -> Any:
    authors = dict(bench.model("Author").order_by("pk").values_list("pk", "full_name"))
    welcomed = [each for each in bench.broker.messages if each.subject.endswith("author.welcomed")]
    return authors, len(welcomed), bench.states, len(bench.outbox)


@pytest.mark.parametrize(
    ("events", "expected", "stride"),
    [
        ([("a", "1"), ("b", "2"), ("a", "3")], ({"a": "+1+3", "b": "+2"}, 3, [], 0), 3),
        ([("a", "1"), ("b", "poison"), ("b", "2"), ("c", "3")], ({"a": "+1", "c": "+3"}, 2, [2, 3], 0), 9),
    ],
    ids=["a batch", "a batch with an event that fails"],
)
def test_each_effect_is_stored_once_wherever_the_process_ends(
    bench: Workbench, events: Any, expected: Any, stride: int
) -> None:
    for step in itertools.count(1, int(os.environ.get("CRASH_STRIDE", stride))):
        empty(bench)
        for key, name in events:
            bench.publish("new.author", {"id": key, "full_name": name})
        ended = True
        with ending_at(step) as steps:
            try:
                bench.run()
                ended = False
            except KilledError:
                # What is left to the next process is what the server was told.
                connections["library"].close()
        run_to_the_end(bench)
        authors, welcomed, parked, outbox = state(bench)
        found = authors, welcomed, [position for position, _ in parked], outbox
        assert found == expected, f"the process ended at step {step}: {steps[-3:]}"
        if not ended:
            break
    assert step > 15, steps


@contextmanager
def another_transaction() -> Iterator[Any]:
    """Hold the checkpoints as a Sink in the middle of a batch does; what is given lets go of them, and the end does."""
    client = MongoClient(connections["library"].settings_dict["HOST"])
    with client, client.start_session() as session, session.start_transaction():
        held = client["library"]["byron_checkpoint"].update_many({}, {"$set": {"held": 1}}, session=session)
        assert held.matched_count == 16
        yield session.abort_transaction


def discard_all(config: ComponentConfig) -> int:
    return discard_parked(config, list(parked_events(config, Selection()).values_list("pk", flat=True)))


def retry_all(config: ComponentConfig) -> int:
    return sum(each.applied for each in retry_parked(config, Selection()))


@pytest.mark.parametrize("does", [discard_all, retry_all])
def test_parked_events_are_dealt_with_between_a_sinks_transactions(
    bench: Workbench, does: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "byron.cache")
    bench.publish("shelf.made", {"id": "a", "label": "taken", "count": 1})
    bench.publish("shelf.made", {"id": "b", "label": "taken", "count": 1})
    bench.run()
    bench.model("Shelf").filter(pk="a").delete()
    monkeypatch.setattr(visits, "PATIENCE", 0.3)

    with another_transaction() as end:
        with pytest.raises(OperationalError, match=r"in the Cache library for 0\.3 seconds, and nothing was changed\."):
            does(bench.config)
        assert bench.states == [(2, "retrying")] and caplog.text.count("reason='a Sink is at work'") == 1

        monkeypatch.setattr(visits, "PATIENCE", 30)
        # The Sink comes to the end of its batch while it is waited for.
        monkeypatch.setattr(visits.time, "sleep", lambda seconds: end() if end.__self__.in_transaction else None)
        assert does(bench.config) == 1
    assert [state for _, state in bench.states] in ([], ["discarded"])


def test_a_lane_is_let_go_of_in_time_beside_a_transaction_that_was_left_open(bench: Workbench) -> None:
    """As after a lost connection: MongoDB would have a statement outside of transactions wait for a minute."""
    worker = bench.run()
    with another_transaction() as end, acting_as(Role.SINK):
        began = time.monotonic()
        with pytest.raises(DatabaseError):
            worker.release()
        assert time.monotonic() - began < 10

        end()
        worker.release()
    assert set(Checkpoint.objects.using("library").values_list("owner", flat=True)) == {""}
