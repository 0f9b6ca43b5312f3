"""The last good key set of an address, handed on to the worker that comes next.

A worker of `serve` that starts while the identity provider is away would have no keys, though the one that it replaces
had some that are good. So each leaves what it has fetched, and when, in a directory of their parent process. Public
keys only: what a token could be signed with is not written anywhere.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from tempfile import NamedTemporaryFile

log = logging.getLogger("byron.api")

_FILE = "keys.json"


class LastGood:
    """Where a process leaves key sets and finds those of others; nowhere until it has a directory."""

    def __init__(self) -> None:
        self._directory: Path | None = None

    def use(self, directory: str | None) -> None:
        """Take a directory that no other user can look into; None for none."""
        self._directory = None if directory is None else Path(directory)

    def leave(self, url: str, jwks: str | None, fetched: float) -> None:
        """Write a key set's text in place of the one before; without a text, there is only none any more.

        `fetched` is of the monotonic clock, which the processes of a machine share.
        """
        if self._directory is None:
            return
        try:
            if jwks is None:
                (self._directory / _FILE).unlink(missing_ok=True)
                return
            with NamedTemporaryFile("w", dir=self._directory, delete=False) as draft:
                json.dump({"url": url, "fetched": fetched, "jwks": jwks}, draft)
            os.replace(draft.name, self._directory / _FILE)
        except OSError as error:
            log.warning("keys=%s cannot be left for the workers to come: %s", url, error.strerror)

    def find(self, url: str) -> tuple[bytes, float] | None:
        """Return the last text of this address, and when it was fetched."""
        try:
            kept = json.loads((self._directory / _FILE).read_text()) if self._directory is not None else {}
            return (kept["jwks"].encode(), float(kept["fetched"])) if kept.get("url") == url else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            log.warning("keys=%s left by another worker cannot be read: %r", url, error)
            return None


#: This process's own. Only `serve` gives it a directory.
LAST_GOOD = LastGood()
