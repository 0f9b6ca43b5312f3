"""The databases' own errors, made for real: which of them pass, and which are the fault of what was to be stored."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from byron.cache.trouble import is_trouble, remedy_for
from tests.cache.conftest import connected, database, postgresql
from tests.postgres import PostgresServer
from tests.processes import wait_for

ALIAS = "troubled"

#: A second database, beside a test's first.
OTHER = "more-troubled"


def migrate() -> None:
    call_command("migrate", database=ALIAS, verbosity=0)


def unmigrate() -> None:
    """Let a migration be still to come."""
    MigrationRecorder.Migration.objects.using(ALIAS).filter(app="byron").delete()


def execute(connection: BaseDatabaseWrapper, *statements: str, parameters: Any = None) -> Any:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement, parameters)
        return cursor.fetchone() if cursor.description else None


def error_of(connection: BaseDatabaseWrapper, *statements: str, parameters: Any = None) -> Exception:
    """Return what the last of these statements raises, outside of any transaction of Django's."""
    if statements[:-1]:
        execute(connection, *statements[:-1])
    with pytest.raises((DatabaseError, InterfaceError, OverflowError)) as caught:
        execute(connection, statements[-1], parameters=parameters)
    return caught.value


def passes(error: BaseException, alias: str = ALIAS) -> bool:
    return is_trouble(error, alias)


class TestAnyDatabase:
    @pytest.mark.parametrize("kind", [ValueError, IntegrityError, DatabaseError, KeyError])
    def test_an_error_that_says_nothing_of_trouble_is_the_event_s(self, kind: type[Exception]) -> None:
        assert not passes(kind("whatever"))

    @pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
    def test_a_connection_that_the_client_lost_passes(self, kind: type[Exception]) -> None:
        assert passes(kind("the connection is closed"))

    def test_what_trouble_caused_is_trouble(self) -> None:
        try:
            try:
                raise OperationalError("gone")
            except OperationalError as error:
                raise ValueError("no price") from error
        except ValueError as error:
            assert passes(error)
        try:
            try:
                raise OperationalError("gone")
            except OperationalError:
                raise ValueError("no price")  # noqa: B904
        except ValueError as error:
            assert passes(error)

    def test_errors_that_caused_one_another_in_a_circle_are_judged_too(self) -> None:
        first, second = ValueError("first"), ValueError("second")
        first.__cause__, second.__cause__ = second, first

        assert not passes(first)


@pytest.fixture
def sqlite(tmp_path: Any, django_db_blocker: Any) -> Iterator[BaseDatabaseWrapper]:
    options = {"timeout": 0.05, "transaction_mode": "IMMEDIATE"}
    with (
        django_db_blocker.unblock(),
        database(
            ALIAS, ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "cache.sqlite3"), OPTIONS=options
        ) as made,
    ):
        migrate()
        execute(made, "CREATE TABLE thing (id integer PRIMARY KEY, name text UNIQUE NOT NULL)")
        yield made


@contextmanager
def another_sqlite(connection: BaseDatabaseWrapper) -> Iterator[sqlite3.Connection]:
    other = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    try:
        yield other
    finally:
        other.close()


class TestSqlite:
    def test_a_database_that_another_locks_passes(self, sqlite: BaseDatabaseWrapper) -> None:
        with another_sqlite(sqlite) as other:
            other.execute("BEGIN EXCLUSIVE")
            error = error_of(sqlite, "INSERT INTO thing VALUES (1, 'a')")
        assert "locked" in str(error) and passes(error)

    def test_a_snapshot_that_others_wrote_past_passes(self, sqlite: BaseDatabaseWrapper) -> None:
        execute(sqlite, "PRAGMA journal_mode = WAL")
        with another_sqlite(sqlite) as other:
            error = None
            execute(sqlite, "BEGIN DEFERRED", "SELECT * FROM thing")
            other.execute("INSERT INTO thing VALUES (1, 'a')")
            error = error_of(sqlite, "INSERT INTO thing VALUES (2, 'b')")
            execute(sqlite, "ROLLBACK")
        # SQLITE_BUSY_SNAPSHOT is an extended code of SQLITE_BUSY.
        assert error.__cause__.sqlite_errorcode == 517 and passes(error)  # type: ignore[union-attr]

    def test_a_database_that_only_reads_passes(self, sqlite: BaseDatabaseWrapper) -> None:
        error = error_of(sqlite, "PRAGMA query_only = ON", "INSERT INTO thing VALUES (1, 'a')")
        assert "readonly" in str(error) and passes(error)

    def test_a_full_disk_passes(self, sqlite: BaseDatabaseWrapper) -> None:
        [pages] = execute(sqlite, "PRAGMA page_count")
        error = error_of(
            sqlite, f"PRAGMA max_page_count = {pages}", "INSERT INTO thing VALUES (1, %s)", parameters=["x" * 100_000]
        )
        assert "full" in str(error) and passes(error)

    def test_an_interrupted_statement_passes(self, sqlite: BaseDatabaseWrapper) -> None:
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        timer = threading.Timer(0.05, sqlite.connection.interrupt)
        timer.start()
        error = error_of(sqlite, endless)
        timer.join()
        assert "interrupted" in str(error) and passes(error)

    def test_a_file_that_cannot_be_opened_passes(self, sqlite: BaseDatabaseWrapper, tmp_path: Any) -> None:
        with database(
            OTHER, ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "missing" / "cache.sqlite3")
        ) as away:
            error = error_of(away, "SELECT 1")
            assert "unable to open" in str(error) and passes(error, OTHER)

    def test_a_file_that_is_no_database_passes(self, sqlite: BaseDatabaseWrapper, tmp_path: Any) -> None:
        (tmp_path / "broken.sqlite3").write_bytes(b"no database " * 1000)
        with database(OTHER, ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "broken.sqlite3")) as broken:
            error = error_of(broken, "SELECT * FROM thing")
            assert "not a database" in str(error) and passes(error, OTHER)

    def test_a_connection_that_was_closed_passes(self, sqlite: BaseDatabaseWrapper) -> None:
        sqlite.connection.close()
        error = error_of(sqlite, "SELECT 1")
        assert "closed database" in str(error) and passes(error)
        sqlite.connection = None

    def test_a_missing_table_passes_only_while_migrations_are_to_come(self, sqlite: BaseDatabaseWrapper) -> None:
        error = error_of(sqlite, "INSERT INTO absent VALUES (1)")
        assert "no such table" in str(error)
        assert not passes(error) and remedy_for(ALIAS) == ""
        unmigrate()
        assert passes(error) and remedy_for(ALIAS) == " remedy='run manage.py migrate'"

    def test_a_missing_column_passes_only_while_migrations_are_to_come(self, sqlite: BaseDatabaseWrapper) -> None:
        error = error_of(sqlite, "INSERT INTO thing (id, colour) VALUES (1, 'red')")
        assert "no column named colour" in str(error)
        assert not passes(error)
        unmigrate()
        assert passes(error)

    def test_a_database_without_any_table_passes(self, sqlite: BaseDatabaseWrapper, tmp_path: Any) -> None:
        with database(OTHER, ENGINE="django.db.backends.sqlite3", NAME=str(tmp_path / "empty.sqlite3")) as empty:
            assert passes(error_of(empty, "SELECT * FROM byron_checkpoint"), OTHER)

    @pytest.mark.parametrize(
        ("statement", "parameters", "reason"),
        [
            ("INSERT INTO thing VALUES (2, 'taken')", None, "UNIQUE"),
            ("INSERT INTO thing VALUES (1, 'other')", None, "UNIQUE"),
            ("INSERT INTO thing VALUES (3, NULL)", None, "NOT NULL"),
            ("INSERT INTO thing VALUES ('three', 'x')", None, "mismatch"),
            ("INSERT INTO thing VALUES (%s, 'x')", [2**63], "too large"),
            ("INSERT INTO thing VALUES (3, zeroblob(2000000000))", None, "too big"),
            ("INSERT INTO thing VALUES (3, '\x00')", None, "null character"),
            ("INSERT INTO thing VALUES (%s, %s)", [3, {}], "not supported"),
            ("SELEKT 1", None, "syntax error"),
        ],
        ids=lambda value: value if isinstance(value, str) and " " not in value else "",
    )
    @pytest.mark.parametrize("pending", [False, True])
    def test_what_was_to_be_stored_is_to_blame(
        self, sqlite: BaseDatabaseWrapper, statement: str, parameters: Any, reason: str, pending: bool
    ) -> None:
        execute(sqlite, "INSERT INTO thing VALUES (1, 'taken')")
        error = error_of(sqlite, statement, parameters=parameters)
        assert reason in str(error)
        if pending:
            unmigrate()
        # SQLite has one code for a missing table and for a syntax error.
        assert passes(error) == (pending and reason == "syntax error")

    def test_text_with_nul_is_no_error_at_all(self, sqlite: BaseDatabaseWrapper) -> None:
        execute(sqlite, "INSERT INTO thing VALUES (%s, %s)", parameters=[1, "a\x00b"])
        assert execute(sqlite, "SELECT name FROM thing") == ("a\x00b",)


@pytest.fixture(scope="module")
def template(server: PostgresServer, django_db_blocker: Any) -> str:
    """A database with the tables, to be copied for each test."""
    url = server.create_database("template")
    with django_db_blocker.unblock(), postgresql(server, "template", alias=ALIAS) as made:
        migrate()
        execute(made, "CREATE TABLE thing (id integer PRIMARY KEY, name text UNIQUE NOT NULL, doc jsonb)")
    return url


@pytest.fixture
def postgres(server: PostgresServer, template: str, django_db_blocker: Any) -> Iterator[BaseDatabaseWrapper]:
    with connected(server) as administrator:
        administrator.execute("DROP DATABASE IF EXISTS cache WITH (FORCE)")
        administrator.execute("CREATE DATABASE cache TEMPLATE template")
    with django_db_blocker.unblock(), postgresql(server, "cache", alias=ALIAS) as made:
        execute(made, "INSERT INTO thing VALUES (1, 'taken')")
        yield made


def state(error: BaseException) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


class TestPostgresql:
    def test_a_terminated_connection_passes(self, postgres: BaseDatabaseWrapper, server: PostgresServer) -> None:
        [pid] = execute(postgres, "SELECT pg_backend_pid()")
        with connected(server, "cache") as administrator:
            administrator.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        error = error_of(postgres, "SELECT 1")
        assert state(error) == "57P01" and passes(error)
        again = error_of(postgres, "SELECT 1")
        assert state(again) is None and passes(again)

    @pytest.mark.parametrize("mode", ["fast", "immediate"])
    def test_a_server_that_goes_away_passes(
        self, postgres: BaseDatabaseWrapper, server: PostgresServer, mode: Any
    ) -> None:
        execute(postgres, "SELECT 1")
        server.stop(mode)
        try:
            assert passes(error_of(postgres, "SELECT 1"))
            postgres.close()
            refused = error_of(postgres, "SELECT 1")
            assert "refused" in str(refused) and passes(refused)
            # Nobody can tell now what the tables are like.
            assert remedy_for(ALIAS) == ""
        finally:
            server.start()

    def test_a_database_that_is_not_there_passes(self, postgres: BaseDatabaseWrapper, server: PostgresServer) -> None:
        with postgresql(server, "missing", alias=OTHER) as missing:
            error = error_of(missing, "SELECT 1")
            assert "does not exist" in str(error) and passes(error, OTHER)

    def test_a_database_that_is_dropped_passes(self, postgres: BaseDatabaseWrapper, server: PostgresServer) -> None:
        execute(postgres, "SELECT 1")
        with connected(server) as administrator:
            administrator.execute("DROP DATABASE cache WITH (FORCE)")
        assert passes(error_of(postgres, "SELECT 1"))

    def test_a_wrong_password_passes(self, postgres: BaseDatabaseWrapper, server: PostgresServer) -> None:
        with postgresql(server, "cache", alias=OTHER, PASSWORD="wrong") as refused:
            error = error_of(refused, "SELECT 1")
            assert "password authentication failed" in str(error) and passes(error, OTHER)

    def test_a_server_that_only_reads_passes(self, postgres: BaseDatabaseWrapper) -> None:
        error = error_of(postgres, "SET default_transaction_read_only = on", "INSERT INTO thing VALUES (2, 'b')")
        assert state(error) == "25006" and passes(error)

    def test_too_many_connections_pass(self, postgres: BaseDatabaseWrapper, server: PostgresServer) -> None:
        with connected(server) as administrator:
            administrator.execute(f"CREATE ROLE crowd LOGIN PASSWORD '{server.password}' CONNECTION LIMIT 0")
            try:
                with postgresql(server, "cache", alias=OTHER, USER="crowd") as crowded:
                    error = error_of(crowded, "SELECT 1")
            finally:
                administrator.execute("DROP ROLE crowd")
        assert "too many connections" in str(error) and passes(error)

    def test_a_lock_that_is_not_given_in_time_passes(
        self, postgres: BaseDatabaseWrapper, server: PostgresServer
    ) -> None:
        with connected(server, "cache", autocommit=False) as other:
            other.execute("UPDATE thing SET name = 'x'")
            error = error_of(postgres, "SET lock_timeout = '20ms'", "UPDATE thing SET name = 'y'")
        assert state(error) == "55P03" and passes(error)

    def test_a_row_that_is_locked_passes(self, postgres: BaseDatabaseWrapper, server: PostgresServer) -> None:
        with connected(server, "cache", autocommit=False) as other:
            other.execute("SELECT * FROM thing FOR UPDATE")
            error = error_of(postgres, "SELECT * FROM thing FOR UPDATE NOWAIT")
        assert state(error) == "55P03" and passes(error)

    def test_a_deadlock_passes(self, postgres: BaseDatabaseWrapper, server: PostgresServer) -> None:
        execute(postgres, "INSERT INTO thing VALUES (2, 'b')")
        with connected(server, "cache", autocommit=False) as other:
            # Only this side looks for deadlocks in time, so it is the one that is told.
            other.execute("SET deadlock_timeout = '60s'")
            other.execute("UPDATE thing SET name = 'x' WHERE id = 2")
            with pytest.raises(OperationalError) as caught, transaction.atomic(using=ALIAS):
                execute(postgres, "SET LOCAL deadlock_timeout = '50ms'", "UPDATE thing SET name = 'y' WHERE id = 1")
                crosswise = threading.Thread(target=_quietly, args=(other, "UPDATE thing SET name = 'x' WHERE id = 1"))
                crosswise.start()
                _wait_until_blocked(server, other.info.backend_pid)
                execute(postgres, "UPDATE thing SET name = 'y' WHERE id = 2")
            crosswise.join(10)
        assert state(caught.value) == "40P01" and passes(caught.value)

    def test_a_transaction_that_cannot_be_serialized_passes(
        self, postgres: BaseDatabaseWrapper, server: PostgresServer
    ) -> None:
        with pytest.raises(OperationalError) as caught, transaction.atomic(using=ALIAS):
            execute(postgres, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM thing")
            with connected(server, "cache") as other:
                other.execute("UPDATE thing SET name = 'x'")
            execute(postgres, "UPDATE thing SET name = 'y'")
        assert state(caught.value) == "40001" and passes(caught.value)

    def test_a_transaction_that_was_idle_too_long_passes(self, postgres: BaseDatabaseWrapper) -> None:
        execute(postgres, "SET idle_in_transaction_session_timeout = '10ms'")
        with pytest.raises(OperationalError) as caught, transaction.atomic(using=ALIAS):
            execute(postgres, "SELECT 1")
            wait_for(lambda: not postgres.is_usable(), "the server to hang up")
            execute(postgres, "SELECT 1")
        assert passes(caught.value)

    @pytest.mark.parametrize(
        ("statement", "sqlstate"),
        [("SELECT * FROM absent", "42P01"), ("INSERT INTO thing (id, colour) VALUES (2, 'red')", "42703")],
    )
    def test_a_missing_table_or_column_passes_only_while_migrations_are_to_come(
        self, postgres: BaseDatabaseWrapper, statement: str, sqlstate: str
    ) -> None:
        error = error_of(postgres, statement)
        assert state(error) == sqlstate
        assert not passes(error) and remedy_for(ALIAS) == ""
        unmigrate()
        assert passes(error) and remedy_for(ALIAS) == " remedy='run manage.py migrate'"

    def test_a_missing_column_is_told_from_trouble_after_a_savepoint_too(self, postgres: BaseDatabaseWrapper) -> None:
        with transaction.atomic(using=ALIAS):
            with pytest.raises(DatabaseError) as caught, transaction.atomic(using=ALIAS):
                execute(postgres, "SELECT colour FROM thing")
            assert not passes(caught.value)
            assert execute(postgres, "SELECT 1") == (1,)

    @pytest.mark.parametrize(
        ("statement", "parameters", "sqlstate"),
        [
            ("INSERT INTO thing VALUES (2, 'taken')", None, "23505"),
            ("INSERT INTO thing VALUES (2, NULL)", None, "23502"),
            ("INSERT INTO thing VALUES (%s, 'b')", [2**31], "22003"),
            ("INSERT INTO thing VALUES (%s, 'b')", [10**400], "22003"),
            ("INSERT INTO thing VALUES (2, %s)", ["a\x00b"], None),
            ("INSERT INTO thing VALUES (2, 'b', %s)", ['"a\\u0000b"'], "22P05"),
            ("INSERT INTO thing VALUES (2, 'b', %s)", ["{"], "22P02"),
            ("SELECT 1/0", None, "22012"),
            ("SELEKT 1", None, "42601"),
            ("SELECT %s::numeric", ["1e1000000"], "22003"),
            ("SELECT pg_sleep(9)", None, "57014"),
        ],
    )
    @pytest.mark.parametrize("pending", [False, True])
    def test_what_was_to_be_stored_is_to_blame(
        self, postgres: BaseDatabaseWrapper, statement: str, parameters: Any, sqlstate: str | None, pending: bool
    ) -> None:
        error = error_of(postgres, "SET statement_timeout = '50ms'", statement, parameters=parameters)
        assert state(error) == sqlstate
        execute(postgres, "SET statement_timeout = 0")
        if pending:
            unmigrate()
        assert not passes(error)

    def test_text_too_long_for_an_index_is_to_blame(self, postgres: BaseDatabaseWrapper) -> None:
        # Compressed, equal characters would fit.
        [text] = execute(postgres, "SELECT string_agg(md5(n::text), '') FROM generate_series(1, 2000) AS n")
        error = error_of(postgres, "INSERT INTO thing VALUES (2, %s)", parameters=[text])
        assert state(error) == "54000" and not passes(error)

    def test_what_follows_an_error_in_its_transaction_is_to_blame(self, postgres: BaseDatabaseWrapper) -> None:
        with pytest.raises(DatabaseError) as caught, transaction.atomic(using=ALIAS):
            with suppress(DatabaseError):
                execute(postgres, "SELECT 1/0")
            execute(postgres, "SELECT 1")
        assert state(caught.value) == "25P02" and not passes(caught.value)


def _quietly(connection: Any, statement: str) -> None:
    import psycopg

    with suppress(psycopg.Error):
        connection.execute(statement)
        connection.rollback()


def _wait_until_blocked(server: PostgresServer, pid: int) -> None:
    with connected(server) as administrator:
        wait_for(
            lambda: administrator.execute("SELECT cardinality(pg_blocking_pids(%s))", [pid]).fetchone() != (0,),
            "the other transaction to wait",
        )
