"""Reading a namespace's log through a durable JetStream pull consumer."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import Header

from byron.broker.base import Consumer
from byron.broker.nats_api import SECOND, JetStreamError, find
from byron.broker.nats_durable import consumer_config, place, require_log
from byron.broker.nats_link import Link
from byron.broker.nats_session import Session
from byron.events.event import StoredMessage
from byron.exceptions import BrokerError, BrokerUnavailableError, LogMismatchError

logger = logging.getLogger("byron.broker")

#: Messages that one pull request asks for.
_BATCH = 500

#: Messages, received and not fetched or asked for and on their way, beyond which no more are asked for.
_MOST_MESSAGES = 3 * _BATCH

#: Bytes received and not fetched beyond which no more are asked for, and bytes that one request asks for.
_MOST_BYTES = 16 * 1024 * 1024
_BATCH_BYTES = 8 * 1024 * 1024

#: Bytes that a message may take besides its headers and body.
_ENVELOPE_BYTES = 16 * 1024

#: Seconds that a pull request lives, and between signs of life while it waits. Nothing for three of these: lost.
_REQUEST_LIFETIME = 30
_HEARTBEAT = 3
_SILENCE = 3 * _HEARTBEAT

#: Seconds between two tries to open the durable consumer again.
_REOPEN_PAUSE = 0.2

#: Why a delivery broke, where it matters for what comes next.
_DELETED = "consumer deleted"
_NOBODY = "no responders"


@dataclass(slots=True)
class _Delivery:
    """One opening of the durable consumer, from which messages come in unbroken sequence."""

    session: Session
    subscription: Any
    inbox: str
    #: The last of the consumer's own numbers that arrived. They count deliveries: a gap means one was lost.
    sequence: int
    batch_bytes: int
    outstanding: int = 0
    requests: int = 0
    heard: float = field(default_factory=monotonic)
    broken: str = ""
    #: Set when the driver has something to do.
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    def break_off(self, reason: str) -> None:
        self.broken = self.broken or reason
        self.wake.set()


@dataclass(frozen=True, slots=True)
class _Received:
    position: int
    size: int
    message: Msg


class NatsConsumer(Consumer):
    """Keeps a pull request waiting at the server and what it brings in a bounded buffer.

    A task on the link's loop asks for messages before the buffer runs dry. Whatever could leave a
    hole, be it a lost connection, a missing delivery number or silence, makes it drop the buffer and
    open the durable consumer again after the last position handed to the caller; so positions only
    ever grow, and none is passed over. `fetch` waits through short outages.
    """

    def __init__(self, link: Link, stream: str, name: str, filters: Sequence[str], after: int) -> None:
        self._link = link
        self._stream = stream
        self._name = name
        self._filters = filters
        self._log_created = ""
        self._delivery: _Delivery | None = None
        self._driver: asyncio.Task[None] | None = None
        # What follows is shared with the caller's thread.
        self._condition = threading.Condition()
        self._buffer: deque[_Received] = deque()
        self._buffered_bytes = 0
        self._position = after
        self._received = after
        self._unacknowledged: deque[tuple[int, str]] = deque()
        self._away = False
        self._closed = False
        self._problem: BrokerError | None = None

    # The caller's side.

    def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        deadline = monotonic() + timeout
        with self._condition:
            while not self._buffer or self._problem is not None:
                if self._problem is not None:
                    raise self._problem
                remaining = deadline - monotonic()
                if remaining <= 0:
                    if self._away:
                        raise BrokerUnavailableError("The broker is away; what it has comes when it is back.")
                    return []
                self._condition.wait(remaining)
            taken = [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
            self._buffered_bytes -= sum(item.size for item in taken)
            self._position = taken[-1].position
            self._unacknowledged.extend((item.position, item.message.reply) for item in taken)
            delivery = self._delivery
        if delivery is not None:
            self._on_loop(delivery.wake.set)
        return [
            StoredMessage(
                subject=item.message.subject,
                headers=item.message.headers or {},
                body=item.message.data,
                position=item.position,
            )
            for item in taken
        ]

    def acknowledge(self, position: int) -> None:
        reply = ""
        with self._condition:
            while self._unacknowledged and self._unacknowledged[0][0] <= position:
                reply = self._unacknowledged.popleft()[1]
            delivery = self._delivery
        # Nothing to send for positions of before a reopening: the consumer was opened after them.
        if reply and delivery is not None:
            self._on_loop(lambda: self._link.spawn(self._send(delivery, reply, b"+ACK")))

    def pending(self) -> int:
        return self._link.call(self._pending())

    def close(self) -> None:
        with self._condition:
            if self._closed:
                return
            self._closed = True
            self._problem = BrokerUnavailableError("The consumer is closed.")
            self._condition.notify_all()
        try:
            self._link.call(self._stop())
        except BrokerUnavailableError:
            # The link was closed first and took the subscription and the driver with it.
            logger.debug("consumer closed after its link name=%s", self._name)

    def _on_loop(self, callback: Any) -> None:
        try:
            self._link.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            # The loop has ended; the driver has left its word in _problem, which the next fetch raises.
            logger.debug("consumer outlived its link name=%s", self._name)

    # The loop's side.

    async def start(self) -> None:
        """Open the durable consumer and begin to ask for messages."""
        delivery = await self._open(await self._link.session())
        self._driver = self._link.spawn(self._drive(delivery))

    async def _stop(self) -> None:
        if self._driver is not None:
            self._driver.cancel()
        if self._delivery is not None:
            await self._end(self._delivery)

    async def _pending(self) -> int:
        session = await self._link.session()
        info = await find(session, f"CONSUMER.INFO.{self._stream}.{self._name}")
        if info is None:
            raise self._gone()
        with self._condition:
            delivery, buffered = self._delivery, len(self._buffer)
        # The answer may be older than the messages that overtook it: then this is negative and makes up for them.
        on_their_way = info["delivered"]["consumer_seq"] - delivery.sequence if delivery is not None else 0
        return max(0, int(info["num_pending"]) + buffered + on_their_way)

    def _gone(self) -> LogMismatchError:
        return LogMismatchError(f"The durable consumer {self._name!r} was deleted at the broker.")

    async def _drive(self, delivery: _Delivery) -> None:
        """Keep messages coming until the consumer is closed or cannot go on."""
        try:
            while True:
                await self._pump(delivery)
                await self._end(delivery)
                delivery = await self._reopen(delivery)
        except BrokerError as error:
            logger.error("consumer stopped name=%s error=%s", self._name, error)
            self._fail(error)
        finally:
            self._fail(BrokerUnavailableError("The connection to the broker is closed."))

    def _fail(self, problem: BrokerError) -> None:
        with self._condition:
            self._problem = self._problem or problem
            self._condition.notify_all()

    async def _pump(self, delivery: _Delivery) -> None:
        """Ask for messages whenever there is room, until the delivery breaks."""
        delivery.session.wakes.add(delivery.wake)
        while delivery.session.is_alive and not delivery.broken:
            await self._ask(delivery)
            try:
                async with asyncio.timeout(_HEARTBEAT):
                    await delivery.wake.wait()
                delivery.wake.clear()
            except TimeoutError:
                if delivery.outstanding and monotonic() - delivery.heard > _SILENCE:
                    delivery.break_off("silence")
        delivery.session.wakes.discard(delivery.wake)

    async def _reopen(self, delivery: _Delivery) -> _Delivery:
        if delivery.broken == _DELETED:
            raise self._gone()
        reason = delivery.broken or "connection lost"
        with self._condition:
            self._away = True
        while True:
            try:
                session = await self._link.session()
                if delivery.broken == _NOBODY:
                    await self._require_durable(session)
                reopened = await self._open(session)
            except BrokerUnavailableError:
                await asyncio.sleep(_REOPEN_PAUSE)
                continue
            except JetStreamError as error:
                if not error.passes:
                    raise
                await asyncio.sleep(_REOPEN_PAUSE)
                continue
            logger.info("consumer reopened name=%s after=%d reason=%s", self._name, self._position, reason)
            return reopened

    async def _require_durable(self, session: Session) -> None:
        if await find(session, f"CONSUMER.INFO.{self._stream}.{self._name}") is None:
            raise self._gone()

    async def _open(self, session: Session) -> _Delivery:
        """Make the durable consumer stand after the last position handed out, and subscribe to it."""
        with self._condition:
            self._delivery = None
            self._buffer.clear()
            self._buffered_bytes = 0
            self._unacknowledged.clear()
            after = self._received = self._position
        self._log_created = await require_log(session, self._stream, after=after, created=self._log_created)
        durable = await place(session, self._stream, consumer_config(self._name, self._filters, after))
        inbox = session.client.new_inbox()
        delivery = _Delivery(
            session=session,
            subscription=None,
            inbox=inbox,
            sequence=durable["delivered"]["consumer_seq"],
            batch_bytes=max(_BATCH_BYTES, session.client.max_payload + _ENVELOPE_BYTES),
        )

        async def receive(message: Msg) -> None:
            await self._receive(delivery, message)

        try:
            delivery.subscription = await session.subscribe(f"{inbox}.*", receive)
        except NatsError as error:
            raise BrokerUnavailableError("The connection to the broker was lost.") from error
        with self._condition:
            self._delivery = delivery
            self._away = False
        return delivery

    async def _end(self, delivery: _Delivery) -> None:
        delivery.session.wakes.discard(delivery.wake)
        try:
            await delivery.subscription.unsubscribe()
        except NatsError as error:
            # Its connection is gone, and so is the subscription.
            logger.debug("consumer unsubscribed late name=%s error=%s", self._name, error)

    async def _send(self, delivery: _Delivery, subject: str, body: bytes, reply: str = "") -> None:
        try:
            if delivery is self._delivery:
                await delivery.session.client.publish(subject, body, reply)
        except NatsError as error:
            # What a lost connection takes along is made good by opening the consumer again.
            logger.debug("consumer could not send name=%s error=%s", self._name, error)

    async def _ask(self, delivery: _Delivery) -> None:
        if delivery.outstanding >= _BATCH // 2 or self._buffered_bytes >= _MOST_BYTES:
            return
        if len(self._buffer) + delivery.outstanding + _BATCH > _MOST_MESSAGES:
            return
        delivery.requests += 1
        delivery.outstanding += _BATCH
        delivery.heard = monotonic()
        request = {
            "batch": _BATCH,
            "max_bytes": delivery.batch_bytes,
            "expires": _REQUEST_LIFETIME * SECOND,
            "idle_heartbeat": _HEARTBEAT * SECOND,
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{self._name}"
        await self._send(delivery, subject, json.dumps(request).encode(), f"{delivery.inbox}.{delivery.requests}")

    async def _receive(self, delivery: _Delivery, message: Msg) -> None:
        if delivery is not self._delivery or delivery.broken:
            return
        delivery.heard = monotonic()
        if not message.reply.startswith("$JS.ACK."):
            self._note_status(delivery, message.headers or {})
            return
        # $JS.ACK.[domain.account.]stream.consumer.deliveries.position.sequence.time.pending[.token]
        fields = message.reply.split(".")
        place = 5 if len(fields) == 9 else 7
        position, sequence = int(fields[place]), int(fields[place + 1])
        if sequence != delivery.sequence + 1:
            delivery.break_off("delivery missing")
            return
        delivery.sequence = sequence
        delivery.outstanding -= 1
        if position > self._received:
            size = len(message.data)
            with self._condition:
                self._received = position
                self._buffer.append(_Received(position, size, message))
                self._buffered_bytes += size
                self._condition.notify()
        if delivery.outstanding < _BATCH // 2:
            await self._ask(delivery)

    def _note_status(self, delivery: _Delivery, headers: dict[str, str]) -> None:
        status, description = headers.get(Header.STATUS.value), headers.get(Header.DESCRIPTION, "")
        if status == "100":
            if int(headers.get("Nats-Last-Consumer", delivery.sequence)) != delivery.sequence:
                delivery.break_off("delivery missing")
        elif status == "503":
            delivery.break_off(_NOBODY)
        elif description.startswith("Consumer Deleted"):
            delivery.break_off(_DELETED)
        elif "Nats-Pending-Messages" in headers:
            left = int(headers["Nats-Pending-Messages"])
            if left == _BATCH and "MaxBytes" in description:
                # One message alone is larger than what was asked for.
                delivery.batch_bytes *= 2
            delivery.outstanding = max(0, delivery.outstanding - left)
            delivery.wake.set()
        else:
            delivery.break_off(f"status {status} {description}")
