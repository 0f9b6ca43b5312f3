"""What the engine for MongoDB promises beyond values: transactions, held rows, upserts, only reading."""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import DatabaseError, IntegrityError, NotSupportedError, OperationalError, connections, transaction
from django.db.models import F
from django.db.transaction import TransactionManagementError

from byron.cache.migrations import is_pending
from byron.cache.sessions import end_sessions, name_session
from byron.cache.trouble import is_conflict, is_trouble
from byron.exceptions import CacheWriteError
from byron.models import OutboxMessage
from byron.project import cache_databases
from tests.cache.conftest import database, meaning
from tests.mongodb import MongoServer, why_not, why_not_real

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no MongoDB: {why_not()}")


@pytest.fixture
def author(mongodb_cache: str) -> Any:
    return apps.get_model("library", "Author").objects.using(mongodb_cache)


@pytest.fixture
def book(mongodb_cache: str) -> Any:
    return apps.get_model("library", "Book").objects.using(mongodb_cache)


def documents(alias: str, name: str) -> list[dict[str, Any]]:
    return list(connections[alias].database[name].find().sort("_id"))


def test_an_error_undoes_the_transaction(author: Any) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(using="library"):
        author.create(id="1", full_name="one")
        assert author.count() == 1
        raise ZeroDivisionError
    assert author.count() == 0


def test_an_error_that_is_caught_inside_undoes_the_outermost_atomic(author: Any) -> None:
    author.create(id="1", full_name="one")
    with pytest.raises(TransactionManagementError), transaction.atomic(using="library"):
        author.create(id="2", full_name="two")
        with pytest.raises(IntegrityError, match="E11000"), transaction.atomic(using="library"):
            author.create(id="3", full_name="one")
        author.count()
    assert list(author.values_list("pk", flat=True)) == ["1"]


def test_a_document_has_the_entitys_id(author: Any) -> None:
    author.create(id="1", full_name="one", born_on="1815-12-10")
    assert documents("library", "library_author") == [
        {"_id": "1", "id": "1", "full_name": "one", "born_on": "1815-12-10"}
    ]
    with pytest.raises(IntegrityError):
        author.create(id="1", full_name="another")


def test_a_row_that_is_held_is_not_written_by_another_transaction(author: Any) -> None:
    author.create(id="1", full_name="one")
    author.create(id="2", full_name="two")
    found: list[Exception | int] = []

    def other() -> None:
        for pk in ("2", "1"):
            try:
                with transaction.atomic(using="library"):
                    found.append(author.filter(pk=pk).update(full_name=f"{pk} changed"))
            except DatabaseError as error:
                found.append(error)
        connections["library"].close()

    with transaction.atomic(using="library"):
        assert author.select_for_update().get(pk="1").full_name == "one"
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(30)

    assert found[0] == 1
    assert isinstance(found[1], DatabaseError) and is_conflict(found[1]) and is_trouble(found[1], "library")
    assert author.get(pk="1").full_name == "one"


def test_whoever_takes_over_ends_the_transaction_of_a_process_that_is_gone(author: Any) -> None:
    author.create(id="1", full_name="one")
    held, ended = threading.Event(), threading.Event()
    found: list[Exception | None] = []

    def frozen() -> None:
        name_session("library", "frozen")
        try:
            with transaction.atomic(using="library"):
                author.filter(pk="1").update(full_name="too late")
                held.set()
                ended.wait(30)
            found.append(None)
        except DatabaseError as error:
            found.append(error)
        connections["library"].close()

    thread = threading.Thread(target=frozen)
    thread.start()
    assert held.wait(30)
    end_sessions("library", ["another"])
    with pytest.raises(DatabaseError) as caught, transaction.atomic(using="library"):
        author.filter(pk="1").update(full_name="two")
    assert is_conflict(caught.value)

    end_sessions("library", ["frozen"])
    with transaction.atomic(using="library"):
        assert author.filter(pk="1").update(full_name="two") == 1
    ended.set()
    thread.join(30)

    assert isinstance(found[0], DatabaseError) and is_trouble(found[0], "library")
    assert author.get(pk="1").full_name == "two"


def test_a_thread_that_lost_its_connection_ends_its_former_transaction(author: Any) -> None:
    author.create(id="1", full_name="one")
    connection: Any = connections["library"]
    name_session("library", "me")
    transaction.set_autocommit(False, using="library")
    author.filter(pk="1").update(full_name="lost")
    # What the server knows of a connection that broke: nothing.
    lost, connection._own, connection.session = connection._own, None, None
    connection.close()
    with pytest.raises(DatabaseError) as caught, transaction.atomic(using="library"):
        author.filter(pk="1").update(full_name="two")
    assert is_conflict(caught.value)

    name_session("library", "me")

    with transaction.atomic(using="library"):
        assert author.filter(pk="1").update(full_name="two") == 1
        # It is this thread's still.
        name_session("library", "me")
    assert author.get(pk="1").full_name == "two"
    lost.end_session()


def test_a_thread_leaves_alone_a_session_that_is_another_s_by_now(author: Any) -> None:
    author.create(id="1", full_name="one")
    connection: Any = connections["library"]
    name_session("library", "me")
    connection.close()
    begun, done = threading.Event(), threading.Event()
    found: list[Any] = []

    def other() -> None:
        # PyMongo hands the session of before on.
        name_session("library", "other")
        with transaction.atomic(using="library"):
            found.append(author.filter(pk="1").update(full_name="two"))
            begun.set()
            done.wait(30)
        connections["library"].close()

    thread = threading.Thread(target=other)
    thread.start()
    assert begun.wait(30)
    name_session("library", "me")
    done.set()
    thread.join(30)

    assert author.get(pk="1").full_name == "two"


def test_holding_needs_a_transaction(author: Any) -> None:
    with pytest.raises(TransactionManagementError, match="outside of a transaction"):
        list(author.select_for_update())


def test_created_rows_replace_others_in_one_command(book: Any) -> None:
    def rows(*prices: str) -> list[Any]:
        given = {"genre": "DRAMA", "author_id": "a", "tags": ["$x"], "title": "$t"}
        return [book.model(id=str(number), price=Decimal(price), **given) for number, price in enumerate(prices)]

    commands: list[str] = []
    with connections["library"].execute_wrapper(
        lambda execute, sql, *rest: (commands.append(sql), execute(sql, *rest))
    ):
        for prices in (("1", "2"), ("1.50", "2", "3")):
            book.bulk_create(
                rows(*prices), update_conflicts=True, unique_fields=["id"], update_fields=["price", "title"]
            )
    assert commands == ["INSERT library_book"] * 2
    assert list(book.order_by("-price").values_list("pk", "price", "title")) == [
        ("2", Decimal("3"), "$t"),
        ("1", Decimal("2"), "$t"),
        ("0", Decimal("1.50"), "$t"),
    ]
    assert str(book.get(price=Decimal("1.5")).price) == "1.50"


def test_only_the_columns_asked_for_are_read(book: Any) -> None:
    book.create(id="1", title="t", genre="DRAMA", author_id="a", tags=[])
    pipeline = book.only("title").explain()
    assert "title" in pipeline and "genre" not in pipeline


def test_a_decimal_is_not_computed_by_the_database(book: Any) -> None:
    with pytest.raises(NotSupportedError, match="select_for_update"):
        book.update(price=F("price") + 1)


def test_counted_keys_go_up_over_transactions(mongodb_cache: str) -> None:
    def row() -> OutboxMessage:
        return OutboxMessage(
            consumer="c", slot=0, cause_position=1, cause_time="2024-01-01T00:00:00Z", body=b"\x00\xff"
        )

    rows = OutboxMessage.objects.using(mongodb_cache)
    first, second = rows.bulk_create([row(), row()])
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=mongodb_cache):
        rows.bulk_create([row()])
        raise ZeroDivisionError
    [third] = rows.bulk_create([row()])
    assert first.pk < second.pk < third.pk
    assert [bytes(each.body) for each in rows.order_by("id")] == [b"\x00\xff"] * 3


def test_the_apis_connection_only_reads(author: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    author.create(id="1", full_name="one")
    connections["library"].close()
    monkeypatch.setenv("BYRON_ROLE", "api")
    assert author.get(pk="1").full_name == "one"
    connection = connections["library"]
    raw = connection.database["library_author"]
    for write in (
        lambda: author.create(id="2", full_name="two"),
        lambda: author.update(full_name="x"),
        lambda: author.all().delete(),
        lambda: author.bulk_create([author.model(id="3", full_name="x")]),
        lambda: raw.insert_one({}),
        lambda: raw.with_options().delete_many({}),
        lambda: raw.aggregate([{"$out": "elsewhere"}]),
        lambda: raw.find_one_and_delete({}),
        lambda: raw.database.client["library"].library_author.drop(),
        lambda: connection.connection.drop_database("library"),
        lambda: connection.database.command({"delete": "library_author", "deletes": [{"q": {}, "limit": 0}]}),
        lambda: connection.database.command("aggregate", "x", pipeline=[{"$merge": "y"}], cursor={}),
        lambda: connection.schema_editor().delete_model(author.model),
    ):
        with pytest.raises(CacheWriteError, match="Emit an event, and write in its handler"):
            write()
    with pytest.raises(CacheWriteError), transaction.atomic(using="library"):
        list(author.select_for_update())
    with connection.cursor() as cursor, pytest.raises(NotSupportedError, match="no SQL"):
        cursor.execute("DELETE FROM library_author")
    connection.close_pool()
    monkeypatch.delenv("BYRON_ROLE")
    assert author.count() == 1


def test_a_server_alone_is_told_of_with_the_remedy(tmp_path: Path, django_db_blocker: Any) -> None:
    with MongoServer(tmp_path, standalone=True) as server, django_db_blocker.unblock(), _cache(server.url("alone")):
        with pytest.raises(OperationalError, match="rs.initiate") as caught, transaction.atomic(using="alone"):
            pass
        assert is_trouble(caught.value, "alone")
        connections["alone"].close_pool()


def test_a_server_that_is_away_is_trouble_that_passes(tmp_path: Path, django_db_blocker: Any) -> None:
    if why := why_not_real():
        # Of a stand-in that comes back PyMongo may hear of a replica set that it is not in itself.
        pytest.skip(why)
    with MongoServer(tmp_path) as server, django_db_blocker.unblock():
        url = server.url("away") + "?serverSelectionTimeoutMS=1000"
        with _cache(url) as connection:
            assert is_pending("away")
            server.stop()
            for ask in (
                lambda: is_pending("away"),
                lambda: list(OutboxMessage.objects.using("away")),
                lambda: OutboxMessage.objects.using("away").all().delete(),
            ):
                with pytest.raises(OperationalError) as caught:
                    ask()
                assert is_trouble(caught.value, "away")
            assert not connection.is_usable()
            server.start()
            assert is_pending("away")
            connection.close_pool()


def _cache(url: str) -> Any:
    name = url.rpartition("/")[2].partition("?")[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CACHE_URL", url)
        return database(name, **cache_databases([name], Path())[name])


def test_migrate_fails_at_a_server_that_stands_alone(
    tmp_path: Path, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MongoServer(tmp_path, standalone=True) as server, django_db_blocker.unblock():
        monkeypatch.setenv("LIBRARY_CACHE_URL", server.url("library"))
        settings = connections.configure_settings({"default": {}, **cache_databases(["library"], Path())})
        with meaning("library", settings["library"]):
            with pytest.raises(SystemCheckError, match=r"(?s)byron\.E016.*stands alone.*rs\.initiate"):
                call_command("migrate", database="library", verbosity=0, skip_checks=False)
            assert run_checks(tags=["byron"]) == run_checks(tags=["byron"], databases=[])
            connections["library"].close_pool()


def test_a_replica_set_passes_the_check_and_so_does_a_server_that_is_away(
    mongodb_cache: str, mongodb_server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found() -> set[str | None]:
        return {message.id for message in run_checks(tags=["byron"], databases=["library"])}

    assert "byron.E016" not in found()

    def away() -> bool:
        raise OperationalError("away")

    monkeypatch.setattr(connections["library"], "has_transactions", away)
    assert "byron.E016" not in found()
