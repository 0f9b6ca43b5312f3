"""Idempotency keys: a mutation that is sent again under its key takes effect once, and answers the same.

What is known of a key is a record at the broker, one claim in the bucket beside the log (`records.py`). Each step of
it replaces the record that was read and no other, so one of any number of processes takes it.

*begun*: a process runs the command. *decided*: the command has returned; what it is about to publish, and what it
returned, is in the record, confirmed by the broker, before anything is published. *done*: the answer is there.

What is in the log counts. Suppose a process dies or hangs at any point, and the key is sent again:

1. Before *decided*, nothing was published. Another process takes the record over, and the first one, if it wakes up,
   fails to get to *decided*: it publishes nothing, and answers what the record comes to.
2. From *decided* on, the log tells. When it has the events, the answer is made again, from what the record says.
3. When it has not, and the time in which they may be published is over, the key is taken over and the command is run
   again. What the earlier run decided stays in the record. The first event of every run has the same id, which is in
   the record from the start, and events of one run are stored together or not at all. So if the first process
   publishes after all, the log takes the events of one of the two (within its window for duplicates, ten minutes; the
   process itself publishes nothing after a few seconds). The other finds that the log's first event is not its own, by
   time, correlation and content, and answers for the run that was first, from the decision in the record.

A mutation that is refused, and so changed nothing, removes its record. One that took the key over from a decided run
restores that instead: it is not for it to say that the earlier run has changed nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, sleep
from typing import Any

from msgspec.structs import replace

from byron.broker.base import Acknowledgement, Broker, Claim
from byron.broker.connection import broker_for
from byron.broker.patience import answers_within
from byron.commands.bulkhead import BULKHEAD, WAITS
from byron.commands.records import Announced, Decision, Record, announced, events_of, kept_body, mark_of
from byron.conf import byron_settings
from byron.events.event import Event, Message
from byron.events.ids import new_id
from byron.exceptions import BrokerError, CommandError, OutcomeUnknownError, PartlyKnownError, SupersededError
from byron.schema.installed import ComponentConfig

log = logging.getLogger("byron.commands")

#: The code of an operation whose time was up when its events were published.
ANSWER_TOO_LATE = "ANSWER_TOO_LATE"

IN_USE, REUSED = "IDEMPOTENCY_KEY_IN_USE", "IDEMPOTENCY_KEY_REUSED"

_AT_WORK = "A request with this Idempotency-Key is still being answered, or was cut off. Try again."

#: Seconds between two looks at a record that another process works on: the first pause, and the longest.
_PAUSE, _LONGEST_PAUSE = 0.02, 0.25

#: Seconds that are added to what a request may take, before it is taken for dead.
_MARGIN = 2.0

#: Seconds that a command is given where it has no limit of its own.
_UNLIMITED = 300.0

#: Seconds that a refused mutation waits for its record to be removed.
_RELEASE_TIMEOUT = 1.0


class Attempt:
    """One request's part in the mutation of a key. Used by one thread."""

    def __init__(
        self, config: ComponentConfig, broker: Broker, claim: Claim, record: Record, known: Decision | None = None
    ) -> None:
        self._config = config
        self._broker = broker
        self._claim = claim
        self._record = record
        #: What earlier runs have decided, before this one.
        self._earlier = record.decisions
        self._decided: float | None = None
        self._may_be_out = False
        self._settled: Decision | None = None
        #: What an earlier run has published: the command must not be run.
        self.known = known
        #: Whether another process has taken over, or was first.
        self.is_lost = False

    @property
    def first_id(self) -> str:
        """The id of the first event that the mutation emits."""
        return self._record.first

    @property
    def events(self) -> list[Event]:
        """What an earlier run has emitted, without payloads."""
        component = self._config.component
        return events_of(component.namespace, component.name, self.known.events if self.known is not None else ())

    @property
    def body(self) -> dict[str, Any] | None:
        """The answer that an earlier run has given, if it is known as it was."""
        body: dict[str, Any] | None = json.loads(self._record.body) if self._record.body is not None else None
        return body

    def decide(self, decision: Decision) -> None:
        """Have the broker keep what is about to be published.

        Raises SupersededError when another process has taken over; CommandError when it is too much to be kept;
        BrokerUnavailableError.
        """
        record = replace(self._record, state="decided", decisions=(*self._earlier, decision))
        self._decided = monotonic()
        claim = self._broker.claim(
            self._claim.name,
            self._claim.holder,
            byron_settings().idempotency_seconds,
            byron_settings().publish_timeout,
            over=self._claim,
            note=record.text(),
        )
        if not claim.is_own:
            raise self._superseded()
        self._claim, self._record = claim, record

    def time_to_publish(self, wanted: float) -> float:
        """Return how long the publishing, which is to begin now, may take; at most as long as wanted.

        Raises SupersededError when others may take this process for dead already.
        """
        left = (self._decided or 0.0) + _time_to_publish() - monotonic()
        if left <= 0:
            raise self._superseded()
        self._may_be_out = True
        return min(wanted, left)

    def require_own(self, message: Message, held: Acknowledgement) -> None:
        """Make sure that the log has this run's first event. Raises SupersededError and OutcomeUnknownError."""
        if not held.duplicate:
            return
        try:
            stored = self._broker.get(held.position)
        except BrokerError as error:
            raise OutcomeUnknownError(f"The log cannot be read to tell whose event it has: {error}") from error
        if stored is None:
            raise OutcomeUnknownError(f"The log cannot tell yet what it has at {held.position}.")
        if mark_of(stored) != mark_of(message):
            raise self._superseded()

    def withdraw(self, error: Exception) -> None:
        """Take note that nothing was published, and never will be, by this run."""
        self._may_be_out = False
        # A refusal is this run's own, for a version that is not the last one any more.
        self.is_lost = self.is_lost or isinstance(error, SupersededError | PartlyKnownError)

    def settle(self, events: Sequence[Event]) -> None:
        """Take note of the places of what was published."""
        [*_, decision] = self._record.decisions
        places = zip(events, decision.events, strict=True)
        self._settled = replace(decision, events=tuple(announced(event, kept.subject) for event, kept in places))

    def finish(self, body: Mapping[str, Any]) -> None:
        """Keep the answer for the next time; or free the key, when nothing was changed."""
        try:
            if self._settled is not None and _is_too_late(body):
                # The record tells that it was decided, and the log that it took effect: the next time it is answered.
                return
            if self._settled is not None:
                self._broker.note(self._claim, self._done(self._settled, body).text())
            elif self.known is not None:
                # An answer that went wrong on the way is made anew the next time.
                if self._record.state != "done" and "errors" not in body:
                    self._replace(self._done(self.known, body))
            elif self._may_be_out:
                log.warning("component=%s idempotency key without an outcome yet", self._config.label)
            elif self._earlier:
                self._replace(replace(self._record, state="decided", decisions=self._earlier))
            else:
                self._broker.release(self._claim, _RELEASE_TIMEOUT if self._broker.is_connected() else 0.0)
        except (BrokerError, CommandError) as error:
            # What the record says already is enough to find out.
            log.warning("component=%s idempotency record stands error=%r", self._config.label, str(error))

    def _done(self, decision: Decision, body: Mapping[str, Any]) -> Record:
        kept = kept_body(body)
        if kept is not None:
            decision = replace(decision, value=None)
        return replace(self._record, state="done", decisions=(decision,), body=kept)

    def _replace(self, record: Record) -> None:
        settings = byron_settings()
        self._broker.claim(
            self._claim.name,
            self._claim.holder,
            settings.idempotency_seconds,
            settings.publish_timeout,
            over=self._claim,
            note=record.text(),
        )

    def require_not_lost(self) -> None:
        """Raise SupersededError when another process has taken over, or was first."""
        if self.is_lost:
            raise self._superseded()

    def _superseded(self) -> SupersededError:
        self.is_lost = True
        return SupersededError("Another process has taken over the mutation of this Idempotency-Key.")


class IdempotencyKeys:
    """One component's idempotency keys."""

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config

    def begin(self, key: str, user: Any, asked: str) -> Attempt:
        """Return what a request under a key is to do: run its command, or answer as an earlier run did.

        `asked` tells one request from another. While another process is at it, waits for it, for some time. Raises
        CommandError with code IDEMPOTENCY_KEY_IN_USE when that takes longer or too many wait, and with
        IDEMPOTENCY_KEY_REUSED when something else was asked under the key; BrokerUnavailableError.
        """
        settings = byron_settings()
        broker = broker_for(self._config.component.namespace)
        name = record_name(self._config.component.name, user, key)

        def claim(record: Record, over: Claim | None = None) -> Claim:
            return broker.claim(
                name, asked, settings.idempotency_seconds, settings.publish_timeout, over=over, note=record.text()
            )

        fresh = Record(state="begun", first=new_id())
        with BULKHEAD.broker_wait():
            standing = claim(fresh)
            if standing.is_own:
                return Attempt(self._config, broker, standing, fresh)
            attempt = self._answered(broker, standing, asked)
        if attempt is not None:
            return attempt
        # The run that is waited for needs the broker as well: it must not find its own waiters in all of the places.
        with WAITS.place() as admitted:
            if not admitted:
                raise CommandError(_AT_WORK, code=IN_USE)
            return self._wait(broker, claim, fresh, standing, asked)

    def _wait(self, broker: Broker, claim: Callable[..., Claim], fresh: Record, standing: Claim, asked: str) -> Attempt:
        """Wait until nobody else is at work on a key, for some time, and return what is left to do."""
        deadline, pause = monotonic() + byron_settings().publish_timeout, _PAUSE
        number, since = 0, 0.0
        while not standing.is_own:
            attempt = self._answered(broker, standing, asked)
            if attempt is not None:
                return attempt
            record = Record.read(standing.note)
            if standing.number != number:
                with answers_within(byron_settings().publish_timeout):
                    number, since = standing.number, monotonic() - broker.claim_age(standing)
            if monotonic() - since > _life(record):
                log.warning("component=%s takes over an idempotency key state=%s", self._config.label, record.state)
                taken = Record(state="begun", first=record.first, decisions=record.decisions)
                standing = claim(taken, standing)
                if standing.is_own:
                    return Attempt(self._config, broker, standing, taken)
                continue
            if monotonic() >= deadline:
                raise CommandError(_AT_WORK, code=IN_USE)
            sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            standing = claim(fresh)
        return Attempt(self._config, broker, standing, fresh)

    def _answered(self, broker: Broker, standing: Claim, asked: str) -> Attempt | None:
        """Return what to do when an earlier run has published, else None. Raises CommandError with code REUSED."""
        if standing.holder != asked:
            raise CommandError("This Idempotency-Key was sent with another request before.", code=REUSED)
        record = Record.read(standing.note)
        known = record.decisions[0] if record.state == "done" else self._published(broker, record)
        return Attempt(self._config, broker, standing, record, known) if known is not None else None

    @staticmethod
    def _published(broker: Broker, record: Record) -> Decision | None:
        """Return the decision whose events the log has, with their places."""
        for decision in record.decisions:
            places = _places(broker, decision.events[:1], decision.after)
            with answers_within(byron_settings().publish_timeout):
                stored = broker.get(places[0]) if places and places[0] is not None else None
            if decision.events and (stored is None or mark_of(stored) != decision.mark):
                continue
            places += _places(broker, decision.events[1:], decision.after)
            # A replica may not have all of them yet.
            known = [replace(each, position=at) for each, at in zip(decision.events, places, strict=True) if at]
            if len(known) == len(decision.events):
                return replace(decision, events=tuple(known))
        return None


def _places(broker: Broker, events: Sequence[Announced], after: int) -> list[int | None]:
    """Return where in the log events are, beyond a position; None for those that are not."""
    found = []
    for each in events:
        # The time is for each of them: for all of many events together it might never do.
        with answers_within(byron_settings().publish_timeout):
            found.append(broker.find(each.subject, each.id, after))
    return found


def record_name(component: str, user: Any, key: str) -> str:
    """Return the name of a key's record: each user has their own keys at each component."""
    identity = getattr(user, "id", None)
    text = json.dumps([component, None if identity is None else str(identity), key])
    return f"key-{hashlib.sha256(text.encode()).hexdigest()}"


def _time_to_publish() -> float:
    """Return for how many seconds from deciding on a process may begin to publish, and go on with it."""
    return 2 * byron_settings().publish_timeout


def _life(record: Record) -> float:
    """Return after how many seconds the process that works on a record cannot be alive."""
    if record.state == "decided":
        return _time_to_publish() + _MARGIN
    settings = byron_settings()
    return (settings.api_command_timeout or _UNLIMITED) + settings.publish_timeout + _MARGIN


def _is_too_late(body: Mapping[str, Any]) -> bool:
    codes = (error.get("extensions", {}).get("code") for error in body.get("errors", ()))
    return ANSWER_TOO_LATE in codes
