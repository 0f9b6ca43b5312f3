"""Hints between processes, over plain NATS: sent at once, stored nowhere, and lost when nobody listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from byron.broker.base import Listener
from byron.broker.nats.link import Link
from byron.exceptions import BrokerError, BrokerPermissionError

log = logging.getLogger("byron.broker")

#: Seconds before a listener looks for the broker again.
_PAUSE = 0.5


def send_signal(link: Link, subject: str) -> None:
    """Publish an empty message without waiting; not at all without a connection."""
    link.start(_publish(link, subject))


async def _publish(link: Link, subject: str) -> None:
    try:
        if link.is_connected:
            session = await link.session()
            await session.client.publish(subject, b"")
    except (BrokerError, NatsError) as error:
        log.debug("signal not sent subject=%s error=%r", subject, str(error))


class NatsListener(Listener):
    """A subscription that is made again after every loss of the connection."""

    def __init__(self, link: Link, subject: str, heard: Callable[[], None]) -> None:
        self._link = link
        self._subject = subject
        self._heard = heard
        self._closed = False
        self._ended = asyncio.Event()
        link.start(self._keep())

    async def _keep(self) -> None:
        while not self._ended.is_set():
            try:
                session = await self._link.session()
                lost = asyncio.Event()
                session.wakes.add(lost)
                session.watch(self._subject, self._tell_denied)
                subscription = await session.subscribe(self._subject, self._on_signal)
                # What was signalled before this is missed.
                self._tell()
                ended = asyncio.ensure_future(self._ended.wait())
                gone = asyncio.ensure_future(lost.wait())
                await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
                ended.cancel()
                gone.cancel()
                session.wakes.discard(lost)
                if self._ended.is_set():
                    await subscription.unsubscribe()
            except (BrokerError, NatsError) as error:
                log.debug("not listening subject=%s error=%r", self._subject, str(error))
                await asyncio.sleep(_PAUSE)

    async def _on_signal(self, message: Msg) -> None:
        self._tell()

    @staticmethod
    def _tell_denied(error: BrokerPermissionError) -> None:
        # Nobody waits for a hint: what it would have told is found out a little later.
        log.error("not listening error=%s", error)

    def _tell(self) -> None:
        if not self._closed:
            self._heard()

    def close(self) -> None:
        self._closed = True
        self._link.loop.call_soon_threadsafe(self._ended.set)
