"""Parking: events that cannot be applied are set aside, and what is behind them of the same key."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from django.db.models import F, QuerySet

from byron.cache.parked import open_events, parked_rows, without_message
from byron.conf import byron_settings
from byron.events.codec import message_id
from byron.events.event import StoredMessage
from byron.events.subjects import split_subject
from byron.models import ParkedEvent
from byron.sink.lanes import Lane

log = logging.getLogger("byron.sink")

_State = ParkedEvent.State

#: How many processes an event may end before it is parked.
DEATHS = 5

#: How many of a key's parked events are tried in one transaction.
_AT_ONCE = 500


class ProcessEndedError(Exception):
    """A handler ended the whole process, again and again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why an event was not applied."""

    error: BaseException
    handler: str = ""
    #: Whether trying again may help. An event that breaks its contract stays as it is.
    passes: bool = True

    @classmethod
    def of_deaths(cls, number: int) -> Problem:
        """Return the problem with an event that ended so many processes."""
        error = ProcessEndedError(f"{number} processes ended while they applied this event")
        return cls(error=error, passes=False)

    @property
    def summary(self) -> str:
        return _storable(f"{type(self.error).__name__}: {self.error}")

    @property
    def traceback(self) -> str:
        return _storable(self._raw_traceback)

    @property
    def printable(self) -> bool:
        """Whether logging the error is safe: any handler of the log can encode it."""
        return self._raw_traceback == self.traceback

    @property
    def _raw_traceback(self) -> str:
        return "".join(traceback.format_exception(self.error))


def digest(message: StoredMessage) -> str:
    """Return the digest of a message's key, by which it is looked for."""
    return blake2b(split_subject(message.subject)[2].encode(), digest_size=16).hexdigest()


def _storable(text: str) -> str:
    # PostgreSQL's text holds no NUL, and no half of a surrogate pair can be encoded at all.
    return text.replace("\x00", "\N{SYMBOL FOR NULL}").encode("utf-8", "backslashreplace").decode()


class Parking:
    """The parked events of one lane. All but `load`, `trying` and `tried` belong inside the lane's transaction."""

    def __init__(self, alias: str, lane: Lane) -> None:
        self._alias = alias
        self._lane = lane
        #: Digests of keys that may have parked events: a superset, since others only ever remove some.
        self.keys: set[str] = set()
        self._told: set[tuple[str, type[BaseException]]] = set()
        #: Ids of rows that this process has begun to try and did not finish with.
        self._begun: set[int] = set()

    def load(self) -> None:
        """Learn which keys have parked events, when a lane begins."""
        self.keys = set(self._open().values_list("key_digest", flat=True).distinct())

    def blocked(self, messages: Iterable[StoredMessage]) -> set[str]:
        """Return the digests of those messages' keys that have parked events."""
        if not self.keys:
            return set()
        suspected = {digest(message) for message in messages} & self.keys
        if not suspected:
            return set()
        found = set(self._open().filter(key_digest__in=suspected).values_list("key_digest", flat=True))
        self.keys -= suspected - found
        return found

    def park(self, message: StoredMessage, problem: Problem) -> None:
        """Set an event aside that could not be applied."""
        row = self._row(message, _State.PARKED)
        _note(row, problem)
        row.save(using=self._alias, force_insert=True)
        self.keys.add(row.key_digest)
        self._log("event parked" if row.state == _State.PARKED else "event set aside", row, problem)

    def put_behind(self, messages: Sequence[StoredMessage]) -> None:
        """Set events aside whose keys have parked events already."""
        if messages:
            rows = [self._row(message, _State.BEHIND) for message in messages]
            ParkedEvent.objects.using(self._alias).bulk_create(rows)
            self.keys.update(row.key_digest for row in rows)

    def due(self) -> list[str]:
        """Return digests of keys whose first event is to be tried again now."""
        rows = self._open().filter(state=_State.RETRYING, next_try__lte=datetime.now(UTC))
        return list(rows.order_by("next_try").values_list("key_digest", flat=True)[:100])

    def begin(self, key_digest: str) -> tuple[list[int], Problem | None]:
        """Write down that a key's first events are about to be tried, in case that ends the process.

        Returns their ids, in order: one that may have ended a process before, or failed again, is to be tried alone.
        One that ended too many is parked; its problem is returned then, and no ids. `trying` is to be told of them as
        soon as this is committed.
        """
        found = without_message(self._open().filter(key_digest=key_digest)).select_for_update()
        rows = list(found.order_by("position")[:_AT_ONCE])
        if not rows:
            return [], None
        # None is open: these ended, though it was not known then that this was committed.
        self._begun.difference_update(row.pk for row in rows if not row.begun)
        if self._deaths(rows[0]) >= DEATHS:
            problem = Problem.of_deaths(self._deaths(rows[0]))
            self.note_failure(rows[0], problem)
            return [], problem
        suspected = next((place for place, row in enumerate(rows) if self._deaths(row)), len(rows))
        if rows[0].tries > 1:
            # It will mostly fail once more. What may be many megabytes behind it is left alone until it passes.
            suspected = 1
        begun = [row.pk for row in rows[: max(suspected, 1)]]
        new = set(begun) - self._begun
        parked_rows(self._alias, self._lane.consumer).filter(pk__in=new).update(begun=F("begun") + 1)
        return begun, None

    def trying(self, ids: Collection[int]) -> None:
        """Learn that it was this process that began to try these events, as the Cache now says."""
        self._begun.update(ids)

    def held(self, ids: Collection[int]) -> Iterator[ParkedEvent]:
        """Give those of these events that are still parked, in order, holding their rows. One is read at a time."""
        found = self._open().filter(pk__in=ids).select_for_update().order_by("position")
        for identity in list(found.values_list("pk", flat=True)):
            yield parked_rows(self._alias, self._lane.consumer).get(pk=identity)

    def survive(self, ids: Collection[int]) -> None:
        """Write down that trying these events did not end the process.

        `tried` is to be told of them as soon as this is committed.
        """
        parked_rows(self._alias, self._lane.consumer).filter(pk__in=ids, begun__gt=0).update(begun=0)

    def tried(self, ids: Collection[int]) -> None:
        """Learn that the Cache counts these events as begun no more."""
        self._begun.difference_update(ids)

    def _deaths(self, row: ParkedEvent) -> int:
        """Return how many other processes began to try an event and did not say how it ended."""
        return row.begun - (row.pk in self._begun)

    def note_failure(self, row: ParkedEvent, problem: Problem) -> None:
        """Write down that a parked event failed again."""
        _note(row, problem)
        row.save(using=self._alias)
        self._log("event parked" if row.state == _State.PARKED else "event failed again", row, problem)

    def remove(self, key_digest: str, ids: Collection[int]) -> None:
        """Forget events of a key that were applied; the first of those behind them is due then."""
        if not ids:
            return
        parked_rows(self._alias, self._lane.consumer).filter(pk__in=ids).delete()
        make_due(self._alias, self._lane.consumer, key_digest)

    def _log(self, what: str, row: ParkedEvent, problem: Problem) -> None:
        kind = (row.handler, type(problem.error))
        log.error(
            "%s component=%s position=%d event=%s handler=%s tries=%d error=%r",
            what,
            self._lane.consumer,
            row.position,
            row.name,
            row.handler or "-",
            row.tries,
            row.error,
            # A mistake in a handler meets many events; its traceback once is enough. (Not every text can be printed.)
            exc_info=problem.error if problem.handler and kind not in self._told and problem.printable else None,
        )
        self._told.add(kind)

    def _open(self) -> QuerySet[ParkedEvent]:
        return open_events(self._alias, self._lane.consumer).filter(slot__in=self._lane.slots)

    def _row(self, message: StoredMessage, state: ParkedEvent.State) -> ParkedEvent:
        _, slot, key, name = split_subject(message.subject)
        return ParkedEvent(
            consumer=self._lane.consumer,
            slot=slot,
            position=message.position,
            event_id=message_id(message),
            name=_storable(name),
            key=_storable(key),
            key_digest=digest(message),
            state=state,
            subject=_storable(message.subject),
            headers=json.dumps(dict(message.headers)),
            body=message.body,
        )


def deadly_positions(alias: str, consumer: str) -> frozenset[int]:
    """Return the positions of the events that are parked since they ended processes."""
    found = open_events(alias, consumer).filter(error__startswith=f"{ProcessEndedError.__name__}: ")
    return frozenset(found.values_list("position", flat=True))


def make_due(alias: str, consumer: str, key_digest: str) -> None:
    """Have the first of a key's parked events tried now, if it waited for one that is gone."""
    first = without_message(open_events(alias, consumer).filter(key_digest=key_digest)).order_by("position").first()
    if first is not None and first.state == _State.BEHIND:
        first.state, first.next_try = _State.RETRYING, datetime.now(UTC)
        first.save(using=alias)


def stored_message(row: ParkedEvent) -> StoredMessage:
    """Return the message that a parked event came as."""
    return StoredMessage(
        subject=row.subject, headers=json.loads(row.headers), body=bytes(row.body), position=row.position
    )


def _note(row: ParkedEvent, problem: Problem) -> None:
    settings = byron_settings()
    row.tries += 1
    row.begun = 0
    row.handler, row.error, row.traceback = problem.handler, problem.summary, problem.traceback
    if problem.passes and row.tries < settings.sink_tries:
        pause = min(settings.sink_retry_delay * 2 ** min(row.tries - 1, 16), settings.sink_retry_limit)
        row.state, row.next_try = _State.RETRYING, datetime.now(UTC) + timedelta(seconds=pause)
    else:
        row.state, row.next_try = _State.PARKED, None
