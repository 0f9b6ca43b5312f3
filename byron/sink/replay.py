"""A replay: a component's events from the log into tables that nobody else uses yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from byron.broker.base import Broker, Consumer
from byron.cache.checkpoint import take_slots
from byron.cache.parked import open_events
from byron.conf import byron_settings
from byron.events.event import StoredMessage
from byron.exceptions import BrokerError, BrokerPermissionError, LogMismatchError
from byron.models import ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.sink.batch import BatchApplier
from byron.sink.effects import Effects
from byron.sink.lane import starting_position
from byron.sink.lanes import Lane
from byron.sink.retries import Retries

log = logging.getLogger("byron.sink")

#: Seconds of one wait for events.
_POLL = 0.3

#: Seconds before a lost broker is looked for again.
_PAUSE = 0.5


@dataclass(slots=True)
class Replay:
    """How far a rebuild is: events applied, of how many, and the position reached."""

    total: int = 0
    applied: int = 0
    position: int = 0
    phase: str = "replaying"


class Replayer:
    """Reads a component's events from the log into the tables that its alias means now."""

    def __init__(
        self,
        config: ComponentConfig,
        connect: Callable[[], Broker],
        *,
        reader: str,
        discarded: Collection[int] = (),
        until: Callable[[StoredMessage], bool] = lambda message: False,
        watch: Callable[[Replay], None] = lambda replay: None,
    ) -> None:
        self.replay = Replay()
        self.lane = Lane(consumer=config.consumer_name)
        self.effects = Effects(config, self.lane, owner=None)
        self.batches = BatchApplier(self.effects)
        self.retries = Retries(self.effects)
        self.batches.discarded = frozenset(discarded)
        self._config = config
        self._connect = connect
        self._reader = reader
        self._until = until
        self._watch = watch
        take_slots(config.alias, self.lane.consumer, self.lane.slots, "", lambda owner: False)

    def run(self, enough: Callable[[int], bool]) -> None:
        """Apply events until it is enough, by how many are left, or `until` says so of one, or the log ends.

        Raises LogMismatchError and BrokerPermissionError; waits while the broker is away.
        """
        self.effects.parking.load()
        ended_at = -1
        while True:
            try:
                with self._open() as consumer:
                    is_over = self._read(consumer, enough)
                # That nothing is left counts when a reader that begins at this very position finds nothing either.
                if is_over or self.replay.position == ended_at:
                    break
                ended_at = self.replay.position
            except (LogMismatchError, BrokerPermissionError):
                raise
            except BrokerError as error:
                log.warning("waiting component=%s error=%r", self._config.label, str(error))
                time.sleep(_PAUSE)
        self._retry_to_the_end()

    def discard(self, positions: Collection[int]) -> None:
        """Forget events that are set aside here and were discarded since, and try those behind them."""
        self.batches.discarded = frozenset(positions)
        gone: dict[str, list[int]] = {}
        rows = open_events(self._config.alias, self.lane.consumer)
        for identity, key_digest, position in rows.values_list("pk", "key_digest", "position"):
            if position in self.batches.discarded:
                gone.setdefault(key_digest, []).append(identity)
        for key_digest, ids in gone.items():
            with self.effects.transaction():
                self.effects.parking.remove(key_digest, ids)
        self._retry_to_the_end()

    def _read(self, consumer: Consumer, enough: Callable[[int], bool]) -> bool:
        """Apply events to the end of what is wanted; False if that is only where the log seems to end."""
        while self._turn(consumer):
            left = consumer.pending()
            if (not left or enough(left)) and not self._retry():
                return enough(left)
        return True

    def _open(self) -> Consumer:
        broker = self._connect()
        self.batches.log_created = broker.log_info().created
        after = starting_position(self._config, self.lane, broker, reader=self._reader)
        events = list(self._config.component.handlers)
        consumer = broker.consumer(self._reader, events, after, durable=False)
        self.replay.position = max(self.replay.position, after)
        self.replay.total = self.replay.applied + consumer.pending()
        return consumer

    def _turn(self, consumer: Consumer) -> bool:
        """Apply what there is, and return whether there may be more that is wanted."""
        messages = consumer.fetch(byron_settings().sink_batch_size, _POLL)
        wanted = self._up_to_the_end(messages)
        rest: Sequence[StoredMessage] = wanted
        while rest:
            position = self.batches.apply(rest)
            consumer.acknowledge(position)
            left = [message for message in rest if message.position > position]
            self.replay.applied += len(rest) - len(left)
            self.replay.position = position
            self._watch(self.replay)
            rest = left
        return len(wanted) == len(messages)

    def _up_to_the_end(self, messages: Sequence[StoredMessage]) -> Sequence[StoredMessage]:
        for index, message in enumerate(messages):
            if self._until(message):
                return messages[:index]
        return messages

    def _retry_to_the_end(self) -> None:
        while self._retry():
            time.sleep(_POLL)

    def _retry(self) -> bool:
        """Try again what is due, and return whether something will be tried again later."""
        if not self.effects.parking.keys:
            return False
        for key_digest in self.effects.parking.due():
            self.retries.retry(key_digest)
        rows = open_events(self._config.alias, self.lane.consumer)
        return rows.filter(state=ParkedEvent.State.RETRYING).exists()
