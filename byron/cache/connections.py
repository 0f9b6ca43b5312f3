"""What every connection to a Cache is given: exact decimals, and in the API that it can only read."""

from __future__ import annotations

import datetime
import decimal
import sqlite3
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from byron.cache.fields import DECIMAL_COLLATION
from byron.cache.files import file_of, options_for_reading
from byron.cache.refusals import explain_refusals
from byron.cache.roles import Role, process_role
from byron.schema.installed import installed_component, installed_components


def _compare(left: str, right: str) -> int:
    try:
        first, second = decimal.Decimal(left), decimal.Decimal(right)
    except decimal.InvalidOperation:
        return (left > right) - (left < right)
    return (first > second) - (first < second)


def _prepare(connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_collation(DECIMAL_COLLATION, _compare)
    elif connection.vendor == "postgresql":
        send_moments_in_utc(connection.connection)
    # The whole process, not `acting_as`: tests change roles on one connection.
    if process_role() is Role.SINK:
        _begin_sink_session(connection)
    if (
        process_role() is Role.API
        and installed_component(connection.alias) is not None
        and connection.vendor in _OF_SQL
    ):
        # On MongoDB the client itself does not write.
        _let_read_only(connection)


def send_moments_in_utc(driver: Any) -> None:
    """Have a connection of psycopg's write moments in UTC: PostgreSQL reads no zone 16 hours or more away from it."""
    from psycopg.types.datetime import DatetimeDumper

    class UTCDumper(DatetimeDumper):
        def dump(self, obj: Any) -> Any:
            return super().dump(obj.astimezone(datetime.UTC))

    driver.adapters.register_dumper(datetime.datetime, UTCDumper)


_OF_SQL = ("sqlite", "postgresql")


def _let_read_only(connection: Any) -> None:
    """Have a connection refuse to write, and say so. SQL can take this back, but not how SQLite's files are opened."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA query_only = ON")
            # The same file, attached once more, would be open for writing.
            connection.connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        elif connection.vendor == "postgresql":
            cursor.execute("SET default_transaction_read_only = on")
    # Before those that are there for a while only: they are taken away from the end.
    if explain_refusals not in connection.execute_wrappers:
        connection.execute_wrappers.insert(0, explain_refusals)


#: Seconds that a Sink waits for a lock of someone else's, and that one does which is to end.
_LOCK_PATIENCE, _LAST_PATIENCE = 5, 1

#: What a Sink's session on PostgreSQL is told. A machine that is lost in a transaction must not keep its lanes for the
#: two hours of the system's own keepalive, and whoever waits for another's lane must be able to stop.
_SINK_SESSION = (
    "SET tcp_keepalives_idle = 3",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 3",
)


def _begin_sink_session(connection: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for statement in _SINK_SESSION:
                cursor.execute(statement)
    _wait_for_locks(connection, _LOCK_PATIENCE)


def hurry(alias: str) -> None:
    """Have this thread's connection wait no longer than a moment for locks, as befits a process that is to end."""
    _wait_for_locks(connections[alias], _LAST_PATIENCE)


def _wait_for_locks(connection: Any, seconds: int) -> None:
    if connection.vendor in _OF_SQL:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute(f"PRAGMA busy_timeout = {1000 * seconds}")
            else:
                cursor.execute(f"SET lock_timeout = '{seconds}s'")


def prepare_connections() -> None:
    """Have every new database connection prepared; called once, when the app is ready."""
    connection_created.connect(_prepare, dispatch_uid="byron.cache")
    open_by_role()


def open_by_role() -> None:
    """Have the API's further connections to SQLite open their file for reading; called when the role is known."""
    if process_role() is Role.API:
        for config in installed_components():
            database = connections.settings[config.alias]
            if file_of(database) is not None:
                database["OPTIONS"] = options_for_reading(database)
