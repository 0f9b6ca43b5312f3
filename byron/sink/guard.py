"""What a handler must not do to the process that it runs in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections

from byron.exceptions import CacheError


class HandlerEndedError(Exception):
    """A handler raised what ends a thread or a process."""


@contextmanager
def guarded(alias: str) -> Iterator[None]:
    """Run a handler so that all it can do to the Sink is to fail.

    What is no Exception, such as SystemExit, would end the lane and not be taken for the event's fault; a connection
    that is closed in the middle of the Sink's transaction would be taken for the database's trouble. Either would be
    met again and again. Raises HandlerEndedError for the one, and CacheError, where the handler does it, for the other.
    """
    connection: Any = connections[alias]
    connection.close = _refuse_to_close
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise HandlerEndedError(f"It raised {error!r}, which would have ended the Sink.") from error
    finally:
        del connection.close


def _refuse_to_close() -> None:
    raise CacheError("A handler runs inside of the Sink's transaction, so it must not close the Cache's connection.")
