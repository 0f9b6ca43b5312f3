"""A Cache on SQLite: a file, which has no users but those of the operating system."""

from __future__ import annotations

from django.db import connections

from byron.cache.files import file_of
from byron.cache.rights.base import Plan, Rights, Users


class SQLiteRights(Rights):
    """Nothing to run: the API opens the file for reading, and the system's permissions do the rest."""

    supports_users = False

    def plan(self, users: Users) -> Plan:
        file = file_of(connections.settings[self.alias]) or "The database in memory"
        return Plan(
            notes=(
                f"SQLite has no users: {file} belongs to whom the operating system says.",
                "The API opens it for reading only (mode=ro), which no SQL can take back. Code that opens the file by "
                "itself can write it, unless the API runs as another user of the system than the Sink.",
                "Such a user needs the right to read the file and its -wal and -shm beside it, and while no Sink "
                "runs also to write in the directory. Where rights must hold, use PostgreSQL.",
            )
        )

    def apply(self, plan: Plan) -> None:
        """Do nothing: there are no commands."""
