"""Requests' bodies, read before a thread is given to the request.

A client may send its body as slowly as it likes, or never to its end. A thread that read it would wait as long, and
threads are few. So a server with an event loop reads there, for a bounded time and into bounded memory, and a thread
finds what has come: the whole body, or why there is none.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterable
from http import HTTPStatus

from byron.api.errors import RequestError
from byron.conf import byron_settings

#: Seconds that a body may take to arrive.
SECONDS = 30.0

#: How many of the largest bodies a process holds; counted by what has arrived.
LARGEST_HELD = 32


class UnreadBodyError(OSError):
    """A body that was not read, for which the request is refused."""

    def __init__(self, refusal: RequestError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class UnreadBody(io.RawIOBase):
    """What an application reads instead of a body that was not read: each try raises why."""

    def __init__(self, refusal: RequestError) -> None:
        super().__init__()
        self._refusal = refusal

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        raise UnreadBodyError(self._refusal)


class Bodies:
    """The bodies that a process holds at a time. Used by one event loop."""

    def __init__(self, *, seconds: float = SECONDS, largest_held: int = LARGEST_HELD) -> None:
        self._seconds = seconds
        self._largest_held = largest_held
        self._held = 0

    async def read(self, chunks: AsyncIterable[bytes], length: str | None) -> io.IOBase:
        """Return a body for an application to read, whole or none; `length` is the request's Content-Length.

        Holds no more than `BYRON_API_MAX_BODY_BYTES` of one. Whoever has answered the request says `forget`.
        """
        limit = byron_settings().api_max_body_bytes
        told = None
        if length:
            # By its digits: Python does not make a number of thousands of them.
            digits = length.lstrip("0")
            if not (length.isascii() and length.isdigit()) or len(digits) > len(str(limit)):
                return UnreadBody(too_large(limit))
            told = int(digits or 0)
            if told > limit:
                return UnreadBody(too_large(limit))
        data = bytearray()
        try:
            async with asyncio.timeout(self._seconds):
                async for chunk in chunks:
                    data += chunk
                    self._held += len(chunk)
                    if len(data) > limit:
                        return self._refused(data, too_large(limit))
                    if self._held > limit * self._largest_held:
                        return self._refused(data, _crowded())
                    if len(data) == told:
                        break
        except TimeoutError:
            return self._refused(data, _too_slow(self._seconds))
        except BaseException:
            self._held -= len(data)
            raise
        return io.BytesIO(data)

    def forget(self, body: io.IOBase) -> None:
        """Make room for others."""
        if isinstance(body, io.BytesIO) and not body.closed:
            self._held -= body.getbuffer().nbytes
            body.close()

    def _refused(self, data: bytearray, refusal: RequestError) -> UnreadBody:
        self._held -= len(data)
        return UnreadBody(refusal)


def too_large(limit: int) -> RequestError:
    """Return the refusal of a body that is larger than the limit."""
    return RequestError(
        f"The request is larger than {limit} bytes.",
        code="BODY_TOO_LARGE",
        status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )


def _too_slow(seconds: float) -> RequestError:
    return RequestError(
        f"The request's body did not arrive within {seconds:g} seconds.",
        code="REQUEST_TIMEOUT",
        status=HTTPStatus.REQUEST_TIMEOUT,
        # What may still come of the body is not awaited.
        headers={"Connection": "close"},
    )


def _crowded() -> RequestError:
    return RequestError(
        "Too many requests are being sent at once; try again.",
        code="OVERLOADED",
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Retry-After": "1"},
    )
