"""What projects' APIs tell of their Caches: each knows its own, and answers at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from byron.management.engines import Row

#: Seconds that an answer is waited for; an API takes two at most, whatever its databases do.
_PATIENCE = 3.0


def with_readiness(rows: Sequence[Row]) -> list[Row]:
    """Return rows with what each project's API tells: how many events are set aside, and which Sinks wait for a log."""
    if not rows:
        return []
    with ThreadPoolExecutor(len(rows)) as pool:
        return list(pool.map(lambda row: _told(row, row.port) if row.port and row.state == "up" else row, rows))


def problems(row: Row) -> list[str]:
    """Return what a project's Sinks wait for, each with the remedy."""
    return [
        f"the log does not hold what the Cache of {label} has applied, so its Sink waits: restore the log, or run "
        f"`manage.py rebuildcache {label}`, in {row.project}"
        for label in row.another_log
    ]


def _told(row: Row, port: int) -> Row:
    try:
        components = _components(port)
        counts = [component.get("parked") for component in components.values()]
        another = [label for label, component in components.items() if component.get("log") not in ("ok", None)]
    except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError, TypeError):
        # It is in trouble, wants another host name or TLS, or is none of Byron's.
        return row
    parked = sum(counts) if all(isinstance(count, int) for count in counts) else None
    return replace(row, parked=parked, another_log=another)


def _components(port: int) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/readyz")
        return json.loads(connection.getresponse().read())["components"]
    finally:
        connection.close()
