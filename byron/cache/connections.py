"""What every connection to a Cache is given: exact decimals, and the API's read-only mode."""

from __future__ import annotations

import decimal
from typing import Any

from django.db.backends.signals import connection_created

from byron.cache.fields import DECIMAL_COLLATION
from byron.cache.roles import Role, process_role
from byron.schema.installed import installed_component


def _compare(left: str, right: str) -> int:
    try:
        first, second = decimal.Decimal(left), decimal.Decimal(right)
    except decimal.InvalidOperation:
        return (left > right) - (left < right)
    return (first > second) - (first < second)


def _prepare(connection: Any, **kwargs: Any) -> None:
    if connection.vendor == "sqlite":
        connection.connection.create_collation(DECIMAL_COLLATION, _compare)
    # The whole process, not `acting_as`: tests change roles on one connection.
    if process_role() is Role.SINK and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for statement in _SINK_SESSION:
                cursor.execute(statement)
    if process_role() is Role.API and installed_component(connection.alias) is not None:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA query_only = ON")
            elif connection.vendor == "postgresql":
                cursor.execute("SET default_transaction_read_only = on")


#: What a Sink's session on PostgreSQL is told. A machine that is lost in a transaction must not keep its lanes for the
#: two hours of the system's own keepalive, and whoever waits for another's lane must be able to stop.
_SINK_SESSION = (
    "SET tcp_keepalives_idle = 3",
    "SET tcp_keepalives_interval = 1",
    "SET tcp_keepalives_count = 3",
    "SET lock_timeout = '5s'",
)


def prepare_connections() -> None:
    """Have every new database connection prepared; called once, when the app is ready."""
    connection_created.connect(_prepare, dispatch_uid="byron.cache")
