"""The Sink: broker → handlers → Cache, the checkpoint in the same transaction as the effect."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction

from byron.broker.base import Broker, Consumer
from byron.cache.checkpoint import Applied, lock_checkpoint, store_checkpoint
from byron.cache.migrations import is_pending
from byron.conf import byron_settings
from byron.events.event import StoredMessage
from byron.events.payloads import PayloadCodec
from byron.exceptions import BrokerError, LogMismatchError
from byron.schema.installed import ComponentConfig
from byron.sink.apply import Applier
from byron.sink.position import starting_position
from byron.sink.standby import alone_at_cache

log = logging.getLogger("byron.sink")

#: Seconds of one wait for events: how soon a quiet Sink notices that it is to stop.
_POLL = 0.5
#: The errors that are the database's, not the event's: wait, and try the same again.
_DATABASE_TROUBLE = (OperationalError, InterfaceError)


class Sink:
    """Apply a namespace's events to one component's Cache, each once and in the log's order.

    An event's effect and the checkpoint are one transaction, so a crash at any point leaves both or
    neither; what comes again is skipped by its position. A failing handler is tried again with
    growing pauses and holds back what follows it.
    """

    def __init__(self, config: ComponentConfig, connect: Callable[[], Broker]) -> None:
        """Prepare to consume; `connect` gives the broker, and is asked again whenever it went away."""
        self.config = config
        #: Events applied since this object was made.
        self.applied = 0
        self._connect = connect
        self._applier = Applier(config)
        self._payloads = PayloadCodec(config.component)
        self._stop = threading.Event()
        self._pause = _Pause(self._stop)
        self._log_created = datetime.min.replace(tzinfo=UTC)

    def stop(self) -> None:
        """Ask a running Sink to finish the batch at hand and return. Safe from any thread."""
        self._stop.set()

    def alone(self) -> AbstractContextManager[bool]:
        """Wait until no other Sink writes this Cache, or `stop` is called: then it gives False."""
        return alone_at_cache(self.config, self._stop)

    def run(self) -> None:
        """Apply events until `stop` is called; wait while the broker or the database is away.

        Raises LogMismatchError when the log is not the one that the Cache was built from.
        """
        if not self.config.component.handlers:
            log.info("idle component=%s reason='schema.yaml declares no handlers'", self.config.label)
            self._stop.wait()
        while not self._stop.is_set():
            try:
                self._consume()
            except LogMismatchError:
                raise
            except (BrokerError, *_DATABASE_TROUBLE) as error:
                log.warning("waiting component=%s error=%r%s", self.config.label, str(error), self._remedy())
            except Exception:
                log.exception("handler failed component=%s; it will be tried again", self.config.label)
            if not self._stop.is_set():
                connections[self.config.alias].close()
                self._pause.wait()
        connections[self.config.alias].close()

    def settle(self) -> int:
        """Apply everything that is in the log now and return how many events that was. For tests.

        Raises what a handler raises.
        """
        before = self.applied
        if self.config.component.handlers:
            with self._open() as consumer:
                while self._apply_next(consumer, 0):
                    pass
        return self.applied - before

    def _remedy(self) -> str:
        """Return what to do about a Cache that lacks its tables; nothing for troubles that pass by themselves."""
        try:
            return " remedy='run manage.py migrate'" if is_pending(self.config.alias) else ""
        except DatabaseError:
            return ""

    def _consume(self) -> None:
        with self._open() as consumer:
            log.info("consuming component=%s events=%s", self.config.label, ",".join(self.config.component.handlers))
            while not self._stop.is_set():
                try:
                    self._apply_next(consumer, _POLL)
                except LogMismatchError as error:
                    # The durable consumer is gone, or the log. Opening anew tells which, by the checkpoint.
                    raise BrokerError(str(error)) from error

    def _open(self) -> Consumer:
        broker = self._connect()
        self._log_created = broker.ensure_log().created
        after = starting_position(self.config, broker)
        return broker.consumer(self.config.consumer_name, list(self.config.component.handlers), after)

    def _apply_next(self, consumer: Consumer, timeout: float) -> int:
        messages = consumer.fetch(byron_settings().sink_batch_size, timeout)
        if messages:
            self._apply(messages)
            consumer.acknowledge(messages[-1].position)
        return len(messages)

    def _apply(self, messages: Sequence[StoredMessage]) -> None:
        try:
            self._apply_batch(messages)
            return
        except _DATABASE_TROUBLE:
            raise
        except Exception as error:
            if len(messages) == 1:
                error.add_note(f"Event at position {messages[0].position} of the log, on {messages[0].subject}")
                raise
        # One of them is to blame. Alone, those before it succeed.
        for message in messages:
            self._apply([message])

    def _apply_batch(self, messages: Sequence[StoredMessage]) -> None:
        alias, name = self.config.alias, self.config.consumer_name
        with transaction.atomic(using=alias):
            position = lock_checkpoint(alias, name)
            fresh = [message for message in messages if message.position > position]
            if not fresh:
                return
            events = [self._payloads.read(message) for message in fresh]
            self._applier.apply(events)
            last = Applied(position=fresh[-1].position, event_id=events[-1].id, log_created=self._log_created)
            store_checkpoint(alias, name, last)
        self.applied += len(fresh)
        self._pause.reset()


class _Pause:
    """Pauses that grow from `sink_retry_delay` to `sink_retry_limit` and end when the Sink is to stop."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._tries = 0

    def wait(self) -> None:
        settings = byron_settings()
        self._stop.wait(min(settings.sink_retry_delay * 2**self._tries, settings.sink_retry_limit))
        self._tries = min(self._tries + 1, 16)

    def reset(self) -> None:
        self._tries = 0
