"""Reading a namespace's log through a JetStream pull consumer."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import Header

from byron.broker.base import Consumer
from byron.broker.denials import Denied
from byron.broker.nats.api import SECOND, find
from byron.broker.nats.durable import place, require_log
from byron.broker.nats.link import Link
from byron.broker.nats.session import Session
from byron.events.event import StoredMessage
from byron.exceptions import BrokerError, BrokerPermissionError, BrokerUnavailableError, ConsumerLostError

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


@dataclass(slots=True)
class _Delivery:
    """An open consumer, from which messages come in unbroken sequence."""

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
    logged: float
    message: Msg


def _seconds(nanoseconds: int) -> float:
    # To the microsecond, as a message that is read by its position has it.
    return nanoseconds // 1000 / 1_000_000


class NatsConsumer(Consumer):
    """Keeps a pull request waiting at the server and what it brings in a bounded buffer.

    A task on the link's loop asks for messages before the buffer runs dry. Whatever could leave a
    hole, be it a lost connection, a missing delivery number or silence, ends the reader.
    """

    def __init__(self, link: Link, stream: str, config: Mapping[str, Any]) -> None:
        self._link = link
        self._stream = stream
        self._config = config
        self._name: str = config["name"]
        self._delivery: _Delivery | None = None
        self._driver: asyncio.Task[None] | None = None
        # What follows is shared with the caller's thread.
        self._condition = threading.Condition()
        self._buffer: deque[_Received] = deque()
        self._buffered_bytes = 0
        self._unacknowledged: deque[tuple[int, str]] = deque()
        self._closed = False
        self._problem: BrokerError | None = None

    # The caller's side.

    def fetch(self, limit: int, timeout: float) -> list[StoredMessage]:
        deadline = monotonic() + timeout
        with self._condition:
            while not self._buffer or self._closed:
                if self._problem is not None:
                    raise self._problem
                remaining = deadline - monotonic()
                if remaining <= 0:
                    return []
                self._condition.wait(remaining)
            taken = [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]
            self._buffered_bytes -= sum(item.size for item in taken)
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
                logged=item.logged,
            )
            for item in taken
        ]

    def acknowledge(self, position: int) -> None:
        reply = ""
        with self._condition:
            while self._unacknowledged and self._unacknowledged[0][0] <= position:
                reply = self._unacknowledged.popleft()[1]
            delivery = self._delivery
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
        """Open the consumer and begin to ask for messages."""
        delivery = await self._open(await self._link.session())
        self._delivery = delivery
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
            raise ConsumerLostError(f"The consumer {self._name!r} was deleted at the broker.")
        with self._condition:
            delivery, buffered = self._delivery, len(self._buffer)
        # The answer may be older than the messages that overtook it: then this is negative and makes up for them.
        on_their_way = info["delivered"]["consumer_seq"] - delivery.sequence if delivery is not None else 0
        return max(0, int(info["num_pending"]) + buffered + on_their_way)

    async def _drive(self, delivery: _Delivery) -> None:
        """Keep messages coming until the consumer is closed or cannot go on."""
        try:
            await self._pump(delivery)
            reason = delivery.broken or "connection lost"
            logger.info("consumer lost name=%s reason=%s", self._name, reason)
            self._fail(ConsumerLostError(f"The consumer {self._name!r} lost its place in the log: {reason}."))
            await self._end(delivery)
        except BrokerError as error:
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
        delivery.session.watch(self._next_subject(delivery.session), self._forbidden(delivery))
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

    def _forbidden(self, delivery: _Delivery) -> Denied:
        """Return what ends the reader for good reason, instead of a silence that nobody can explain."""

        def end(error: BrokerPermissionError) -> None:
            self._fail(error)
            delivery.break_off("denied")

        return end

    def _next_subject(self, session: Session) -> str:
        return session.api(f"CONSUMER.MSG.NEXT.{self._stream}.{self._name}")

    async def _open(self, session: Session) -> _Delivery:
        """Make the consumer stand where it is to start, and subscribe to it."""
        self._received: int = self._config["opt_start_seq"] - 1
        await require_log(session, self._stream, self._received)
        placed = await place(session, self._stream, self._config)
        inbox = session.client.new_inbox()
        delivery = _Delivery(
            session=session,
            subscription=None,
            inbox=inbox,
            sequence=placed["delivered"]["consumer_seq"],
            batch_bytes=max(_BATCH_BYTES, session.client.max_payload + _ENVELOPE_BYTES),
        )

        async def receive(message: Msg) -> None:
            await self._receive(delivery, message)

        session.watch(f"{inbox}.*", self._forbidden(delivery))
        try:
            delivery.subscription = await session.subscribe(f"{inbox}.*", receive)
        except NatsError as error:
            raise BrokerUnavailableError("The connection to the broker was lost.") from error
        return delivery

    async def _end(self, delivery: _Delivery) -> None:
        delivery.session.wakes.discard(delivery.wake)
        delivery.session.unwatch(self._next_subject(delivery.session))
        delivery.session.unwatch(f"{delivery.inbox}.*")
        try:
            await delivery.subscription.unsubscribe()
        except NatsError as error:
            # Its connection is gone, and so is the subscription.
            logger.debug("consumer unsubscribed late name=%s error=%s", self._name, error)

    async def _send(self, delivery: _Delivery, subject: str, body: bytes, reply: str = "") -> None:
        try:
            await delivery.session.client.publish(subject, body, reply)
        except NatsError as error:
            # The driver finds the loss by itself.
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
            "idle_heartbeat": int(_HEARTBEAT * SECOND),
        }
        await self._send(
            delivery,
            self._next_subject(delivery.session),
            json.dumps(request).encode(),
            f"{delivery.inbox}.{delivery.requests}",
        )

    async def _receive(self, delivery: _Delivery, message: Msg) -> None:
        if delivery.broken or self._closed:
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
                self._buffer.append(_Received(position, size, _seconds(int(fields[place + 2])), message))
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
            delivery.break_off("no responders")
        elif description.startswith("Consumer Deleted"):
            delivery.break_off("it was deleted at the broker")
        elif "Nats-Pending-Messages" in headers:
            left = int(headers["Nats-Pending-Messages"])
            if left == _BATCH and "MaxBytes" in description:
                # One message alone is larger than what was asked for.
                delivery.batch_bytes *= 2
            delivery.outstanding = max(0, delivery.outstanding - left)
            delivery.wake.set()
        else:
            delivery.break_off(f"status {status} {description}")
