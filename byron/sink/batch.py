"""A batch: messages → effects, parked events and the checkpoint, in one transaction."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.transaction import TransactionManagementError

from byron.cache.checkpoint import Applied, lock_checkpoints, store_checkpoint
from byron.cache.trouble import is_conflict, is_trouble
from byron.cache.visits import between_transactions
from byron.cache.write_behind import unit_of_work
from byron.events.codec import message_id
from byron.events.event import StoredMessage
from byron.events.payloads import PayloadCodec
from byron.events.subjects import split_subject
from byron.exceptions import EventError, LaneLostError
from byron.models import ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.sink.apply import Applier, Incoming
from byron.sink.lanes import Lane
from byron.sink.outbox import Emission, Outbox
from byron.sink.parking import Parking, Problem, digest, stored_message

log = logging.getLogger("byron.sink")

#: Seconds after which a transaction ends between two events, so that others get to the database and the Sink can stop.
_LONGEST_TRANSACTION = 1.0

#: Seconds before what met another transaction is tried again, on a database that does not wait for locks.
_CONFLICT_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Broken:
    """A message that is no event of this schema."""

    message: StoredMessage
    problem: Problem


class BatchApplier:
    """Applies one lane's messages: each effect once and in order, failures set aside."""

    def __init__(self, config: ComponentConfig, lane: Lane, owner: str | None) -> None:
        #: When the log was created, to be stored with the checkpoint.
        self.log_created: datetime | None = None
        #: Whether failing events are parked. If not, what a handler raises is raised.
        self.parks = True
        #: Positions of events that are passed over, because they were discarded once.
        self.discarded: frozenset[int] = frozenset()
        #: Positions, by slot, up to which the handlers' emissions are in the log or in another outbox already.
        self.emitted_until: Mapping[int, int] = {}
        #: Positions up to there whose handlers have emitted nothing, since their events are set aside.
        self.unemitted: frozenset[int] = frozenset()
        self.parking = Parking(config.alias, lane)
        self.outbox = Outbox(config.alias, lane)
        self._alias = config.alias
        self._lane = lane
        self._owner = owner
        self._payloads = PayloadCodec(config.component)
        #: What runs the handlers. Tests put one in its place that fails.
        self.applier = Applier(config, self._payloads)

    def apply(self, messages: Sequence[StoredMessage], stopping: Callable[[], bool] = lambda: False) -> int:
        """Apply messages in order and return the position up to which all are dealt with.

        That is the last one's, unless `stopping` or the time cut the transaction short. Raises LaneLostError,
        and the database's errors when it is in trouble; nothing was stored then.
        """
        return self._patiently(lambda: self._apply_all(messages, stopping))

    def _apply_all(self, messages: Sequence[StoredMessage], stopping: Callable[[], bool]) -> int:
        items = [self._read(message) for message in messages]
        deadline = time.monotonic() + _LONGEST_TRANSACTION

        def enough() -> bool:
            return stopping() or time.monotonic() > deadline

        try:
            with transaction.atomic(using=self._alias):
                return self._apply(items, enough, self._together)
        except Exception as error:
            if self._is_external(error):
                raise
            if not self.parks:
                return self._until_the_culprit(messages, error)
            log.debug("batch failed, now one by one component=%s error=%r", self._lane.consumer, str(error))
            if not self._has_savepoints:
                return self._by_halves(items, error, enough)
        # An event is to blame. In savepoints, those before and after it succeed.
        with transaction.atomic(using=self._alias):
            return self._apply(items, enough, self._one_by_one)

    def park(self, message: StoredMessage, problem: Problem) -> None:
        """Park an event without a try, and pass it over."""

        self._patiently(lambda: self._set_aside(self._read(message), problem))

    def _set_aside(self, item: Incoming | _Broken, problem: Problem) -> None:
        def park(items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
            for each in items:
                self.parking.park(each.message, problem)
            return len(items)

        with transaction.atomic(using=self._alias):
            self._apply([item], lambda: False, park)

    def retry(self, key_digest: str) -> tuple[int, Problem | None]:
        """Apply a key's parked events in order until one fails again or some time is over.

        Returns how many were applied and why the next one was not. Raises as `apply` does.
        """
        return self._patiently(lambda: self._retry_all(key_digest))

    def _retry_all(self, key_digest: str) -> tuple[int, Problem | None]:
        with transaction.atomic(using=self._alias):
            lock_checkpoints(self._alias, self._lane.consumer, self._lane.slots, self._owner)
            begun, problem = self.parking.begin(key_digest)
        self.parking.trying(begun)
        if not self._has_savepoints:
            return self._retry_together(key_digest, begun, problem) or self._retry_singly(key_digest, begun, problem)
        applied = []
        self.applier.emitted.clear()
        deadline = time.monotonic() + _LONGEST_TRANSACTION
        with transaction.atomic(using=self._alias):
            lock_checkpoints(self._alias, self._lane.consumer, self._lane.slots, self._owner)
            for row in self.parking.held(begun):
                item = self._read(stored_message(row))
                problem = item.problem if isinstance(item, _Broken) else self._try(item)
                if problem is not None:
                    self.parking.note_failure(row, problem)
                    break
                applied.append(row)
                if time.monotonic() > deadline:
                    break
            self.parking.remove(key_digest, applied)
            self.parking.survive(begun)
            self._store_emitted()
        self.parking.tried(begun)
        return len(applied), problem

    def _patiently(self, action: Callable[[], _T]) -> _T:
        """Do something that is undone when it fails, and again while another transaction is in its way."""
        if self._owner is None:
            # The lane is another process's, which leaves little room between its transactions.
            return between_transactions(self._alias, action)
        for pause in _CONFLICT_PAUSES:
            try:
                return action()
            except Exception as error:
                if not is_conflict(error):
                    raise
            time.sleep(random.uniform(pause / 2, pause))
        return action()

    def _retry_together(
        self, key_digest: str, begun: Sequence[int], problem: Problem | None
    ) -> tuple[int, Problem | None] | None:
        """Apply a key's parked events in one transaction; None when there are none, or one of them fails."""
        applied: list[ParkedEvent] = []
        deadline = time.monotonic() + _LONGEST_TRANSACTION
        self.applier.emitted.clear()
        try:
            with transaction.atomic(using=self._alias):
                lock_checkpoints(self._alias, self._lane.consumer, self._lane.slots, self._owner)
                for row in self.parking.held(begun):
                    item = self._read(stored_message(row))
                    if isinstance(item, _Broken):
                        raise item.problem.error
                    self.applier.apply([item])
                    self._require_intact()
                    applied.append(row)
                    if time.monotonic() > deadline:
                        break
                self.parking.remove(key_digest, applied)
                self.parking.survive(begun)
                self._store_emitted()
        except Exception as error:
            if self._is_external(error):
                raise
            return None
        self.parking.tried(begun)
        return (len(applied), problem) if applied else None

    def _retry_singly(
        self, key_digest: str, begun: Sequence[int], problem: Problem | None
    ) -> tuple[int, Problem | None]:
        """Apply a key's parked events, each in a transaction of its own with its removal."""
        applied = 0
        deadline = time.monotonic() + _LONGEST_TRANSACTION
        for identity in begun:
            self.applier.emitted.clear()
            item: Incoming | _Broken | None = None
            try:
                with self._holding(identity) as row:
                    if row is not None:
                        item = self._read(stored_message(row))
                        if isinstance(item, _Broken):
                            raise item.problem.error
                        self.applier.apply([item])
                        self._require_intact()
                        self.parking.remove(key_digest, [row])
                        self._store_emitted()
                        applied += 1
            except Exception as error:
                if self._is_external(error):
                    raise
                problem = item.problem if isinstance(item, _Broken) else self._problem(error)
                with self._holding(identity) as row:
                    if row is not None:
                        self.parking.note_failure(row, problem)
                break
            if time.monotonic() > deadline:
                break
        with transaction.atomic(using=self._alias):
            lock_checkpoints(self._alias, self._lane.consumer, self._lane.slots, self._owner)
            self.parking.survive(begun)
        self.parking.tried(begun)
        return applied, problem

    @contextmanager
    def _holding(self, identity: int) -> Iterator[ParkedEvent | None]:
        """Hold the lane and a parked event, if that is still there, for the length of a transaction."""
        with transaction.atomic(using=self._alias):
            lock_checkpoints(self._alias, self._lane.consumer, self._lane.slots, self._owner)
            yield next(iter(self.parking.held([identity])), None)

    def _read(self, message: StoredMessage) -> Incoming | _Broken:
        try:
            return Incoming(message, self._payloads.read(message))
        except EventError as error:
            return _Broken(message, Problem(error=error, passes=False))

    def _apply(
        self,
        items: Sequence[Incoming | _Broken],
        enough: Callable[[], bool],
        apply_free: Callable[[Sequence[Incoming], Callable[[], bool]], int],
    ) -> int:
        """Deal with what is new of a batch, inside a transaction that holds the checkpoint."""
        self.applier.emitted.clear()
        standing = lock_checkpoints(self._alias, self._lane.consumer, self._lane.slots, self._owner)
        fresh = _beyond(standing, items)
        if not fresh:
            if items[-1].message.position > min(standing.values()):
                # Slots that these events are not of come up to here too: the lane need not begin below again.
                self._move_on(items[-1].message)
            return items[-1].message.position
        free, broken, behind = self._sort(fresh)
        applied = apply_free(free, enough)
        self._require_intact()
        last = free[applied - 1].message if applied < len(free) else items[-1].message
        for item in broken:
            if item.message.position <= last.position:
                self._refuse(item)
        self.parking.put_behind([message for message in behind if message.position <= last.position])
        self._store_emitted()
        self._move_on(last)
        return last.position

    def _move_on(self, last: StoredMessage) -> None:
        checkpoint = Applied(position=last.position, event_id=message_id(last), log_created=self.log_created)
        store_checkpoint(self._alias, self._lane.consumer, self._lane.slots, checkpoint)

    def _sort(self, items: Sequence[Incoming | _Broken]) -> tuple[list[Incoming], list[_Broken], list[StoredMessage]]:
        """Tell messages apart: to apply, not to be understood, and behind a parked event of their key."""
        blocked = self.parking.blocked([item.message for item in items])
        free: list[Incoming] = []
        broken: list[_Broken] = []
        behind: list[StoredMessage] = []
        for item in items:
            if item.message.position in self.discarded:
                continue
            if blocked and digest(item.message) in blocked:
                behind.append(item.message)
            elif isinstance(item, _Broken):
                broken.append(item)
                blocked.add(digest(item.message))
            else:
                free.append(item)
        return free, broken, behind

    def _until_the_culprit(self, messages: Sequence[StoredMessage], error: Exception) -> int:
        """Apply those before the message that cannot be applied, and raise its error with a note of its place."""
        if len(messages) == 1:
            error.add_note(f"Event at position {messages[0].position} of the log, on {messages[0].subject}")
            raise error
        for message in messages:
            self.apply([message])
        return messages[-1].position

    def _refuse(self, item: _Broken) -> None:
        if not self.parks:
            raise item.problem.error
        if self.parking.blocked([item.message]):
            self.parking.put_behind([item.message])
        else:
            self.parking.park(item.message, item.problem)

    def _together(self, items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
        """Apply events in the hope that none fails: no savepoints, and rows that are created are stored together."""
        if len(items) < 2:
            return self.applier.apply(items, enough)
        with unit_of_work(self._alias):
            return self.applier.apply(items, enough)

    def _one_by_one(self, items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
        """Apply events in a savepoint each; park those that fail, and what comes behind them."""
        blocked: set[str] = set()
        for done, item in enumerate(items, 1):
            key = digest(item.message)
            if key in blocked:
                self.parking.put_behind([item.message])
            elif (problem := self._try(item)) is not None:
                self.parking.park(item.message, problem)
                blocked.add(key)
            if enough():
                return done
        return len(items)

    @property
    def _has_savepoints(self) -> bool:
        return connections[self._alias].features.uses_savepoints

    def _by_halves(self, items: Sequence[Incoming | _Broken], error: Exception, enough: Callable[[], bool]) -> int:
        """Apply events that failed together in two transactions, and so on until the culprit is alone; park that.

        For databases without savepoints, where nothing inside of a transaction can be undone alone. What is stored is
        stored with its checkpoint, so it does not matter where a process ends.
        """
        if len(items) == 1:
            [item] = items
            self._set_aside(item, item.problem if isinstance(item, _Broken) else self._problem(error))
            return item.message.position
        position = 0
        for half in (items[: len(items) // 2], items[len(items) // 2 :]):
            try:
                with transaction.atomic(using=self._alias):
                    position = self._apply(half, enough, self._together)
            except Exception as failure:
                if self._is_external(failure):
                    raise
                position = self._by_halves(half, failure, enough)
            if position < half[-1].message.position or enough():
                break
        return position

    def _problem(self, error: Exception) -> Problem:
        return Problem(error=error, handler=self.applier.handler, passes=not isinstance(error, EventError))

    def _try(self, item: Incoming) -> Problem | None:
        """Apply an event in a savepoint, or say why it cannot be. Raises what is not the event's fault."""
        emitted = len(self.applier.emitted)
        try:
            with transaction.atomic(using=self._alias):
                self.applier.apply([item])
                self._require_intact()
        except Exception as error:
            if self._is_external(error):
                raise
            del self.applier.emitted[emitted:]
            return self._problem(error)
        return None

    def _require_intact(self) -> None:
        """Raise an error when Django will roll back what seems to be applied."""
        if connections[self._alias].needs_rollback:
            raise TransactionManagementError(
                f"The handler {self.applier.handler} went on after a database error, which undoes all that it did. "
                "Catch such an error around a `with transaction.atomic(...)` of your own."
            )

    def _store_emitted(self) -> None:
        self.outbox.store([emission for emission in self.applier.emitted if self._is_new(emission)])
        self.applier.emitted.clear()

    def _is_new(self, emission: Emission) -> bool:
        position, slot = emission.cause.position, split_subject(emission.cause.subject)[1]
        return position > self.emitted_until.get(slot, 0) or position in self.unemitted

    def _is_external(self, error: BaseException) -> bool:
        """Whether an error is not the event's fault: the lane is another's, or the database is in trouble."""
        if isinstance(error, LaneLostError) or is_trouble(error, self._alias):
            return True
        connection = connections[self._alias]
        try:
            return connection.connection is None or connection.closed_in_transaction or not connection.is_usable()
        except DatabaseError:
            return True


def _beyond(standing: Mapping[int, int], items: Sequence[Incoming | _Broken]) -> Sequence[Incoming | _Broken]:
    """Return what is not applied yet, by the positions that the slots stand at."""
    lowest = min(standing.values())
    if lowest == max(standing.values()):
        return items if items[0].message.position > lowest else [i for i in items if i.message.position > lowest]
    return [
        item for item in items if item.message.position > standing.get(split_subject(item.message.subject)[1], lowest)
    ]
