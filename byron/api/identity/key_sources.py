"""Where key sets come from: a file that is watched, or an address that is asked now and then."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from typing import IO, Any, Protocol
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import byron
from byron.api.identity.jwks import KeySet, public_part, read_key_set
from byron.api.identity.last_good import LAST_GOOD
from byron.commands.bulkhead import WAITS
from byron.exceptions import KeysUnavailableError

log = logging.getLogger("byron.api")

#: Bytes of a JWKS, at most. Real ones have a few thousand.
_LARGEST = 512 * 1024
#: Seconds that a request waits, at most, for keys that it may do without: the token may name a key that nobody has.
_SHORT_WAIT = 0.5


class KeySource(Protocol):
    """Keys that may change while the process runs. Thread-safe."""

    def current(self) -> KeySet:
        """Return the keys in force. Raises KeysUnavailableError when there never were any."""

    def newer(self) -> KeySet:
        """Return the keys in force after a look for new ones, because a token names a key that is not there.

        Whoever makes up such names must not make this dear: often the answer is the same keys as before.
        Raises KeysUnavailableError while a look is under way.
        """

    def at_start(self) -> KeySet:
        """Return the keys in force after a look for new ones, before there are any requests.

        Raises KeysUnavailableError when there are none.
        """


def key_source(location: str, algorithms: Sequence[str]) -> KeySource:
    """Return the source that BYRON_JWT_KEYS names. Raises KeysUnavailableError for an address that is not safe."""
    if "://" not in location:
        return FileKeys(Path(location), algorithms)
    address = urlsplit(location)
    if address.scheme != "https" and not (address.scheme == "http" and _is_loopback(address.hostname or "")):
        raise KeysUnavailableError(f"{location} is no https:// address; others may be tampered with on the way")
    return UrlKeys(location, algorithms)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class FileKeys:
    """A JWKS file, read again when it changes. A change that cannot be used leaves the old keys in force."""

    def __init__(self, path: Path, algorithms: Sequence[str]) -> None:
        self._path, self._algorithms = path, algorithms
        self._lock = Lock()
        self._keys: KeySet | None = None
        self._seen: tuple[int, ...] | None = None
        self._problem = ""

    def current(self) -> KeySet:
        with self._lock:
            self._look()
            if self._keys is None:
                raise KeysUnavailableError(f"The keys in {self._path} cannot be used: {self._problem}.")
            return self._keys

    def newer(self) -> KeySet:
        return self.current()

    def at_start(self) -> KeySet:
        return self.current()

    def _look(self) -> None:
        problem = ""
        try:
            # A file that is put in place of another, as Kubernetes does with secrets, has another inode.
            state = os.stat(self._path)
            seen = (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
            if seen == self._seen:
                return
            self._keys = read_key_set(_bounded(self._path), self._algorithms)
            self._seen = seen
            _tell_if_empty(str(self._path), self._keys, self._algorithms)
        except OSError as error:
            problem = str(error.strerror)
        except KeysUnavailableError as error:
            self._seen, problem = seen, str(error)
        if problem and problem != self._problem:
            log.error("keys=%s cannot be read: %s", self._path, problem)
        self._problem = problem


def _tell_if_empty(location: str, keys: KeySet, algorithms: Sequence[str]) -> None:
    if not keys.keys:
        log.error("keys=%s hold none for %s: every token is refused", location, ", ".join(algorithms))


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return _read(file)


def _read(stream: IO[bytes]) -> bytes:
    text = stream.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise KeysUnavailableError(f"it is larger than {_LARGEST} bytes")
    return text


def _read_by(response: HTTPResponse, deadline: float) -> bytes:
    """Read an answer to its end. The connection's own limit is for each piece, and there may be many small ones."""
    text = b""
    while len(text) <= _LARGEST and (piece := response.read1(_LARGEST + 1 - len(text))):
        text += piece
        if monotonic() > deadline:
            raise KeysUnavailableError("it does not come in time")
    return _read(BytesIO(text))


class UrlKeys:
    """A JWKS at an address, fetched again from time to time and for keys that are not known.

    Fetches run in a thread of their own, one at a time, and not more often than once in `pause` seconds: requests
    go on with the keys there are. A fetch that fails leaves the old keys in force, be it those that another worker
    has left. Requests that must wait do so in the places of `WAITS`, so that the others keep a thread.
    """

    def __init__(
        self,
        url: str,
        algorithms: Sequence[str],
        *,
        lifetime: float = 600,
        pause: float = 10,
        patience: float = 5,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._url, self._algorithms = url, algorithms
        self._lifetime, self._pause, self._patience, self._clock = lifetime, pause, patience, clock
        self._opener = build_opener(_NoRedirects)
        self._lock = Lock()
        self._keys: KeySet | None = None
        self._expires = 0.0
        self._not_before: float | None = None
        self._under_way: Event | None = None
        self._problem = ""
        self._take_over()

    def current(self) -> KeySet:
        keys = self._keys
        if keys is not None and self._clock() < self._expires:
            return keys
        fetched = self._fetch()
        if keys is None and fetched is not None:
            _wait_in_place(fetched, self._patience)
        return self._in_force()

    def newer(self) -> KeySet:
        fetched = self._fetch()
        if fetched is not None and not _wait_in_place(fetched, _SHORT_WAIT):
            raise KeysUnavailableError(f"The keys from {self._url} are being fetched.")
        return self.current()

    def at_start(self) -> KeySet:
        fetched = self._fetch()
        if fetched is not None:
            fetched.wait(self._patience if self._keys is None else _SHORT_WAIT)
        return self._in_force()

    def _in_force(self) -> KeySet:
        keys = self._keys
        if keys is None:
            raise KeysUnavailableError(f"No keys from {self._url}: {self._problem or 'no answer yet'}.")
        return keys

    def _take_over(self) -> None:
        """Begin with the keys that another worker has left, for the rest of their lifetime."""
        text, fetched = LAST_GOOD.find(self._url) or (b"", 0.0)
        with suppress(KeysUnavailableError):
            keys = read_key_set(text, self._algorithms)
            # Where other algorithms are allowed by now, there may be none for them: that is worth asking for.
            if keys.keys:
                self._keys, self._expires = keys, fetched + self._lifetime

    def _fetch(self) -> Event | None:
        """Begin a fetch unless one is under way; None when the last one is too recent."""
        with self._lock:
            if self._under_way is not None:
                return self._under_way
            if self._not_before is not None and self._clock() < self._not_before:
                return None
            self._under_way = done = Event()
        Thread(target=self._run, args=(done,), name="byron-keys", daemon=True).start()
        return done

    def _run(self, done: Event) -> None:
        keys, problem = None, ""
        try:
            text = self._download()
            keys = read_key_set(text, self._algorithms)
            _tell_if_empty(self._url, keys, self._algorithms)
            LAST_GOOD.leave(self._url, public_part(text), self._clock())
        except (OSError, HTTPException, ValueError, KeysUnavailableError) as error:
            if isinstance(error, HTTPError):
                error.close()
            problem = str(error) or type(error).__name__
            log.error("keys=%s cannot be fetched: %s", self._url, problem)
        finally:
            with self._lock:
                now = self._clock()
                if keys is not None:
                    self._keys, self._expires = keys, now + self._lifetime
                # Without any keys nobody can be served: that is worth asking more often.
                self._not_before = now + (self._pause if self._keys is not None else min(self._pause, 1))
                self._problem = problem
                self._under_way = None
            done.set()

    def _download(self) -> bytes:
        headers = {"Accept": "application/json", "User-Agent": f"byron/{byron.__version__}"}
        deadline = monotonic() + self._patience
        with self._opener.open(Request(self._url, headers=headers), timeout=self._patience) as response:
            return _read_by(response, deadline)


def _wait_in_place(fetched: Event, seconds: float) -> bool:
    """Wait for a fetch; False when it is not over then, or when too many are waiting already."""
    if fetched.is_set():
        return True
    with WAITS.place() as admitted:
        return admitted and fetched.wait(seconds)


class _NoRedirects(HTTPRedirectHandler):
    """An address that redirects is not the one that the settings vouch for."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None
