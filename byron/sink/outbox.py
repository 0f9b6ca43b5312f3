"""The outbox: what handlers emit is stored with their effect and published from there, once."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import QuerySet

from byron.broker.base import Broker
from byron.conf import byron_settings
from byron.events.event import Message, StoredMessage
from byron.events.subjects import split_subject
from byron.exceptions import BrokerError, BrokerUnavailableError, OutcomeUnknownError
from byron.models import OutboxMessage
from byron.sink.lanes import Lane

log = logging.getLogger("byron.sink")

#: Messages published as one atomic batch, at most.
_BATCH = 200

#: Bytes of one atomic batch, unless one message has more: a part of BYRON_PUBLISH_TIMEOUT has to do for it.
_BATCH_BYTES = 2_000_000

#: Rows read from the Cache at a time: what may be in memory beyond a batch.
_READ = 10

#: Seconds between two looks for what others stored: `manage.py parked retry`, or a rebuild.
_LOOK_INTERVAL = 2.0

#: Seconds for which the broker surely remembers a message's id: half the log's duplicate window. For a cause older than
#: that the log itself is asked, since the message may have been published back then, also for a Cache that was lost.
_REMEMBERED = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """A message that a handler emitted, and the one that it did so for."""

    cause: StoredMessage
    message: Message


class Outbox:
    """The messages that one lane's handlers emitted and that the log does not hold yet."""

    def __init__(self, alias: str, lane: Lane) -> None:
        self._alias = alias
        self._lane = lane
        self._waiting = False
        # At first there may be what a crash left.
        self._again = 0.0
        #: Messages of the next batch, at most: fewer for a while when the broker did not answer.
        self._most = _BATCH

    def store(self, emissions: Sequence[Emission]) -> None:
        """Store messages, inside the transaction of the effects they go with."""
        if emissions:
            rows = [_row(self._lane.consumer, emission) for emission in emissions]
            OutboxMessage.objects.using(self._alias).bulk_create(rows, batch_size=500)
            self._waiting = True

    def relay(self, broker: Broker, stopping: Callable[[], bool] = lambda: False) -> int:
        """Publish what is stored, in order, and return how many messages that was.

        Raises BrokerUnavailableError and OutcomeUnknownError; what is not surely in the log stays. What
        the broker refuses stays too, to be tried again later, and so do later messages of its key. Once `stopping`
        says so, the rest stays where it is, for the next process.
        """
        if not self._waiting and time.monotonic() < self._again:
            return 0
        self._waiting, self._again = True, time.monotonic() + _LOOK_INTERVAL
        published, refused = 0, set[tuple[int, str]]()
        last = 0
        while page := self._page(last):
            last = page[-1].id
            free = [row for row in page if _key(row) not in refused]
            known = self._in_log(broker, free, stopping)
            if known is None:
                return published
            done = [row for row in free if row.message_id in known]
            done += self._publish(broker, [row for row in free if row.message_id not in known], refused)
            OutboxMessage.objects.using(self._alias).filter(id__in=[row.id for row in done]).delete()
            published += len(done)
            if stopping():
                return published
        self._waiting = False
        if refused:
            self._again = time.monotonic() + byron_settings().sink_retry_limit
        return published

    def look(self) -> None:
        """Have the next `relay` look for what others stored."""
        self._again = 0.0

    def _page(self, after: int) -> list[OutboxMessage]:
        """Return the next rows in order, as many as one batch may have."""
        page: list[OutboxMessage] = []
        size = 0
        # Which those are is asked first, lest a database sorts all that waits with its bodies.
        ids = list(self._rows().filter(id__gt=after).order_by("id").values_list("id", flat=True)[: self._most])
        rows = OutboxMessage.objects.using(self._alias).filter(id__in=ids).order_by("id")
        for row in rows.iterator(chunk_size=_READ):
            size += len(row.body) + len(row.headers)
            if page and size > _BATCH_BYTES:
                break
            page.append(row)
        return page

    def _in_log(self, broker: Broker, rows: Sequence[OutboxMessage], stopping: Callable[[], bool]) -> set[str] | None:
        """Return the ids of those messages that the log has though the broker forgot them; None when stopping."""
        until = time.time() - _REMEMBERED
        sought: dict[str, list[OutboxMessage]] = {}
        for row in rows:
            if row.cause_time.timestamp() <= until:
                sought.setdefault(row.subject, []).append(row)
        known: set[str] = set()
        for subject, its in sought.items():
            if stopping():
                return None
            after = min(row.cause_position for row in its)
            # Of what was logged later the broker knows the ids by itself.
            ids = {row.message_id for row in its}
            known |= broker.find_all(subject, ids, after, reader=self._lane.name, until=until)
        return known

    def _publish(
        self, broker: Broker, rows: Sequence[OutboxMessage], refused: set[tuple[int, str]]
    ) -> list[OutboxMessage]:
        """Publish rows and return those that the log holds then, adding the keys of the others to `refused`."""
        try:
            broker.publish([_message(row) for row in rows], byron_settings().publish_timeout)
            self._most = min(2 * self._most, _BATCH)
            return list(rows)
        except OutcomeUnknownError:
            # Perhaps it was too much for the time or for the connection; what did arrive is not stored again.
            self._most = max(len(rows) // 2, 1)
            raise
        except BrokerUnavailableError:
            raise
        except BrokerError as error:
            if len(rows) == 1:
                log.error(
                    "emitted event refused component=%s subject=%s id=%s error=%s; it will be tried again",
                    self._lane.consumer,
                    rows[0].subject,
                    rows[0].message_id,
                    error,
                )
                refused.add(_key(rows[0]))
                return []
        done = []
        for row in rows:
            # One of them is to blame; the others need not wait for it.
            if _key(row) not in refused:
                done += self._publish(broker, [row], refused)
        return done

    def _rows(self) -> QuerySet[OutboxMessage]:
        return OutboxMessage.objects.using(self._alias).filter(consumer=self._lane.consumer, slot__in=self._lane.slots)


def _row(consumer: str, emission: Emission) -> OutboxMessage:
    return OutboxMessage(
        consumer=consumer,
        slot=split_subject(emission.cause.subject)[1],
        cause_position=emission.cause.position,
        cause_time=datetime.fromtimestamp(emission.cause.logged, UTC),
        message_id=emission.message.id,
        subject=emission.message.subject,
        headers=json.dumps(dict(emission.message.headers)),
        body=emission.message.body,
    )


def _message(row: OutboxMessage) -> Message:
    return Message(subject=row.subject, headers=json.loads(row.headers), body=bytes(row.body))


def _key(row: OutboxMessage) -> tuple[int, str]:
    return split_subject(row.subject)[1:3]
