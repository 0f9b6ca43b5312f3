"""Where a Cache is, as far as its settings tell: the same for two of them only if they are one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from byron.cache.files import file_of


def place_of(database: dict[str, Any]) -> str | None:
    """Return the place of a database by its settings, without its user; None for one in memory.

    Two names of one server are two places.
    """
    if database["ENGINE"] == "django.db.backends.sqlite3":
        file = file_of(database)
        return None if file is None else str(file.resolve())
    # On MongoDB it is the whole address.
    host = str(database.get("HOST", ""))
    server = urlsplit(host).netloc.rpartition("@")[2] if "://" in host else f"{host}:{database.get('PORT', '')}"
    schema = str(database.get("OPTIONS", {}).get("options", ""))
    return " ".join(part for part in (server.strip(":"), str(database["NAME"]), schema) if part)
