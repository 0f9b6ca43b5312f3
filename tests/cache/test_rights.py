"""`cacheroles` on a real PostgreSQL: what its users can do, and what it finds in need of change."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from psycopg import sql

from byron.cache.checkpoint import release_slots, take_slots
from byron.project import cache_databases
from tests.cache.conftest import connected, meaning, on_postgresql
from tests.postgres import PostgresServer

ALIAS = "library"
#: A name that has to be quoted, and that a comment must not end with.
DATABASE = 'rights of "the\n library" ü'
API, SINK = f"{DATABASE}_api", f"{DATABASE}_sink"

INSERT = "INSERT INTO library_author (id, full_name) VALUES ('a1', 'Ada')"


@pytest.fixture
def cache(server: PostgresServer, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresServer]:
    """A migrated Cache of the component, for its owner, without users of the roles."""
    with connected(server) as other:
        other.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(DATABASE)))
        for (name,) in other.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'rights%'").fetchall():
            other.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    server.create_database(DATABASE)
    monkeypatch.setenv("CACHE_API_PASSWORD", "api's secret")
    monkeypatch.setenv("CACHE_SINK_PASSWORD", "sink%s secret")
    with django_db_blocker.unblock(), meaning(ALIAS, on_postgresql(server, DATABASE)):
        call_command("migrate", database=ALIAS, verbosity=0)
        yield server


def cacheroles(*arguments: str) -> str:
    out = io.StringIO()
    call_command("cacheroles", ALIAS, *arguments, stdout=out)
    return out.getvalue()


def commands(printed: str) -> list[str]:
    """Return the printed commands, without what is said of them."""
    return [line.rpartition(";  -- ")[0] for line in printed.splitlines() if not line.startswith("-- ")]


def as_user(server: PostgresServer, user: str, *, database: str = DATABASE) -> psycopg.Connection[Any]:
    password = "api's secret" if user == API else "sink%s secret"
    parameters = {"host": "127.0.0.1", "port": server.port, "dbname": database, "user": user, "password": password}
    return psycopg.connect(**parameters, autocommit=True)  # type: ignore[arg-type]


def owner(server: PostgresServer, *statements: str) -> None:
    with connections[ALIAS].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def test_what_it_prints_changes_nothing_and_can_be_given_to_the_server(cache: PostgresServer) -> None:
    printed = cacheroles()
    assert cacheroles().splitlines()[0] == printed.splitlines()[0]
    assert "secret" not in printed
    assert "SCRAM-SHA-256$" in printed

    with psycopg.connect(
        host="127.0.0.1", port=cache.port, dbname=DATABASE, user=cache.user, password=cache.password
    ) as other:
        other.execute(printed)  # type: ignore[arg-type]

    assert "nothing to change" in cacheroles()
    with as_user(cache, API) as api:
        assert api.execute("SELECT count(*) FROM library_author").fetchone() == (0,)


def test_applied_twice_it_has_nothing_to_do(cache: PostgresServer) -> None:
    first = cacheroles("--apply")
    again = cacheroles("--apply")

    assert "SCRAM-SHA-256$" not in first
    assert "secret" not in first
    assert commands(first)
    assert commands(again) == []
    assert "they have their rights and no others; nothing to change" in again


def test_another_password_is_the_only_change(cache: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    cacheroles("--apply")
    monkeypatch.setenv("CACHE_API_PASSWORD", "another")

    assert cacheroles("--apply").count(";  -- ") == 1

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        as_user(cache, API)


def test_the_api_s_user_reads_and_does_nothing_else(cache: PostgresServer) -> None:
    owner(cache, INSERT)
    cacheroles("--apply")
    with as_user(cache, API) as api:
        assert api.execute("SELECT id FROM library_author").fetchall() == [("a1",)]
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            api.execute("DELETE FROM library_author")
        api.execute("SET default_transaction_read_only = off")
        for statement in (
            "DELETE FROM library_author",
            "SELECT * FROM library_author FOR UPDATE",
            "SELECT pg_reload_conf()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                api.execute(statement)


def test_the_sink_s_user_changes_rows_and_nothing_else(cache: PostgresServer) -> None:
    cacheroles("--apply")
    with as_user(cache, SINK) as sink:
        sink.execute(INSERT)
        sink.execute("UPDATE library_author SET full_name = 'x'")
        sink.execute("SELECT * FROM library_author FOR UPDATE")
        sink.execute("DELETE FROM library_author")
        for statement in (
            "TRUNCATE library_author",
            "CREATE TABLE another (x int)",
            "CREATE TEMPORARY TABLE another (x int)",
            "CREATE SCHEMA byron_rebuild",
            "DROP TABLE library_author",
            "ALTER TABLE library_author ADD COLUMN x int",
            "CREATE INDEX ON library_author (full_name)",
            "DELETE FROM django_migrations",
            "ALTER ROLE CURRENT_USER CREATEDB",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                sink.execute(statement)  # type: ignore[arg-type]


def test_the_sink_s_user_can_take_lanes_from_one_that_is_frozen(cache: PostgresServer) -> None:
    cacheroles("--apply")
    database = on_postgresql(cache, DATABASE, USER=SINK, PASSWORD="sink%s secret")
    with meaning(ALIAS, database), as_user(cache, SINK) as frozen:
        assert take_slots(ALIAS, "library", [0, 1], "old", lambda _: True) is False
        frozen.execute("SET application_name = 'byron-sink-old'")
        frozen.execute("BEGIN")
        frozen.execute("SELECT * FROM byron_checkpoint FOR UPDATE")

        assert take_slots(ALIAS, "library", [0, 1], "new", lambda _: False) is True

        release_slots(ALIAS, "library", [0, 1], "new")
        with pytest.raises(psycopg.OperationalError):
            frozen.execute("SELECT 1")


def test_tables_of_later_migrations_come_with_the_same_rights(cache: PostgresServer) -> None:
    cacheroles("--apply")
    owner(cache, "CREATE TABLE library_later (id int)")

    with as_user(cache, SINK) as sink, as_user(cache, API) as api:
        sink.execute("INSERT INTO library_later VALUES (1)")
        assert api.execute("SELECT id FROM library_later").fetchall() == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sink.execute("TRUNCATE library_later")


def test_other_schemas_and_tables_are_not_for_them(cache: PostgresServer) -> None:
    owner(cache, "CREATE TABLE other (id int)", "CREATE SCHEMA elsewhere", "CREATE TABLE elsewhere.thing (id int)")
    cacheroles("--apply")

    for user in (API, SINK):
        with as_user(cache, user) as connection:
            for table in ("other", "elsewhere.thing"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"SELECT * FROM {table}")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("ALTER ROLE {api} CREATEDB", "it had CREATEDB"),
        ("ALTER ROLE {api} CREATEROLE", "it had CREATEROLE"),
        ("ALTER ROLE {api} BYPASSRLS", "it had BYPASSRLS"),
        ("ALTER ROLE {sink} REPLICATION", "it had REPLICATION"),
        ("ALTER ROLE {api} NOLOGIN", "it is to log in"),
        ("GRANT pg_write_all_data TO {api}", "it had the rights of pg_write_all_data"),
        ("GRANT INSERT ON library_author TO {api}", "it had more: INSERT"),
        ("GRANT UPDATE (full_name) ON library_author TO {api}", "it had more: UPDATE (full_name)"),
        ("GRANT SELECT ON library_author TO {api} WITH GRANT OPTION", "it had more: SELECT WITH GRANT OPTION"),
        ("GRANT TRUNCATE ON library_author TO {sink}", "it had more: TRUNCATE"),
        ("GRANT UPDATE ON django_migrations TO {sink}", "it had more: UPDATE"),
        ("GRANT USAGE ON SEQUENCE byron_parked_event_id_seq TO {api}", "it had more: USAGE"),
        ("GRANT CREATE ON SCHEMA public TO {sink}", "it had more: CREATE"),
        ("CREATE SCHEMA more; GRANT USAGE ON SCHEMA more TO {api}", "it had more: USAGE"),
        (
            "CREATE TABLE more (id int); REVOKE ALL ON more FROM {api}; GRANT SELECT (id) ON more TO {api}",
            "it had more: SELECT (id)",
        ),
        ("GRANT CREATE ON DATABASE {database} TO {sink}", "it had more: CREATE"),
        (
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT TRUNCATE ON TABLES TO {api}",
            "more on later tables: TRUNCATE",
        ),
        ("ALTER DEFAULT PRIVILEGES GRANT USAGE ON SEQUENCES TO {sink}", "more on later sequences: USAGE"),
        ("GRANT INSERT ON library_author TO PUBLIC", "everybody has it"),
        ("GRANT CREATE ON SCHEMA public TO PUBLIC", "everybody has it"),
        ("REVOKE SELECT ON library_author FROM {api}", "what the api does"),
        ("REVOKE USAGE ON SCHEMA public FROM {sink}; REVOKE USAGE ON SCHEMA public FROM PUBLIC", "what the sink does"),
        ("ALTER ROLE {api} IN DATABASE {database} RESET ALL", "its transactions only read"),
    ],
)
def test_what_is_too_much_or_missing_is_told_and_put_right(cache: PostgresServer, given: str, told: str) -> None:
    cacheroles("--apply")
    names = {"api": quoted(API), "sink": quoted(SINK), "database": quoted(DATABASE)}
    owner(cache, *given.format(**names).split("; "))

    assert told in cacheroles("--apply")

    assert "nothing to change" in cacheroles()


@pytest.mark.parametrize("role", ["api", "sink"])
def test_users_that_rights_cannot_bind_are_refused(cache: PostgresServer, role: str) -> None:
    with pytest.raises(CommandError, match=f"cannot be the {role}'s user: it owns the tables.*with --{role}"):
        cacheroles(f"--{role}", cache.user)
    owner(cache, "CREATE ROLE rights_super SUPERUSER")
    with pytest.raises(CommandError, match="rights_super is a superuser"):
        cacheroles(f"--{role}", "rights_super")
    owner(cache, "CREATE ROLE rights_owner", "CREATE TABLE mine (id int)", "ALTER TABLE mine OWNER TO rights_owner")
    with pytest.raises(CommandError, match="rights_owner owns table mine"):
        cacheroles(f"--{role}", "rights_owner")
    owner(cache, "DROP TABLE mine")


def test_one_user_cannot_have_both_roles(cache: PostgresServer) -> None:
    with pytest.raises(CommandError, match="is the other role's"):
        cacheroles("--api", "rights_both", "--sink", "rights_both")


def test_without_a_password_it_says_how_to_give_one(cache: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_API_PASSWORD")

    printed = cacheroles()

    assert re.search(r"-- .*_api has no password. Give it one with CACHE_API_PASSWORD", printed)
    assert f"{quoted(API)} PASSWORD" not in printed


def test_passwords_can_be_asked_for(cache: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["api's secret", "api's secret", "one", "two"])
    monkeypatch.setattr("byron.management.commands.cacheroles.getpass", lambda _: next(answers))

    with pytest.raises(CommandError, match="The two passwords differ"):
        cacheroles("--ask-passwords", "--apply")
    assert commands(cacheroles())


def test_a_user_who_may_not_is_told_who_may(cache: PostgresServer) -> None:
    owner(cache, "CREATE ROLE rights_nobody LOGIN PASSWORD 'x'", "GRANT SELECT ON django_migrations TO rights_nobody")
    with (
        meaning(ALIAS, on_postgresql(cache, DATABASE, USER="rights_nobody", PASSWORD="x")),
        pytest.raises(CommandError, match="has CREATEROLE, or have an administrator run what is printed"),
    ):
        cacheroles("--apply")
    owner(cache, "DROP OWNED BY rights_nobody")


def test_a_cache_without_tables_is_to_be_migrated_first(server: PostgresServer, django_db_blocker: Any) -> None:
    server.create_database("rights_empty")
    with (
        django_db_blocker.unblock(),
        meaning(ALIAS, on_postgresql(server, "rights_empty")),
        pytest.raises(CommandError, match="run manage.py migrate first"),
    ):
        cacheroles()


def test_sqlite_has_no_users(tmp_path: Path, django_db_blocker: Any) -> None:
    database = connections.configure_settings({"default": {}, "one": cache_databases([ALIAS], tmp_path)[ALIAS]})["one"]
    with django_db_blocker.unblock(), meaning(ALIAS, database):
        printed = cacheroles("--apply")

    assert "SQLite has no users" in printed
    assert all(line.startswith("-- ") for line in printed.splitlines())


def test_only_components_have_users() -> None:
    with pytest.raises(CommandError, match="There is no component 'nothing' in this project. There are: library"):
        call_command("cacheroles", "nothing")
