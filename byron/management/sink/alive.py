"""A sign of life of the Sinks for who can only look at files, such as a container's health check."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from byron.exceptions import ByronError
from byron.sink.runner import Sink

#: Seconds between two touches.
_INTERVAL = 1.0


class AliveFileError(ByronError):
    """A file that cannot be touched."""


@contextmanager
def alive_file(path: Path, sinks: Sequence[Sink]) -> Iterator[None]:
    """Have a file's time of change be when the slowest Sink's loop last turned, while a block runs.

    It does not tell that events are applied, which they are not while the broker is away: starting the process
    anew would not help there. It grows old when a loop hangs. Raises AliveFileError when it cannot be written.
    """
    try:
        _touch(path, sinks)
    except OSError as error:
        raise AliveFileError(f"{path} cannot be touched: {error.strerror}. Choose another file for --alive.") from error
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_INTERVAL):
            _touch(path, sinks)

    thread = threading.Thread(target=tell, name="sink-alive", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        path.unlink(missing_ok=True)


def _touch(path: Path, sinks: Sequence[Sink]) -> None:
    turned = time.time() - max(time.monotonic() - sink.turned for sink in sinks)
    path.touch()
    os.utime(path, (turned, turned))
