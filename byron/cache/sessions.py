"""Whose a session at the database server is, and the end of those whose process is gone."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db import connections

#: What a Sink's session calls itself, before its owner's id. PostgreSQL keeps 63 characters.
_PREFIX = "byron-sink-"


def name_session(alias: str, owner: str) -> None:
    """Have the session of this thread tell whose it is, on databases that have a server."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [_PREFIX + owner])
    elif connection.vendor == "mongodb":
        named: Any = connection
        named.name_session(_PREFIX + owner)


def end_sessions(alias: str, owners: Collection[str]) -> None:
    """End the sessions of these owners, and with them their transactions and locks.

    The server goes on serving a client that is frozen, or that it cannot know to be lost.
    """
    connection = connections[alias]
    if owners and connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND usename = current_user AND application_name = ANY(%s)",
                [[_PREFIX + owner for owner in sorted(owners)]],
            )
    elif owners and connection.vendor == "mongodb":
        named: Any = connection
        named.end_sessions([_PREFIX + owner for owner in owners])
