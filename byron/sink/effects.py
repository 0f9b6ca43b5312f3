"""What a lane's events do to the Cache: each one's effect whole or not at all, and whether a failure is its fault."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.transaction import TransactionManagementError

from byron.cache.checkpoint import lock_checkpoints
from byron.cache.trouble import is_conflict, is_trouble
from byron.cache.visits import between_transactions
from byron.events.event import StoredMessage
from byron.events.payloads import PayloadCodec
from byron.events.subjects import decode_key, split_subject
from byron.exceptions import EventError, LaneLostError
from byron.schema.installed import ComponentConfig
from byron.sink.apply import Applier, Incoming
from byron.sink.lanes import Lane
from byron.sink.outbox import Emission, Outbox
from byron.sink.parking import Parking, Problem

#: Seconds after which a transaction ends between two events, so that others get to the database and the Sink can stop.
_LONGEST_TRANSACTION = 1.0

#: Seconds before what met another transaction is tried again, on a database that does not wait for locks.
_CONFLICT_PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Broken:
    """A message that is no event of this schema."""

    message: StoredMessage
    problem: Problem


class Effects:
    """One lane's events at work on its component's Cache, for those who decide which come into one transaction.

    `owner` is the process whose lane it is; None is somebody beside it, who comes between its transactions.
    """

    def __init__(self, config: ComponentConfig, lane: Lane, owner: str | None) -> None:
        #: Positions, by slot, up to which the handlers' emissions are in the log or in another outbox already.
        self.emitted_until: Mapping[int, int] = {}
        #: Positions up to there whose handlers have emitted nothing, since their events are set aside.
        self.unemitted: frozenset[int] = frozenset()
        self.alias = config.alias
        self.lane = lane
        self.parking = Parking(config.alias, lane)
        self.outbox = Outbox(config.alias, lane)
        self._owner = owner
        self._payloads = PayloadCodec(config.component)
        #: What runs the handlers. Tests put one in its place that fails.
        self.applier = Applier(config, self._payloads)

    def read(self, message: StoredMessage) -> Incoming | Broken:
        """Return the event that a message carries, or what is wrong with it."""
        try:
            return Incoming(message, self._payloads.read(message))
        except EventError as error:
            return Broken(message, Problem(error=error, passes=False))

    @contextmanager
    def transaction(self) -> Iterator[Mapping[int, int]]:
        """Open a transaction that holds the lane, and give the position of each of its slots.

        Raises LaneLostError when the lane is another process's by now.
        """
        self.applier.emitted.clear()
        with transaction.atomic(using=self.alias):
            yield lock_checkpoints(self.alias, self.lane.consumer, self.lane.slots, self._owner)

    def attempt(self, item: Incoming | Broken) -> Problem | None:
        """Apply an event in a savepoint, or say why it cannot be. Raises what is not the event's fault."""
        emitted = len(self.applier.emitted)
        try:
            with transaction.atomic(using=self.alias):
                self.apply(item)
        except Exception as error:
            if self.is_external(error):
                raise
            del self.applier.emitted[emitted:]
            return self.problem(item, error)
        return None

    def apply(self, item: Incoming | Broken) -> None:
        """Apply an event in the caller's transaction. Raises what is wrong with it, or what its handler raised."""
        if isinstance(item, Broken):
            raise item.problem.error
        self.applier.apply([item])
        self.require_intact()

    def store_emitted(self) -> None:
        """Store what the handlers emitted since the transaction began, in the transaction of their effects."""
        self.outbox.store([emission for emission in self.applier.emitted if self._is_new(emission)])
        self.applier.emitted.clear()

    def require_intact(self) -> None:
        """Raise an error when Django will roll back what seems to be applied."""
        if connections[self.alias].needs_rollback:
            raise TransactionManagementError(
                f"The handler {self.applier.handler} went on after a database error, which undoes all that it did. "
                "Catch such an error around a `with transaction.atomic(...)` of your own."
            )

    def problem(self, item: Incoming | Broken | None, error: Exception) -> Problem:
        """Return why an event was not applied, by what was raised."""
        if isinstance(item, Broken):
            return item.problem
        return Problem(error=error, handler=self.applier.handler, passes=not isinstance(error, EventError))

    def describe(self, message: StoredMessage) -> str:
        """Return, for people, the handler that failed, and the event that a message carries."""
        _, _, key, name = split_subject(message.subject)
        try:
            about = f"{name} {decode_key(key)}"
        except EventError:
            about = message.subject
        event = f"{about}, at position {message.position} of the log"
        return f"the handler {self.applier.handler} of {event}" if self.applier.handler else event

    def is_external(self, error: BaseException) -> bool:
        """Whether an error is not the event's fault: the lane is another's, or the database is in trouble."""
        if isinstance(error, LaneLostError) or is_trouble(error, self.alias):
            return True
        connection = connections[self.alias]
        try:
            return connection.connection is None or connection.closed_in_transaction or not connection.is_usable()
        except DatabaseError:
            return True

    def patiently(self, action: Callable[[], _T]) -> _T:
        """Do something that is undone when it fails, and again while another transaction is in its way."""
        if self._owner is None:
            # The lane is another process's, which leaves little room between its transactions.
            return between_transactions(self.alias, action)
        for pause in _CONFLICT_PAUSES:
            try:
                return action()
            except Exception as error:
                if not is_conflict(error):
                    raise
            time.sleep(random.uniform(pause / 2, pause))
        return action()

    def time_limit(self, stopping: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
        """Return what tells whether a transaction that begins now has lasted long enough, or we are `stopping`."""
        deadline = time.monotonic() + _LONGEST_TRANSACTION
        return lambda: stopping() or time.monotonic() > deadline

    @property
    def has_savepoints(self) -> bool:
        """Whether a part of a transaction can be undone alone."""
        return connections[self.alias].features.uses_savepoints

    def _is_new(self, emission: Emission) -> bool:
        position, slot = emission.cause.position, split_subject(emission.cause.subject)[1]
        return position > self.emitted_until.get(slot, 0) or position in self.unemitted
