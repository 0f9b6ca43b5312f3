"""One Sink a Cache: a second process on the same SQLite file waits until the first one is gone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connections
from filelock import FileLock, Timeout

from byron.schema.installed import ComponentConfig

log = logging.getLogger("byron.sink")

#: Seconds between two tries to take over.
_PATIENCE = 0.5


@contextmanager
def alone_at_cache(config: ComponentConfig, stop: threading.Event) -> Iterator[bool]:
    """Wait to be the only Sink of a Cache, and be it for a while; False when `stop` came first.

    The lock is the operating system's, so it goes with a process that is killed. A Cache on a server
    is not locked: processes there may be on several machines.
    """
    connection = connections[config.alias]
    if connection.vendor != "sqlite":
        yield True
        return
    lock = FileLock(Path(f"{connection.settings_dict['NAME']}.sink.lock"))
    told = False
    while not stop.is_set():
        try:
            with lock.acquire(timeout=_PATIENCE):
                yield True
                return
        except Timeout:
            if not told:
                log.info("standby component=%s reason='another Sink writes %s'", config.label, connection.alias)
                told = True
    yield False
