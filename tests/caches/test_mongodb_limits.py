"""What only a real mongod does: conflicts, the limits of a transaction, a primary that steps down, concerns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connections, transaction
from pymongo.monitoring import CommandListener

from byron.broker.memory import MemoryBroker
from byron.cache.mongodb.workspace import MongoWorkspace
from byron.cache.roles import Role, acting_as
from byron.cache.trouble import is_trouble
from byron.commands.functions import load_function
from byron.schema.installed import ComponentConfig
from byron.sink import effects
from byron.sink.rebuild import rebuild
from tests.mongodb import MongoServer, why_not, why_not_real
from tests.processes import wait_for
from tests.sink.conftest import Handler, Workbench

_WHY = why_not() or why_not_real()
pytestmark = pytest.mark.skipif(bool(_WHY), reason=f"limits are those of a real mongod: {_WHY}")


@pytest.fixture
def bench(mongodb_cache: str, library: ComponentConfig) -> Workbench:
    return Workbench(library, MemoryBroker("Perses"))


@pytest.fixture
def handle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Put another function in the place of the handler newAuthor."""

    def replace(function: Handler) -> None:
        monkeypatch.setattr(import_module("library.sink.handlers.new_author"), "new_author", function)
        load_function.cache_clear()

    yield replace
    monkeypatch.undo()
    load_function.cache_clear()


def count_up(ctx: Any, event: Any) -> None:
    """Apply an event in a way that shows whether it was applied twice."""
    row, _ = ctx.db.Author.objects.update_or_create(id=event.payload["id"], defaults={})
    row.full_name = f"{row.full_name or row.id}+"
    row.save()


@contextmanager
def held(server: MongoServer, identity: str) -> Iterator[Any]:
    """Let another transaction have written an author; gives its session."""
    with server.client() as client, client.start_session() as session:
        session.start_transaction()
        authors = client["library"]["library_author"]
        assert authors.update_one({"_id": identity}, {"$set": {"byron_held": 1}}, session=session).matched_count
        yield session
        if session.in_transaction:
            session.abort_transaction()


@contextmanager
def short_transactions(server: MongoServer) -> Iterator[Any]:
    """Have the server end transactions after a second; gives a function that waits until it has ended one."""
    with server.client() as client:

        def ended() -> int:
            return int(client.admin.command("serverStatus")["transactions"]["totalAborted"])

        def wait() -> None:
            before = ended()
            wait_for(lambda: ended() > before, "the server to end a transaction")

        before = client.admin.command("getParameter", transactionLifetimeLimitSeconds=1)
        client.admin.command("setParameter", transactionLifetimeLimitSeconds=1)
        try:
            yield wait
        finally:
            lifetime = before["transactionLifetimeLimitSeconds"]
            client.admin.command("setParameter", transactionLifetimeLimitSeconds=lifetime)


def test_a_conflict_is_tried_again_and_parks_nothing(
    bench: Workbench, mongodb_server: MongoServer, handle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle(count_up)
    bench.model("Author").create(id="a", full_name="a")
    bench.author("a")
    met: list[BaseException] = []
    with held(mongodb_server, "a") as session:

        def meet(error: BaseException) -> bool:
            met.append(error)
            if session.in_transaction:
                session.abort_transaction()
            return original(error)

        original = effects.is_conflict
        monkeypatch.setattr(effects, "is_conflict", meet)
        bench.run()

    assert len(met) == 1 and original(met[0])
    assert bench.model("Author").get(pk="a").full_name == "a+"
    assert bench.states == [] and bench.position == 1


def test_a_conflict_that_lasts_is_waited_out_and_parks_nothing(
    bench: Workbench, mongodb_server: MongoServer, handle: Any
) -> None:
    handle(count_up)
    bench.model("Author").create(id="a", full_name="a")
    bench.author("a")
    with held(mongodb_server, "a"), pytest.raises(DatabaseError) as caught:
        bench.run()
    assert is_trouble(caught.value, "library")

    bench.run()

    assert bench.model("Author").get(pk="a").full_name == "a+" and bench.states == []


#: Bytes of a batch that are more than MongoDB takes in one document, or in one entry of its oplog.
_LARGE = 40 * 500_000


def test_a_batch_and_a_rebuild_may_be_larger_than_a_document(
    bench: Workbench, handle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store(ctx: Any, event: Any) -> None:
        fill = ["x" * (_LARGE // 500)]
        ctx.db.Book.objects.create(id=event.payload["id"], title="t", genre="DRAMA", author_id="a", tags=fill)

    handle(store)
    monkeypatch.setattr(effects, "_LONGEST_TRANSACTION", 60.0)
    for number in range(500):
        bench.author(str(number))
    commits = []
    connection: Any = connections["library"]
    monkeypatch.setattr(connection, "_commit", lambda: (commits.append(1), type(connection)._commit(connection)))
    with acting_as(Role.SINK):
        worker = bench.worker(lives=False)
        assert worker.take()
        broker, consumer = worker.open()
        commits.clear()
        with consumer:
            assert worker.turn(broker, consumer, 0) == 500
    assert len(commits) == 1 and bench.states == []
    stored = list(bench.model("Book").order_by("pk").values_list("pk", flat=True))
    assert len(stored) == 500
    monkeypatch.undo()
    handle(store)
    bench.model("Book").all().delete()

    rebuild(bench.config, lambda: bench.broker)

    assert list(bench.model("Book").order_by("pk").values_list("pk", flat=True)) == stored


def test_an_event_that_outlasts_a_transaction_is_waited_for_and_not_parked(
    bench: Workbench, mongodb_server: MongoServer, handle: Any
) -> None:
    bench.author("a")
    with short_transactions(mongodb_server) as wait:

        def slow(ctx: Any, event: Any) -> None:
            # The transaction begins at the server with its first statement: that was the checkpoint's lock.
            wait()
            ctx.db.Author.objects.create(**event.payload)

        handle(slow)
        with pytest.raises(DatabaseError) as caught:
            bench.run()
    assert is_trouble(caught.value, "library")
    assert bench.states == [] and bench.authors == []
    handle(lambda ctx, event: ctx.db.Author.objects.create(**event.payload))

    bench.run()

    assert bench.authors == ["a"] and bench.states == []


def test_a_switch_that_outlasts_a_transaction_leaves_the_live_cache(
    bench: Workbench, mongodb_server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.author("a")
    bench.run()
    bench.model("Author").update(full_name="wrong")
    original = MongoWorkspace._replace
    with short_transactions(mongodb_server) as wait, monkeypatch.context() as patch:

        def slow(self: Any, model: Any) -> Any:
            difference = original(self, model)
            if model._meta.model_name == "author":
                wait()
            return difference

        patch.setattr(MongoWorkspace, "_replace", slow)
        with pytest.raises(DatabaseError, match="aborted") as caught:
            rebuild(bench.config, lambda: bench.broker)
    assert is_trouble(caught.value, "library")
    assert bench.model("Author").get(pk="a").full_name == "wrong"

    built = rebuild(bench.config, lambda: bench.broker, resume=True)

    assert built.applied == 0 and bench.model("Author").get(pk="a").full_name == "Author a"


def test_a_primary_that_steps_down_is_waited_for(bench: Workbench, mongodb_server: MongoServer, handle: Any) -> None:
    stepped: list[str] = []

    def step_down(ctx: Any, event: Any) -> None:
        count_up(ctx, event)
        if event.payload["id"] == "b" and not stepped:
            stepped.append("b")
            with mongodb_server.client() as client:
                client.admin.command("replSetStepDown", 1, secondaryCatchUpPeriodSecs=0, force=True)

    handle(step_down)
    worker = bench.worker(lives=False)

    def sink() -> None:
        with acting_as(Role.SINK):
            worker.run()

    thread = threading.Thread(target=sink)
    thread.start()
    try:
        for identity in "abc":
            bench.author(identity)
        wait_for(lambda: _authors(bench) == {"a": "a+", "b": "b+", "c": "c+"}, "the Sink to go on with the new primary")
    finally:
        worker.stop()
        thread.join(30)
    assert stepped == ["b"] and bench.states == []


def _authors(bench: Workbench) -> dict[str, str]:
    try:
        return dict(bench.model("Author").values_list("pk", "full_name"))
    except DatabaseError:
        return {}


class _Heard(CommandListener):
    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []

    def started(self, event: Any) -> None:
        self.commands.append(dict(event.command))

    def succeeded(self, event: Any) -> None:
        """Do nothing: what was asked is what matters."""

    failed = succeeded


@pytest.fixture
def heard(mongodb_cache: str) -> Iterator[_Heard]:
    """What is sent to a server whose URL asks for other concerns and another preference than a Cache needs."""
    listener = _Heard()
    settings = connections.settings[mongodb_cache]
    before = settings["OPTIONS"]
    connections[mongodb_cache].close()
    del connections[mongodb_cache]
    settings["OPTIONS"] = {**before, "event_listeners": [listener], "readPreference": "secondaryPreferred", "w": 1}
    yield listener
    connection: Any = connections[mongodb_cache]
    connection.ensure_connection()
    connection.close_pool()
    settings["OPTIONS"] = before
    del connections[mongodb_cache]


def test_a_batch_is_read_at_the_primary_and_written_to_the_majority(heard: _Heard, library: ComponentConfig) -> None:
    bench = Workbench(library, MemoryBroker("Perses"))
    bench.author("a")
    bench.run()

    commits = [each for each in heard.commands if "commitTransaction" in each]
    begun = [each for each in heard.commands if each.get("startTransaction")]
    assert commits and all(each["writeConcern"] == {"w": "majority"} for each in commits)
    assert begun and all(each["readConcern"]["level"] == "snapshot" for each in begun)
    assert all("$readPreference" not in each or each["$readPreference"] == {"mode": "primary"} for each in begun)
    inside = [each for each in heard.commands if each.get("autocommit") is False]
    assert {"byron_checkpoint", "library_author"} <= {each.get("update") or each.get("insert") for each in inside}
    with transaction.atomic(using="library"):
        assert bench.authors == ["a"]


def test_a_query_of_the_api_reads_where_and_what_the_url_says(heard: _Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BYRON_ROLE", "api")
    assert list(apps.get_model("library", "Author").objects.using("library")) == []

    [query] = [each for each in heard.commands if "aggregate" in each]
    assert query["$readPreference"] == {"mode": "secondaryPreferred"} and "readConcern" not in query
