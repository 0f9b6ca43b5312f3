"""A batch: messages → effects, parked events and the checkpoint, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from byron.cache.checkpoint import Applied, store_checkpoint
from byron.cache.write_behind import unit_of_work
from byron.events.codec import message_id
from byron.events.event import StoredMessage
from byron.events.subjects import split_subject
from byron.sink.apply import Incoming
from byron.sink.effects import Broken, Effects
from byron.sink.parking import DEATHS, Problem, digest

log = logging.getLogger("byron.sink")


class BatchApplier:
    """Applies one lane's messages: each effect once and in order, failures set aside."""

    def __init__(self, effects: Effects) -> None:
        #: When the log was created, to be stored with the checkpoint.
        self.log_created: datetime | None = None
        #: Whether failing events are parked. If not, what a handler raises is raised.
        self.parks = True
        #: Positions of events that are passed over, because they were discarded once.
        self.discarded: frozenset[int] = frozenset()
        #: Positions of events that are parked without a try, because they ended processes.
        self.deadly: frozenset[int] = frozenset()
        self._effects = effects
        self._parking = effects.parking

    def apply(self, messages: Sequence[StoredMessage], stopping: Callable[[], bool] = lambda: False) -> int:
        """Apply messages in order and return the position up to which all are dealt with.

        That is the last one's, unless `stopping` or the time cut the transaction short. Raises LaneLostError,
        and the database's errors when it is in trouble; nothing was stored then.
        """
        return self._effects.patiently(lambda: self._apply_all(messages, stopping))

    def _apply_all(self, messages: Sequence[StoredMessage], stopping: Callable[[], bool]) -> int:
        items = [self._effects.read(message) for message in messages]
        try:
            return self._apply(items, stopping, self._together)
        except Exception as error:
            if self._effects.is_external(error):
                raise
            failure = error
        # What is raised from here on does not come with the first try's error.
        if not self.parks:
            return self._until_the_culprit(messages, failure)
        log.debug("batch failed, now one by one component=%s error=%r", self._effects.lane.consumer, str(failure))
        if not self._effects.has_savepoints:
            return self._by_halves(items, failure, stopping)
        # An event is to blame. In savepoints, those before and after it succeed.
        return self._apply(items, stopping, self._one_by_one)

    def park(self, message: StoredMessage, problem: Problem) -> None:
        """Park an event without a try, and pass it over."""

        self._effects.patiently(lambda: self._set_aside(self._effects.read(message), problem))

    def _set_aside(self, item: Incoming | Broken, problem: Problem) -> None:
        def park(items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
            for each in items:
                self._parking.park(each.message, problem)
            return len(items)

        self._apply([item], lambda: False, park)

    def _apply(
        self,
        items: Sequence[Incoming | Broken],
        stopping: Callable[[], bool],
        apply_free: Callable[[Sequence[Incoming], Callable[[], bool]], int],
    ) -> int:
        """Deal with what is new of a batch in a transaction, and return the position up to which that was."""
        with self._effects.transaction() as standing:
            fresh = _beyond(standing, items)
            if not fresh:
                if items[-1].message.position > min(standing.values()):
                    # Slots that these events are not of come up to here too: the lane need not begin below again.
                    self._move_on(items[-1].message)
                return items[-1].message.position
            free, broken, behind = self._sort(fresh)
            applied = apply_free(free, self._effects.time_limit(stopping))
            self._effects.require_intact()
            last = free[applied - 1].message if applied < len(free) else items[-1].message
            for item in broken:
                if item.message.position <= last.position:
                    self._refuse(item)
            self._parking.put_behind([message for message in behind if message.position <= last.position])
            self._effects.store_emitted()
            self._move_on(last)
            return last.position

    def _move_on(self, last: StoredMessage) -> None:
        checkpoint = Applied(position=last.position, event_id=message_id(last), log_created=self.log_created)
        lane = self._effects.lane
        store_checkpoint(self._effects.alias, lane.consumer, lane.slots, checkpoint)

    def _sort(self, items: Sequence[Incoming | Broken]) -> tuple[list[Incoming], list[Broken], list[StoredMessage]]:
        """Tell messages apart: to apply, not to be applied by anyone, and behind a parked event of their key."""
        blocked = self._parking.blocked([item.message for item in items])
        free: list[Incoming] = []
        broken: list[Broken] = []
        behind: list[StoredMessage] = []
        for item in items:
            if item.message.position in self.discarded:
                continue
            if blocked and digest(item.message) in blocked:
                behind.append(item.message)
            elif isinstance(item, Broken) or item.message.position in self.deadly:
                problem = item.problem if isinstance(item, Broken) else Problem.of_deaths(DEATHS)
                broken.append(Broken(item.message, problem))
                blocked.add(digest(item.message))
            else:
                free.append(item)
        return free, broken, behind

    def _until_the_culprit(self, messages: Sequence[StoredMessage], error: Exception) -> int:
        """Apply those before the message that cannot be applied, and raise its error with a note of its place."""
        if len(messages) == 1:
            error.add_note(f"In {self._effects.describe(messages[0])}")
            raise error
        for message in messages:
            self.apply([message])
        return messages[-1].position

    def _refuse(self, item: Broken) -> None:
        if not self.parks:
            # No handler has seen it.
            self._effects.applier.handler = ""
            raise item.problem.error
        if self._parking.blocked([item.message]):
            self._parking.put_behind([item.message])
        else:
            self._parking.park(item.message, item.problem)

    def _together(self, items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
        """Apply events in the hope that none fails: no savepoints, and rows that are created are stored together."""
        if len(items) < 2:
            return self._effects.applier.apply(items, enough)
        with unit_of_work(self._effects.alias):
            return self._effects.applier.apply(items, enough)

    def _one_by_one(self, items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
        """Apply events in a savepoint each; park those that fail, and what comes behind them."""
        blocked: set[str] = set()
        for done, item in enumerate(items, 1):
            key = digest(item.message)
            if key in blocked:
                self._parking.put_behind([item.message])
            elif (problem := self._effects.attempt(item)) is not None:
                self._parking.park(item.message, problem)
                blocked.add(key)
            if enough():
                return done
        return len(items)

    def _by_halves(self, items: Sequence[Incoming | Broken], error: Exception, stopping: Callable[[], bool]) -> int:
        """Apply events that failed together in two transactions, and so on until the culprit is alone; park that.

        For databases without savepoints, where nothing inside of a transaction can be undone alone. What is stored is
        stored with its checkpoint, so it does not matter where a process ends.
        """
        if len(items) == 1:
            [item] = items
            self._set_aside(item, self._effects.problem(item, error))
            return item.message.position
        position = 0
        for half in (items[: len(items) // 2], items[len(items) // 2 :]):
            try:
                position = self._apply(half, stopping, self._together)
            except Exception as failure:
                if self._effects.is_external(failure):
                    raise
                position = self._by_halves(half, failure, stopping)
            if position < half[-1].message.position or stopping():
                break
        return position


def _beyond(standing: Mapping[int, int], items: Sequence[Incoming | Broken]) -> Sequence[Incoming | Broken]:
    """Return what is not applied yet, by the positions that the slots stand at."""
    lowest = min(standing.values())
    if lowest == max(standing.values()):
        return items if items[0].message.position > lowest else [i for i in items if i.message.position > lowest]
    return [
        item for item in items if item.message.position > standing.get(split_subject(item.message.subject)[1], lowest)
    ]
