"""One lane at work: take it → open the log at the checkpoint → fetch → apply → acknowledge."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

from django.db import DatabaseError, connections, transaction

from byron.broker.base import Broker, Consumer
from byron.cache.checkpoint import (
    Applied,
    Attempt,
    note_attempt,
    owners_of,
    read_checkpoints,
    release_slots,
    take_slots,
    unfinished_attempts,
)
from byron.cache.connections import hurry
from byron.cache.members import living_members
from byron.cache.provenance import is_in_log, may_be_log
from byron.cache.trouble import is_trouble, lacks_right, remedy_for
from byron.conf import byron_settings
from byron.events.event import StoredMessage
from byron.events.subjects import applied_topic, split_subject
from byron.exceptions import BrokerError, BrokerPermissionError, LaneLostError, LogMismatchError
from byron.schema.installed import ComponentConfig
from byron.sink.batch import BatchApplier
from byron.sink.effects import Effects
from byron.sink.lanes import Lane
from byron.sink.membership import Membership
from byron.sink.parking import DEATHS, Problem
from byron.sink.retries import Retries

log = logging.getLogger("byron.sink")

#: Seconds of one wait for events: how soon a quiet lane notices that it is to stop, or that a retry is due.
_POLL = 0.5

#: Seconds left to other writers between two transactions, when they have waited for long.
_ROOM = 0.2

#: Seconds between two tries to take a lane from a process that may be gone.
_PATIENCE = 0.5

#: Shortest and longest pause, in seconds, while the broker or the database is away.
_PAUSES = (0.2, 2.0)

#: Seconds before a lane whose log is another one, or forbidden, looks again: someone has to do something about it.
_MISMATCH_PAUSE = 10.0

#: Seconds between two looks at how many events wait at the broker.
_LAG_INTERVAL = 2.0

#: Seconds between two looks for parked events that are to be tried again.
_RETRY_INTERVAL = 0.2

#: Held by a careful lane while it applies an event that may be the one that ended a process. Were lanes to do so side
#: by side, one's culprit would take the other's innocent event with it, and that would count against both.
_ALONE = threading.Lock()


@dataclass(slots=True)
class Progress:
    """What a component's lanes have done since the process began; each lane adds to it."""

    applied: int = 0
    emitted: int = 0
    #: Events waiting at the broker, by lane, when last looked.
    lag: dict[str, int] = field(default_factory=dict)


class LaneWorker:
    """Applies one lane's events until it is stopped, whenever the lane is this process's."""

    def __init__(
        self,
        config: ComponentConfig,
        lane: Lane,
        membership: Membership,
        connect: Callable[[], Broker],
        progress: Progress,
    ) -> None:
        self.lane = lane
        self._config = config
        self._membership = membership
        self._connect = connect
        self._progress = progress
        self._stop = threading.Event()
        self._pause = _PAUSES[0]
        self.effects = Effects(config, lane, membership.id)
        self.batches = BatchApplier(self.effects)
        self.retries = Retries(self.effects)
        self._retries_at = 0.0
        self._lag_at = 0.0
        #: Events that are still to be applied one at a time, since one of them may have ended a process.
        self._careful = 0
        self._attempts: dict[int, Attempt] = {}

    def stop(self) -> None:
        """Ask to finish the event at hand and let go of the lane. Safe from any thread."""
        self._stop.set()

    def run(self) -> None:
        """Take the lane, and apply its events until stopped; wait while broker or database are away."""
        told = False
        while not self._stop.is_set():
            try:
                if self.take():
                    told = False
                    self._consume()
                elif not told:
                    told = True
                    log.info("standby component=%s lane=%s %s", self._config.label, self.lane.name, self._holders())
                self._stop.wait(_PATIENCE)
            except LaneLostError as error:
                log.warning("lane lost component=%s lane=%s reason=%r", self._config.label, self.lane.name, str(error))
            except BrokerPermissionError as error:
                log.error("forbidden component=%s lane=%s error=%s", self._config.label, self.lane.name, error)
                self._stop.wait(_MISMATCH_PAUSE)
            except LogMismatchError as error:
                log.error("stopped component=%s lane=%s error=%s", self._config.label, self.lane.name, error)
                self._stop.wait(_MISMATCH_PAUSE)
            except Exception as error:
                self._wait_out(error)
        self._let_go()

    def take(self) -> bool:
        """Become the lane's owner, unless a living process is; whether that is so now."""
        alias, slots = self._config.alias, self.lane.slots
        crashed = take_slots(alias, self.lane.consumer, slots, self._membership.id, self._membership.is_alive)
        if crashed is None:
            return False
        # A process that let go of the lane, or has it still, did not end by the event it had begun with.
        survived = 0 if crashed else 1
        self._attempts = {
            each.position: Attempt(position=each.position, tries=each.tries - survived)
            for each in unfinished_attempts(alias, self.lane.consumer, slots)
        }
        if crashed or self._attempts:
            # The process before this one ended in the middle of a batch, of which nothing tells the culprit.
            self._careful = byron_settings().sink_batch_size
        self.effects.parking.load()
        self.effects.outbox.look()
        return True

    def open(self) -> tuple[Broker, Consumer]:
        """Open the lane's reader of the log at the checkpoint.

        Raises LogMismatchError when the log does not hold the checkpoint's event, BrokerError.
        """
        broker = self._connect()
        self.batches.log_created = broker.ensure_log().created
        after = starting_position(self._config, self.lane, broker)
        events = list(self._config.component.handlers)
        return broker, broker.consumer(self.lane.name, events, after, slots=self.lane.slots)

    def turn(self, broker: Broker, consumer: Consumer, timeout: float) -> int:
        """Fetch what is there and apply it, then what else is due; return how many events were fetched."""
        self._publish(broker)
        messages = consumer.fetch(1 if self._careful else byron_settings().sink_batch_size, timeout)
        rest: Sequence[StoredMessage] = messages
        while rest:
            apply = self._apply_carefully if self._careful else self.batches.apply
            position = apply(rest, self._stop.is_set)
            consumer.acknowledge(position)
            broker.signal(applied_topic(self._config.consumer_name))
            left = [message for message in rest if message.position > position]
            self._progress.applied += len(rest) - len(left)
            rest = left
            if self._membership.is_late:
                # SQLite has one writer, and no queue for those who wait to be it.
                self._stop.wait(_ROOM)
            if rest and self._stop.is_set():
                break
        self._publish(broker)
        return len(messages)

    def _consume(self) -> None:
        broker, consumer = self.open()
        with consumer:
            log.info(
                "consuming component=%s lane=%s events=%s",
                self._config.label,
                self.lane.name,
                ",".join(self._config.component.handlers),
            )
            try:
                while not self._stop.is_set():
                    # Where something is set aside, its retry may be due before the next event comes.
                    self.turn(broker, consumer, _RETRY_INTERVAL if self.effects.parking.keys else _POLL)
                    self._pause = _PAUSES[0]
                    self._retry_parked(broker)
                    self._note_lag(consumer)
            finally:
                # Whoever has the lane next tells how much waits there.
                self._progress.lag.pop(self.lane.name, None)

    def _apply_carefully(self, messages: Sequence[StoredMessage], stopping: Callable[[], bool]) -> int:
        """Apply the first event, after a note that outlives this process, and return its position."""
        with _ALONE:
            looked_out = self._look_out(messages[0])
            position = self.batches.apply(messages[:1], stopping)
        if looked_out:
            self._careful -= 1
        return position

    def _publish(self, broker: Broker) -> None:
        self._progress.emitted += self.effects.outbox.relay(broker, self._stop.is_set)

    def _retry_parked(self, broker: Broker) -> None:
        if not self.effects.parking.keys or time.monotonic() < self._retries_at:
            return
        for key_digest in self.effects.parking.due():
            if self._stop.is_set():
                return
            started = time.monotonic()
            with _ALONE if self._careful else nullcontext():
                applied, _ = self.retries.retry(key_digest)
            self._progress.applied += applied
            broker.signal(applied_topic(self._config.consumer_name))
            if time.monotonic() - started > _RETRY_INTERVAL:
                # Other keys' events are not to wait for one slow failure after the other.
                return
        self._retries_at = time.monotonic() + _RETRY_INTERVAL

    def _note_lag(self, consumer: Consumer) -> None:
        if time.monotonic() >= self._lag_at:
            self._progress.lag[self.lane.name] = consumer.pending()
            self._lag_at = time.monotonic() + _LAG_INTERVAL

    def _look_out(self, message: StoredMessage) -> bool:
        """Write down which event comes next, and park one that ended too many processes; False if it was applied."""
        before = self._attempts.pop(message.position, None)
        # The crash that made this lane careful may have been this event's doing.
        tries = before.tries + 1 if before else 2
        if tries > DEATHS:
            self.batches.park(message, Problem.of_deaths(tries - 1))
            return True
        slot = split_subject(message.subject)[1]
        alias, owner = self._config.alias, self._membership.id
        return note_attempt(alias, self.lane.consumer, slot, message.position, tries, owner=owner)

    def _wait_out(self, error: Exception) -> None:
        if lacks_right(error):
            log.error(
                "forbidden component=%s lane=%s error=%r remedy='grant the Sink what manage.py cacheroles says'",
                self._config.label,
                self.lane.name,
                str(error),
            )
        elif isinstance(error, BrokerError) or is_trouble(error, self._config.alias):
            log.warning(
                "waiting component=%s lane=%s error=%r%s",
                self._config.label,
                self.lane.name,
                str(error),
                "" if isinstance(error, BrokerError) else remedy_for(self._config.alias),
            )
        else:
            log.exception("waiting component=%s lane=%s", self._config.label, self.lane.name)
        connections[self._config.alias].close()
        self._rest()

    def _rest(self) -> None:
        self._stop.wait(self._pause)
        self._pause = min(2 * self._pause, _PAUSES[1])

    def _holders(self) -> str:
        owners = owners_of(self._config.alias, self.lane.consumer, self.lane.slots)
        places = [member.place for member in living_members(self._config.alias) if member.id in owners]
        return f"reason='another process applies it: {', '.join(places)}'"

    def release(self) -> None:
        """Let go of the lane, for another process to go on at once."""
        self.effects.patiently(self._release)

    def _release(self) -> None:
        # In a transaction MongoDB refuses what it would wait for otherwise, for a minute when a connection was lost.
        with transaction.atomic(using=self._config.alias):
            release_slots(self._config.alias, self.lane.consumer, self.lane.slots, self._membership.id)

    def _let_go(self) -> None:
        try:
            hurry(self._config.alias)
            self.release()
        except DatabaseError as error:
            # The others will find out by the missing signs of life.
            log.warning("lane not released component=%s error=%r", self._config.label, str(error))
        connections[self._config.alias].close()


def starting_position(config: ComponentConfig, lane: Lane, broker: Broker, *, alias: str = "", reader: str = "") -> int:
    """Return the position after which a lane goes on: the lowest of its slots', in the Cache of this alias.

    The log's events at the checkpoints must be those that were applied: in a log that was recreated
    or rolled back the same numbers stand for other events, and going on by number would skip them.
    Raises LogMismatchError then, and BrokerUnavailableError. `reader` is a consumer that is not in use, by default
    the lane's own, which is about to be opened.
    """
    found = read_checkpoints(alias or config.alias, lane.consumer)
    applied = [found[slot] for slot in lane.slots if slot in found]
    for each in {(each.position, each.event_id): each for each in applied}.values():
        if not _holds(broker, each, reader or lane.name):
            info = broker.log_info()
            raise LogMismatchError(
                f"The Cache of {config.label} has applied event {each.event_id} at position {each.position}, but the "
                f"log of {config.component.namespace} (positions {info.first} to {info.last}, created "
                f"{info.created:%Y-%m-%d %H:%M:%S}) does not hold it there: the log was recreated or restored. "
                "Nothing was skipped. Restore the log, or build the Cache anew from this one with "
                f"`manage.py rebuildcache {config.label}`."
            )
    return min((each.position for each in applied), default=0) if len(applied) == len(lane.slots) else 0


def _holds(broker: Broker, applied: Applied, reader: str) -> bool:
    try:
        return is_in_log(applied, broker, reader=reader)
    except BrokerPermissionError:
        # The component handles this event no more, so it may not read it.
        if may_be_log(applied, broker.log_info()):
            return True
        raise
