"""How many events projects have set aside, as their APIs tell: each knows its Caches, and answers at once."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from byron.management.engines import Row

#: Seconds that an answer is waited for; an API takes two at most, whatever its databases do.
_PATIENCE = 3.0


def with_parked(rows: Sequence[Row]) -> list[Row]:
    """Return rows with the number of events that each project has set aside, where its API tells."""
    if not rows:
        return []
    with ThreadPoolExecutor(len(rows)) as pool:
        counts = pool.map(lambda row: _parked(row.port) if row.port and row.state == "up" else None, rows)
        return [replace(row, parked=count) for row, count in zip(rows, counts, strict=True)]


def _parked(port: int) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/readyz")
        components = json.loads(connection.getresponse().read())["components"].values()
        counts = [component.get("parked") for component in components]
    except (OSError, http.client.HTTPException, ValueError, KeyError, AttributeError, TypeError):
        # It is in trouble, wants another host name or TLS, or is none of Byron's.
        return None
    finally:
        connection.close()
    return sum(counts) if all(isinstance(count, int) for count in counts) else None
