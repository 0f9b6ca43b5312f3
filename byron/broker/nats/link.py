"""The way to a NATS system: a thread of its own and a connection that is found again after every loss."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import random
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from byron.broker.access import Access
from byron.broker.nats.session import CLOSE_TIMEOUT, Session, public_addresses
from byron.exceptions import BrokerUnavailableError

logger = logging.getLogger("byron.broker")

T = TypeVar("T")

#: Seconds between two tries to find a lost server again: at random, so that a system's processes spread out.
_RECONNECT_PAUSE = (0.1, 0.3)


class Link:
    """A thread, its event loop, and the session of the moment."""

    def __init__(self, url: str, *, name: str, connect_timeout: float, access: Access) -> None:
        self._servers = [server.strip() for server in url.split(",")]
        self._addresses = public_addresses(self._servers)
        self._name = name
        self._connect_timeout = connect_timeout
        self._access = access
        self._session: Session | None = None
        self._attempt: asyncio.Task[Session | BrokerUnavailableError] | None = None
        self._calls: set[asyncio.Task[Any]] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pid = os.getpid()
        self._closed = False
        self._running = threading.Event()
        self._thread = threading.Thread(target=self._run, name="byron-broker", daemon=True)
        self._thread.start()
        self._running.wait()
        atexit.register(self.close)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._running.set()
        await self._stop.wait()
        if self._session is not None:
            await self._session.close()
        if self._calls:
            # Callers of this moment get to know what became of their requests; asyncio.run cancels what else there is.
            await asyncio.wait(self._calls, timeout=CLOSE_TIMEOUT)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, from any other thread, and return its result."""
        if self._closed:
            coroutine.close()
            raise BrokerUnavailableError("The connection to the broker is closed.")
        future = asyncio.run_coroutine_threadsafe(self._tracked(coroutine), self.loop)
        try:
            while not future.done():
                try:
                    return future.result(1.0)
                except TimeoutError:
                    # The loop may have ended between the check above and its taking this call.
                    if not self._thread.is_alive():
                        break
            return future.result(0)
        except (CancelledError, TimeoutError) as error:
            raise BrokerUnavailableError("The connection to the broker was closed meanwhile.") from error
        finally:
            future.cancel()

    async def _tracked(self, coroutine: Coroutine[Any, Any, T]) -> T:
        task = asyncio.current_task()
        if task is not None:
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
        return await coroutine

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task on the loop, from the loop, and keep it from being collected."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Start a task on the loop, from any thread, and do not wait for it."""
        if self._closed or not self._thread.is_alive():
            coroutine.close()
            return
        self.loop.call_soon_threadsafe(self.spawn, coroutine)

    @property
    def is_connected(self) -> bool:
        return self._session is not None and self._session.is_alive

    async def session(self) -> Session:
        """Return the live session; without one, try once to connect, together with all who ask meanwhile.

        Raises BrokerUnavailableError when that try fails.
        """
        if self._session is not None and self._session.is_alive:
            return self._session
        if self._stop.is_set():
            raise BrokerUnavailableError("The connection to the broker is closed.")
        if self._attempt is None or self._attempt.done():
            self._attempt = self.spawn(self._connect())
        outcome = await asyncio.shield(self._attempt)
        if isinstance(outcome, Session):
            return outcome
        raise BrokerUnavailableError(str(outcome)) from outcome

    async def session_within(self, seconds: float) -> Session:
        """Return the live session, trying again and again. Raises BrokerUnavailableError after these seconds."""
        deadline = self.loop.time() + seconds
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    return await self.session()
            except TimeoutError as error:
                raise BrokerUnavailableError(f"The broker did not answer within {seconds:.2g} seconds.") from error
            except BrokerUnavailableError:
                pause = random.uniform(*_RECONNECT_PAUSE)
                if self._stop.is_set() or self.loop.time() + pause >= deadline:
                    raise
                await asyncio.sleep(pause)

    async def _connect(self) -> Session | BrokerUnavailableError:
        session = Session(self._access)
        try:
            await session.open(self._servers, name=self._name, timeout=self._connect_timeout)
        except BrokerUnavailableError as error:
            return error
        if self._session is not None:
            logger.info("broker back addresses=%s", self._addresses)
        self._session = session
        self.spawn(self._keep(session))
        return session

    async def _keep(self, session: Session) -> None:
        """Wait for the session's loss, then look for the server until it is back."""
        await session.wait_lost()
        if not self._stop.is_set():
            logger.warning("broker away addresses=%s", self._addresses)
        await session.close()
        while not self._stop.is_set():
            try:
                await self.session()
                return
            except BrokerUnavailableError:
                await asyncio.sleep(random.uniform(*_RECONNECT_PAUSE))

    def close(self) -> None:
        """Disconnect and end the thread. Idempotent; does nothing in a fork, which has no such thread."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        atexit.unregister(self.close)
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(4 * CLOSE_TIMEOUT)
