"""Caches that are SQLite files: where they are, and how to open one that is only to be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def file_of(database: dict[str, Any]) -> Path | None:
    """Return the file of a database, by its settings; None when it is of another kind, or in memory."""
    name = database["NAME"]
    if database["ENGINE"] != "django.db.backends.sqlite3" or str(name).startswith((":memory:", "file:")):
        return None
    return Path(name).absolute()


def options_for_reading(database: dict[str, Any]) -> dict[str, Any]:
    """Return the OPTIONS of a SQLite file with which it is opened for reading, for as long as the connection lives."""
    file, options = file_of(database), database["OPTIONS"]
    if file is None:
        raise ValueError(f"{database['NAME']} is no SQLite file")
    commands = options.get("init_command", "").split(";")
    return {
        **options,
        # Goes before NAME, which others still want to read.
        "database": f"{file.as_uri()}?mode=ro",
        # Any other begins with a lock that only writers can have.
        "transaction_mode": "DEFERRED",
        # A reader finds the journal as the writers have it, and cannot change it.
        "init_command": ";".join(each for each in commands if "journal_mode" not in each.lower()),
    }
