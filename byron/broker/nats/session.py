"""One NATS connection, from its beginning to its loss, and requests over it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from byron.broker.access import Access
from byron.broker.denials import Denied, publish_denied, subscribe_denied
from byron.exceptions import BrokerError, BrokerUnavailableError, MessageTooLargeError, SubscribeDeniedError

logger = logging.getLogger("byron.broker")

#: Seconds between checks that nats-py has noticed a loss: it does not call back after every kind of it.
_WATCH_INTERVAL = 0.25

#: Seconds between pings; a server that misses three counts as lost.
_PING_INTERVAL = 5

#: Seconds that an orderly goodbye may take before the socket is dropped.
CLOSE_TIMEOUT = 1.0

#: Bytes of a subject and its reply subject: the server ends connections that send control lines over 4096.
_LONGEST_CONTROL_LINE = 4000

_DENIED = re.compile(r'permissions violation for (publish|subscription) to "([^"]*)"')


class UnansweredError(BrokerError):
    """A request that was sent and not answered: what it did is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One message to send; the headers are those of NATS."""

    subject: str
    body: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def size(self) -> int:
        """Bytes that count towards the server's max_payload: headers and body."""
        if self.headers is None:
            return len(self.body)
        lines = sum(len(name) + len(value.encode()) + 4 for name, value in self.headers.items())
        return len("NATS/1.0\r\n\r\n") + lines + len(self.body)


def parse_headers(raw: bytes) -> dict[str, str]:
    """Return a message's headers by name, from their lines as NATS writes them."""
    headers = {}
    for line in raw.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip()] = value.strip()
    return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    answer: asyncio.Future[Msg]
    subjects: frozenset[str]


class _Client(Client):
    """nats-py's client, with some of its inner methods replaced."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        # Theirs would go on in plain text, with a password if there is one.
        server = self._current_server
        wanted = self.options.get("tls") is not None or (server is not None and server.uri.scheme == "tls")
        if initial_connection and wanted and not info.get("tls_required"):
            raise NatsError("it does not speak TLS, which is asked for here")
        await super()._process_info(info, initial_connection)

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        # It would write what is pending to a connection that may be dead, and fail in the middle of cleaning up.
        self._pending.clear()
        self._pending_data_size = 0
        await super()._close(status, do_cbs)

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Any:
        try:
            return super()._build_message(sid, subject, reply, data, headers)
        except UnicodeDecodeError:
            # Theirs would stop reading, silently and for ever. No event of Byron's has such a subject.
            readable = subject.decode("utf-8", "replace").encode()
            return super()._build_message(sid, readable, reply, data, headers)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        # Theirs takes three quarters of the time that a message takes.
        return parse_headers(raw)


class Session:
    """One connection from its beginning to its loss. Lives on the link's event loop.

    nats-py's own reconnecting stays off: what it still had buffered would be sent after the
    reconnect, when the publisher has long been told that its message failed. A new connection is a
    new session with a new client, and nothing of the old one can reach the server any more.
    """

    def __init__(self, access: Access) -> None:
        self.client = _Client()
        self._access = access
        #: Events to set when the connection is lost.
        self.wakes: set[asyncio.Event] = set()
        self._stirred = asyncio.Event()
        self._problem: Exception | None = None
        self._inbox = ""
        self._numbers = itertools.count(1)
        self._waiting: dict[str, _Waiting] = {}
        self._deaf: SubscribeDeniedError | None = None
        #: Whom to tell that a subject is denied, by the subject as nats-py reports it: in lower case.
        self._watching: dict[str, Denied] = {}

    def api(self, request: str) -> str:
        """Return the subject of a request to JetStream's API."""
        return f"{self._access.api}.{request}"

    @property
    def is_alive(self) -> bool:
        return self.client.is_connected

    async def open(self, servers: Sequence[str], *, name: str, timeout: float) -> None:
        """Connect. Raises BrokerUnavailableError after `timeout` seconds at the latest."""
        try:
            async with asyncio.timeout(timeout):
                await self.client.connect(
                    list(servers),
                    name=name,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    pending_size=-1,
                    ping_interval=_PING_INTERVAL,
                    error_cb=self._on_error,
                    closed_cb=self._on_closed,
                    tls=self._access.tls_context(),
                    nkeys_seed_str=self._access.seed or None,
                    inbox_prefix=self._access.inbox_prefix,
                )
                self._inbox = self.client.new_inbox()
                await self.subscribe(f"{self._inbox}.*", self._on_answer)
        except (OSError, NatsError, TimeoutError) as error:
            await self.close()
            where = public_addresses(servers)
            reason = str(self._problem or error) or "no answer"
            if isinstance(self._problem, ConnectionResetError):
                # The reset may overtake the server's own words.
                reason += " (perhaps the user or password is wrong)"
            raise BrokerUnavailableError(f"The broker at {where} cannot be reached: {reason}.") from error
        except asyncio.CancelledError:
            self._drop()
            raise

    async def subscribe(self, subject: str, callback: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """Subscribe without nats-py's limits, beyond which it would drop messages."""
        return await self.client.subscribe(subject, cb=callback, pending_msgs_limit=0, pending_bytes_limit=0)

    @contextmanager
    def watched(self, subject: str, denied: Denied) -> Iterator[None]:
        """Have a function called when the broker does not allow this subject, inside a `with` block."""
        self.watch(subject, denied)
        try:
            yield
        finally:
            self.unwatch(subject)

    def watch(self, subject: str, denied: Denied) -> None:
        """Have a function called when the broker does not allow publishing on, or subscribing to, this subject."""
        self._watching[subject.lower()] = denied

    def unwatch(self, subject: str) -> None:
        self._watching.pop(subject.lower(), None)

    async def exchange(self, requests: Sequence[Request], timeout: float) -> Msg:
        """Send these messages in order and return the first answer that says something.

        The first and the last carry the reply subject. Raises BrokerUnavailableError when the last
        was not sent, UnansweredError when it was and no answer came within `timeout` seconds,
        PublishDeniedError, SubscribeDeniedError when answers cannot reach this process, MessageTooLargeError for
        messages that the server would not take, and BrokerError for those that cannot be sent.
        """
        if self._deaf is not None:
            raise self._deaf
        for request in requests:
            self._refuse_unsendable(request)
        reply = f"{self._inbox}.{next(self._numbers)}"
        answer: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[reply] = _Waiting(answer=answer, subjects=frozenset(item.subject for item in requests))
        try:
            async with asyncio.timeout(timeout):
                await self._send(requests, reply)
                return await answer
        except TimeoutError as error:
            self._drop_unsent()
            raise UnansweredError(f"The broker did not answer within {timeout:.2g} seconds.") from error
        finally:
            self._waiting.pop(reply, None)

    async def _send(self, requests: Sequence[Request], reply: str) -> None:
        last = len(requests) - 1
        try:
            for index, request in enumerate(requests):
                headers = dict(request.headers) if request.headers is not None else None
                with_reply = reply if index in (0, last) else ""
                await self.client.publish(request.subject, request.body, with_reply, headers)
        except NatsError as error:
            if not self.is_alive:
                raise BrokerUnavailableError("The connection to the broker was lost.") from error
            raise BrokerError(f"The message on {request.subject!r} cannot be sent: {error}.") from error

    def _refuse_unsendable(self, request: Request) -> None:
        limit = self.client.max_payload
        if request.size > limit:
            raise MessageTooLargeError(
                f"The message on {request.subject!r} takes {request.size} bytes; "
                f"the broker takes at most {limit} (its max_payload)."
            )
        if len(request.subject) + len(self._inbox) > _LONGEST_CONTROL_LINE:
            raise MessageTooLargeError(f"The subject {request.subject[:60]!r}… is too long for the broker.")

    def _drop_unsent(self) -> None:
        # A server that stopped reading leaves bytes in this process that would still be sent when it goes on.
        writer = self._writer()
        if writer is not None and (self.client.pending_data_size or writer.transport.get_write_buffer_size()):
            logger.debug("broker stopped reading; connection dropped")
            self._drop()

    def _writer(self) -> asyncio.StreamWriter | None:
        # nats-py has no way to end a connection without waiting for its peer.
        return getattr(self.client._transport, "_io_writer", None)

    def _drop(self) -> None:
        writer = self._writer()
        if writer is not None:
            writer.transport.abort()

    async def _on_answer(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject)
        # The first message of an atomic batch is answered with nothing at all when it is fine.
        if waiting is not None and not waiting.answer.done() and (message.data or message.headers):
            waiting.answer.set_result(message)

    async def _on_error(self, error: Exception) -> None:
        self._problem = error
        self._stirred.set()
        denied = _DENIED.search(str(error))
        if denied is None:
            logger.debug("broker error error=%s", error)
        elif denied[1] == "subscription":
            self._on_denied_subscription(denied[2])
        else:
            self._on_denied_publish(denied[2])

    def _on_denied_subscription(self, lowered: str) -> None:
        if lowered == f"{self._inbox}.*".lower():
            # The server denies it before it sees a request whose answer would be lost.
            self._deaf = subscribe_denied(f"{self._inbox}.*")
            self._fail_waiting_with(self._deaf)
        elif lowered in self._watching:
            self._watching[lowered](subscribe_denied(lowered))
        else:
            logger.error("broker denied a subscription subject=%s", lowered)

    def _on_denied_publish(self, lowered: str) -> None:
        if lowered in self._watching:
            self._watching[lowered](publish_denied(lowered))
            return
        # nats-py hands over the server's words in lower case, so two subjects may look the same here.
        matching = [
            (waiting, subject)
            for waiting in self._waiting.values()
            for subject in waiting.subjects
            if subject.lower() == lowered
        ]
        if len({subject for _, subject in matching}) != 1:
            logger.warning("broker denied a publish subject=%s", lowered)
            return
        for waiting, subject in matching:
            if not waiting.answer.done():
                waiting.answer.set_exception(publish_denied(subject))

    async def _on_closed(self) -> None:
        self._stirred.set()

    async def wait_lost(self) -> None:
        """Return when the connection is gone, and fail what waits for an answer."""
        while self.is_alive:
            self._stirred.clear()
            try:
                async with asyncio.timeout(_WATCH_INTERVAL):
                    await self._stirred.wait()
            except TimeoutError:
                continue
        self._fail_waiting()

    def _fail_waiting_with(self, error: BrokerError) -> None:
        for waiting in self._waiting.values():
            if not waiting.answer.done():
                waiting.answer.set_exception(error)

    def _fail_waiting(self) -> None:
        self._fail_waiting_with(UnansweredError("The connection to the broker was lost."))
        for wake in self.wakes:
            wake.set()

    async def close(self) -> None:
        """Say goodbye, or drop the connection when that does not work at once."""
        self._fail_waiting()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if self.is_alive:
                    # The last acknowledgements may still be on their way.
                    await self.client.flush()
                await self.client.close()
        except (OSError, TimeoutError, NatsError) as error:
            logger.debug("broker goodbye failed error=%r", error)
        self._drop()


def public_addresses(urls: Sequence[str]) -> str:
    """Return servers' addresses without users and passwords, for logs and errors."""
    parts = [urlsplit(url if "://" in url else f"nats://{url}") for url in urls]
    return ",".join(f"{part.hostname}:{part.port or 4222}" for part in parts)
