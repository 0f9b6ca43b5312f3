"""Ways round the router: what the connection refuses the API by itself, and what only the database's rights do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connections, transaction

from byron.cache.connections import open_by_role
from byron.cache.migrations import is_pending
from byron.cache.roles import ENVIRONMENT_VARIABLE
from byron.cache.trouble import is_unavailable
from byron.exceptions import CacheWriteError
from byron.project import cache_databases
from tests.cache.conftest import connected, meaning, on_postgresql
from tests.postgres import PostgresServer

ALIAS = "library"
INSERT = "INSERT INTO library_author (id, full_name) VALUES ('raw', 'Raw')"


def settings_of(file: Path) -> dict[str, Any]:
    made = cache_databases([ALIAS], file.parent)[ALIAS]
    return connections.configure_settings({"default": {}, "one": {**made, "NAME": file}})["one"]


@pytest.fixture
def on_sqlite(tmp_path: Path) -> dict[str, Any]:
    return settings_of(tmp_path / "a cache?.sqlite3")


@pytest.fixture
def as_owner(server: PostgresServer) -> dict[str, Any]:
    """Someone who may do anything, so that only the connection is left to refuse it."""
    server.create_database("owned")
    return on_postgresql(server, "owned")


@pytest.fixture
def as_api_user(server: PostgresServer) -> dict[str, Any]:
    """The user that `cacheroles` makes, in a process that nothing else holds back."""
    server.create_database("shared")
    return on_postgresql(server, "shared")


@pytest.fixture
def prepared(django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Let the component's alias mean a database with one author, in a process that is an API."""
    with django_db_blocker.unblock():
        entered: list[Any] = []

        def prepare(database: dict[str, Any], *, user: str = "", password: str = "") -> None:
            entered.append(meaning(ALIAS, database))
            entered[-1].__enter__()
            call_command("migrate", database=ALIAS, verbosity=0)
            author = apps.get_model(ALIAS, "Author")
            author.objects.using(ALIAS).create(id="a1", full_name="Ada")
            if user:
                monkeypatch.setenv("CACHE_API_PASSWORD", password)
                call_command("cacheroles", ALIAS, apply=True, api=user, verbosity=0)
                database |= {"USER": user, "PASSWORD": password}
            connections[ALIAS].close()
            monkeypatch.setenv(ENVIRONMENT_VARIABLE, "api")
            open_by_role()

        try:
            yield prepare
        finally:
            monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
            for each in entered:
                each.__exit__(None, None, None)


@pytest.fixture(params=["on_sqlite", "as_owner", "as_api_user"])
def api(request: pytest.FixtureRequest, prepared: Callable[..., None]) -> Any:
    """Authors of a Cache that the API has a connection to, and nothing that stands before it."""
    user = {"user": "reader", "password": "pass"} if request.param == "as_api_user" else {}
    prepared(request.getfixturevalue(request.param), **user)
    model = apps.get_model(ALIAS, "Author")
    yield model
    connections[ALIAS].close()
    assert list(model.objects.using(ALIAS).values_list("id", "full_name")) == [("a1", "Ada")]


def raw(*statements: str) -> None:
    with connections[ALIAS].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def _in_a_transaction(author: Any) -> None:
    with transaction.atomic(using=ALIAS):
        author(id="2").save(using=ALIAS)


WRITES: dict[str, Callable[[Any], Any]] = {
    "save": lambda author: author(id="2", full_name="x").save(using=ALIAS),
    "save again": lambda author: author.objects.using(ALIAS).get().save(using=ALIAS, force_update=True),
    "delete": lambda author: author.objects.using(ALIAS).get().delete(using=ALIAS),
    "create": lambda author: author.objects.using(ALIAS).create(id="2"),
    "get_or_create": lambda author: author.objects.using(ALIAS).get_or_create(id="2"),
    "update_or_create": lambda author: author.objects.using(ALIAS).update_or_create(
        id="a1", defaults={"full_name": ""}
    ),
    "update": lambda author: author.objects.using(ALIAS).update(full_name="x"),
    "queryset delete": lambda author: author.objects.using(ALIAS).all().delete(),
    "raw delete": lambda author: author.objects.using(ALIAS).all()._raw_delete(ALIAS),
    "bulk_create": lambda author: author.objects.using(ALIAS).bulk_create([author(id="2"), author(id="3")]),
    "bulk_update": lambda author: author.objects.using(ALIAS).bulk_update(
        [author(id="a1", full_name="")], ["full_name"]
    ),
    "asave": lambda author: async_to_sync(author(id="2").asave)(using=ALIAS),
    "acreate": lambda author: async_to_sync(author.objects.using(ALIAS).acreate)(id="2"),
    "abulk_create": lambda author: async_to_sync(author.objects.using(ALIAS).abulk_create)([author(id="2")]),
    "aupdate": lambda author: async_to_sync(author.objects.using(ALIAS).aupdate)(full_name="x"),
    "adelete": lambda author: async_to_sync(author.objects.using(ALIAS).all().adelete)(),
    "transaction": _in_a_transaction,
    "cursor": lambda author: raw(INSERT),
    "executemany": lambda author: connections[ALIAS].cursor().executemany(INSERT.replace("'Raw'", "%s"), [["1"]]),
    "raw": lambda author: list(author.objects.using(ALIAS).raw(f"{INSERT} RETURNING id, full_name")),
    "truncate": lambda author: raw(*connections[ALIAS].ops.sql_flush(_plain(), ["library_author"])),
    "schema editor": lambda author: _schema_editor(author),
}


def _plain() -> Any:
    from django.core.management.color import no_style

    return no_style()


def _schema_editor(author: Any) -> None:
    with connections[ALIAS].schema_editor() as editor:
        editor.execute("DROP TABLE library_author")


def test_no_way_to_write_gets_past_the_connection(api: Any) -> None:
    for way, write in WRITES.items():
        with pytest.raises(CacheWriteError, match="Emit an event, and write in its handler") as caught:
            write(api)
            pytest.fail(f"{way} wrote")

        assert not is_unavailable(caught.value, ALIAS), way


def test_rows_cannot_be_locked_on_postgresql_and_need_not_be_on_sqlite(api: Any) -> None:
    locked = api.objects.using(ALIAS).select_for_update()
    with transaction.atomic(using=ALIAS):
        if connections[ALIAS].vendor == "sqlite":
            assert locked.get().id == "a1"
        else:
            with pytest.raises(CacheWriteError), transaction.atomic(using=ALIAS):
                locked.get()


def test_reads_go_on_in_a_transaction_too(api: Any) -> None:
    with transaction.atomic(using=ALIAS):
        assert api.objects.using(ALIAS).get().full_name == "Ada"
        assert api.objects.get().full_name == "Ada"


def test_the_driver_s_own_connection_is_refused_too(api: Any) -> None:
    api.objects.using(ALIAS).get()

    with pytest.raises(Exception, match=r"readonly|read-only"):
        connections[ALIAS].connection.execute(INSERT)
    connections[ALIAS].connection.rollback()


class TestSQLite:
    @pytest.fixture(autouse=True)
    def _api(self, prepared: Callable[..., None], on_sqlite: dict[str, Any]) -> None:
        self.file = on_sqlite["NAME"]
        prepared(on_sqlite)

    @pytest.mark.parametrize(
        "escape",
        [
            "PRAGMA query_only = OFF",
            "PRAGMA writable_schema = ON",
            "BEGIN IMMEDIATE",
            "PRAGMA locking_mode = EXCLUSIVE",
        ],
    )
    def test_no_statement_makes_the_connection_write(self, escape: str) -> None:
        raw("PRAGMA query_only = OFF", escape)

        with pytest.raises(CacheWriteError):
            raw(INSERT)

    def test_the_file_cannot_be_attached_for_writing(self) -> None:
        with pytest.raises(OperationalError, match="too many attached databases"):
            raw("PRAGMA query_only = OFF", f"ATTACH '{self.file}' AS again")

    def test_no_function_of_the_driver_s_writes_either(self, tmp_path: Path) -> None:
        raw("PRAGMA query_only = OFF")
        driver = connections[ALIAS].connection
        other = sqlite3.connect(":memory:")
        for write in (
            lambda: other.backup(driver),
            lambda: driver.blobopen("library_author", "full_name", 1),
            lambda: driver.executescript(f"BEGIN; {INSERT}; COMMIT"),
            lambda: driver.execute(f"VACUUM INTO '{tmp_path / 'copy'}'"),
        ):
            with pytest.raises(sqlite3.Error):
                write()
            driver.rollback()
        other.close()
        assert not (tmp_path / "copy").exists()

    def test_a_connection_opened_by_hand_writes(self) -> None:
        """What only the file's permissions could prevent; see docs/howto/cache-roles.md."""
        with sqlite3.connect(self.file) as other:
            other.execute(INSERT)
        other.close()

        assert apps.get_model(ALIAS, "Author").objects.count() == 2

    def test_it_reads_on_while_another_writes(self) -> None:
        author = apps.get_model(ALIAS, "Author")
        other = sqlite3.connect(self.file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute(INSERT)

        with transaction.atomic(using=ALIAS):
            assert author.objects.count() == 1
            other.execute("COMMIT")
            assert author.objects.count() == 1
        assert author.objects.count() == 2
        other.close()

    def test_a_file_that_is_no_journal_of_writes_yet_is_read_as_well(self) -> None:
        """As a backup is that was made with VACUUM INTO."""
        with sqlite3.connect(self.file) as other:
            other.execute("PRAGMA journal_mode = DELETE")
        other.close()

        assert apps.get_model(ALIAS, "Author").objects.count() == 1


def test_a_file_that_is_not_there_is_not_made_and_counts_as_not_migrated(
    on_sqlite: dict[str, Any], django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "api")
    with django_db_blocker.unblock(), meaning(ALIAS, on_sqlite):
        open_by_role()
        with pytest.raises(OperationalError, match="unable to open database file") as caught:
            apps.get_model(ALIAS, "Author").objects.count()

        assert is_unavailable(caught.value, ALIAS)
        assert is_pending(ALIAS)
    assert not on_sqlite["NAME"].exists()


#: What takes back that a connection of PostgreSQL's is read-only, to be followed by a write.
ESCAPES = (
    ("SET default_transaction_read_only = off",),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",),
    ("SELECT set_config('default_transaction_read_only', 'off', false)",),
    ("BEGIN READ WRITE",),
    ("BEGIN", "SET TRANSACTION READ WRITE"),
    ("BEGIN", "SET LOCAL transaction_read_only = off"),
)

MORE = (
    INSERT,
    "UPDATE library_author SET full_name = 'x'",
    "DELETE FROM library_author",
    "TRUNCATE library_author",
    "WITH gone AS (DELETE FROM library_author RETURNING id) SELECT * FROM gone",
    "DROP TABLE library_author",
    "ALTER TABLE library_author ADD COLUMN x int",
    "CREATE TABLE another (x int)",
    "CREATE TEMPORARY TABLE another (x int)",
    "CREATE SCHEMA another",
    "UPDATE byron_checkpoint SET position = 0",
    "DELETE FROM django_migrations",
    "MERGE INTO library_author a USING library_author b ON false WHEN NOT MATCHED THEN INSERT VALUES ('2', 'x', NULL)",
    "DO $$ BEGIN DELETE FROM library_author; END $$",
    "CREATE FUNCTION another() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER another BEFORE UPDATE ON library_author EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "COMMENT ON TABLE library_author IS 'x'",
    "DO $$ BEGIN LOCK TABLE library_author IN ACCESS EXCLUSIVE MODE; END $$",
    "COPY library_author FROM PROGRAM 'true'",
    "COPY library_author TO '/dev/null'",
    "SET ROLE byron",
    "SET SESSION AUTHORIZATION byron",
    "ALTER ROLE reader CREATEROLE",
    "CREATE ROLE another",
    "CREATE EXTENSION file_fdw",
    "ALTER DATABASE shared SET search_path = ''",
)

#: The same by functions: what a SELECT does besides, it may not do either.
BY_FUNCTIONS = (
    "SELECT * FROM library_author FOR UPDATE",
    "SELECT nextval('byron_parked_event_id_seq')",
    "SELECT setval('byron_parked_event_id_seq', 1)",
    "SELECT pg_read_file('postgresql.conf')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'byron'",
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def test_what_the_connection_cannot_stop_on_postgresql_the_user_s_rights_do(
    prepared: Callable[..., None], as_api_user: dict[str, Any], server: PostgresServer
) -> None:
    prepared(as_api_user, user="reader", password="pass")

    for escape in ESCAPES:
        for write in MORE:
            raw(*escape)
            with pytest.raises((CacheWriteError, DatabaseError)) as caught:
                raw(write)
            error = caught.value if isinstance(caught.value, DatabaseError) else caught.value.__cause__
            assert error is not None and error.__cause__ is not None
            assert error.__cause__.sqlstate == "42501", (escape, write)  # type: ignore[attr-defined]
            if not write.startswith("WITH"):
                assert "Emit an event" in str(caught.value)
            connections[ALIAS].close()
    for read in BY_FUNCTIONS:
        raw(*ESCAPES[0])
        with connected(server, "shared") as other, pytest.raises((CacheWriteError, DatabaseError)) as caught:
            other.execute("SELECT 1")
            raw(read)
        assert "42501" in [getattr(each, "sqlstate", None) for each in _causes(caught.value)], read
        connections[ALIAS].close()
    raw("SET default_transaction_read_only = off")
    with suppress(DatabaseError, CacheWriteError):
        # PostgreSQL only warns that no right was granted.
        raw("GRANT INSERT ON library_author TO reader")
    with pytest.raises(CacheWriteError, match="permission denied for table library_author"):
        raw(INSERT)
    with connected(server, "shared") as other:
        assert other.execute("SELECT id, full_name FROM library_author").fetchall() == [("a1", "Ada")]


def test_on_postgresql_the_owner_can_take_back_that_a_connection_only_reads(
    prepared: Callable[..., None], as_owner: dict[str, Any]
) -> None:
    """Why a process is to have a user of its role."""
    prepared(as_owner)

    raw("SET default_transaction_read_only = off", INSERT)

    assert apps.get_model(ALIAS, "Author").objects.count() == 2
