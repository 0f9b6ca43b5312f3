"""The bridge from granian's requests to a WSGI application.

granian can call WSGI applications itself, but not as this API needs it. In the environ that it makes, a header
`X_Forwarded_Proto` is the same as `X-Forwarded-Proto`, so that what a proxy replaces can be brought past it; and
threads wait for clients that do not send their bodies. Through RSGI, granian's own interface, headers have the names
that were sent, and bodies are read on an event loop.
"""

from __future__ import annotations

import asyncio
import io
import logging
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from byron.api.bodies import Bodies

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

log = logging.getLogger("byron.serve")

_ENVIRON: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "byron",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    # The body ends where the request's does, whether or not it came with a length.
    "wsgi.input_terminated": True,
}
#: Headers that CGI knows by names without HTTP_.
_BARE = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}


class Bridge:
    """An RSGI application around a WSGI one, which it runs in so many threads."""

    def __init__(self, application: Application, threads: int, bodies: Bodies | None = None) -> None:
        self._application = application
        self._threads = ThreadPoolExecutor(threads, "request")
        self._bodies = Bodies() if bodies is None else bodies
        #: Whether each answer is to have its connection closed.
        self.leaving = False

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        loop = asyncio.get_running_loop()
        environ = environ_of(scope)
        body: io.IOBase = io.BytesIO()
        if environ.keys() & {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}:
            body = await self._bodies.read(protocol, environ.get("CONTENT_LENGTH"))
        environ["wsgi.input"] = body
        try:
            await loop.run_in_executor(self._threads, self._answer, environ, protocol, loop)
        finally:
            self._bodies.forget(body)

    def _answer(self, environ: dict[str, Any], protocol: Any, loop: asyncio.AbstractEventLoop) -> None:
        """Run the application, in a thread, and send what it answers. Never raises."""
        began: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            closing = [("Connection", "close")] if self.leaving else []
            began[:] = [int(status.split(" ", 1)[0]), [*headers, *closing]]

        parts: Iterable[bytes] = ()
        try:
            parts = self._application(environ, start)
            if getattr(parts, "streaming", False):
                _stream(protocol.response_stream(*began), parts, loop)
            else:
                protocol.response_bytes(*began, b"".join(parts))
        except BaseException:
            # Django answers for exceptions; this one ends threads, or comes of a stream that has begun.
            log.exception("request failed path=%s", environ["PATH_INFO"])
            protocol.response_empty(500, [("Connection", "close")])
        finally:
            if hasattr(parts, "close"):
                parts.close()


def environ_of(scope: Any) -> dict[str, Any]:
    """Return the WSGI environ of an RSGI request, but for its body.

    Headers whose names have underscores are left out, as Django's own server does: WSGI has one name for them and for
    those with hyphens.
    """
    server, port = _address(scope.server)
    environ = {
        **_ENVIRON,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "REMOTE_ADDR": _address(scope.client)[0],
        "wsgi.url_scheme": scope.scheme,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = _BARE.get(name) or f"HTTP_{name.upper().replace('-', '_')}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    if scope.authority and "HTTP_HOST" not in environ:
        environ["HTTP_HOST"] = scope.authority
    return environ


def _address(text: str) -> tuple[str, str]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), port


def _stream(transport: Any, parts: Iterable[bytes], loop: asyncio.AbstractEventLoop) -> None:
    async def send(part: bytes) -> None:
        await transport.send_bytes(part)

    for part in parts:
        asyncio.run_coroutine_threadsafe(send(part), loop).result()
