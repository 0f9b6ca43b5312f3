"""Rebuilding: the whole log into fresh tables beside the live ones, which then take over their rows in one step."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from byron.broker.base import Broker, Consumer
from byron.cache.checkpoint import Applied, read_checkpoints, release_slots, take_slots
from byron.cache.migrations import is_pending
from byron.cache.parked import discarded_positions, open_events, open_positions, parked_rows
from byron.cache.roles import Role, acting_as
from byron.cache.workspace import Difference, Workspace, workspace_for
from byron.conf import byron_settings
from byron.events.event import StoredMessage
from byron.events.subjects import SLOTS, rebuild_reader
from byron.exceptions import BrokerError, CacheError, LogMismatchError
from byron.models import Checkpoint, OutboxMessage, ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.sink.batch import BatchApplier
from byron.sink.effects import Effects
from byron.sink.lane import starting_position
from byron.sink.lanes import Lane
from byron.sink.membership import Membership
from byron.sink.parking import deadly_positions
from byron.sink.retries import Retries

log = logging.getLogger("byron.sink")

#: Seconds of one wait for events.
_POLL = 0.3

#: Seconds before a lost broker is looked for again.
_PAUSE = 0.5

#: Where a Cache is that has applied no event.
_NOTHING = Applied(position=0, event_id="")

#: Rows of Byron's own tables that are copied at a time.
_CHUNK = 200


@dataclass(slots=True)
class Replay:
    """How far a rebuild is: events applied, of how many, and the position reached."""

    total: int = 0
    applied: int = 0
    position: int = 0
    phase: str = "replaying"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild came to."""

    applied: int
    position: int
    parked: int
    differences: list[Difference] = field(default_factory=list)


class NewlyParkedError(CacheError):
    """Events that the live Cache has applied could not be applied by the rebuild; nothing was switched."""


class Replayer:
    """Reads a component's events from the log into the tables that its alias means now."""

    def __init__(
        self,
        config: ComponentConfig,
        connect: Callable[[], Broker],
        *,
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
        self._until = until
        self._watch = watch
        take_slots(config.alias, self.lane.consumer, self.lane.slots, "", lambda owner: False)

    def run(self, enough: Callable[[int], bool]) -> None:
        """Apply events until it is enough, by how many are left, or `until` says so of one."""
        self.effects.parking.load()
        while True:
            try:
                with self._open() as consumer:
                    while self._turn(consumer):
                        left = consumer.pending()
                        if (not left or enough(left)) and not self._retry():
                            break
                return
            except LogMismatchError:
                raise
            except BrokerError as error:
                log.warning("waiting component=%s error=%r", self._config.label, str(error))
                time.sleep(_PAUSE)

    def _open(self) -> Consumer:
        broker = self._connect()
        self.batches.log_created = broker.log_info().created
        reader = rebuild_reader(self.lane.consumer)
        after = starting_position(self._config, self.lane, broker, reader=reader)
        events = list(self._config.component.handlers)
        consumer = broker.consumer(reader, events, after, durable=False)
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

    def _retry(self) -> bool:
        """Try again what is due, and return whether something will be tried again later."""
        if not self.effects.parking.keys:
            return False
        for key_digest in self.effects.parking.due():
            self.retries.retry(key_digest)
        rows = open_events(self._config.alias, self.lane.consumer)
        return rows.filter(state=ParkedEvent.State.RETRYING).exists()


def rebuild(
    config: ComponentConfig,
    connect: Callable[[], Broker],
    *,
    resume: bool = False,
    accept_parked: bool = False,
    watch: Callable[[Replay], None] = lambda replay: None,
) -> Rebuilt:
    """Build a component's Cache anew from the log, and switch to it when it has caught up.

    The live Cache is read and written as ever until then; its Sinks pause for the switch, which is one
    transaction. What handlers emit goes out only for events that the live Cache has not applied. Raises
    CacheError, NewlyParkedError and BrokerError; the live Cache is as it was then.
    """
    alias, consumer = config.alias, config.consumer_name
    if is_pending(alias):
        raise CacheError(f"The Cache {alias} has migrations to come; run `manage.py migrate` first.")
    workspace = workspace_for(alias)
    with workspace.opened(resume=resume), acting_as(Role.SINK):
        live = workspace.live
        # Of another log, the live Cache's positions say nothing about this one.
        follows = _is_of_this_log(config, live, connect())
        discarded = discarded_positions(live, consumer) if follows else set()
        replayer = Replayer(config, connect, discarded=discarded, watch=watch)
        if follows:
            # In this order: what is set aside in between is beyond these positions.
            replayer.effects.emitted_until = _positions(live, consumer)
            replayer.effects.unemitted = frozenset(open_positions(live, consumer))
            replayer.batches.deadly = deadly_positions(live, consumer)
        replayer.run(lambda left: left <= byron_settings().sink_batch_size)
        if not accept_parked:
            _refuse_newly_parked(config, live)
        replayer.replay.phase = "switching"
        watch(replayer.replay)
        with _frozen(live, consumer, replayer.lane):
            standing = _positions(live, consumer) if follows else {}
            furthest = max(standing.values(), default=0)
            replayer.run(lambda left: replayer.replay.position >= furthest)
            differences = _switch(config, workspace, standing, follows=follows)
            parked = open_events(live, consumer).count()
        workspace.remove()
    replay = replayer.replay
    return Rebuilt(applied=replay.applied, position=replay.position, parked=parked, differences=differences)


def replay_into(
    config: ComponentConfig,
    connect: Callable[[], Broker],
    *,
    live: str,
    until: Callable[[StoredMessage], bool],
    watch: Callable[[Replay], None] = lambda replay: None,
) -> Rebuilt:
    """Build a component's Cache, as it was before an event, in the empty tables that its alias means now.

    `live` is the alias of the Cache in use. Nothing is emitted. Raises BrokerError.
    """
    with acting_as(Role.SINK):
        discarded = discarded_positions(live, config.consumer_name)
        replayer = Replayer(config, connect, discarded=discarded, until=until, watch=watch)
        replayer.batches.deadly = deadly_positions(live, config.consumer_name)
        replayer.effects.emitted_until = dict.fromkeys(range(SLOTS), 2**63)
        replayer.run(lambda left: False)
        parked = open_events(config.alias, config.consumer_name).count()
    return Rebuilt(applied=replayer.replay.applied, position=replayer.replay.position, parked=parked)


def _is_of_this_log(config: ComponentConfig, live: str, broker: Broker) -> bool:
    try:
        # Not by the live lane's consumer: a Sink may be reading by it.
        reader = rebuild_reader(config.consumer_name)
        starting_position(config, Lane(consumer=config.consumer_name), broker, alias=live, reader=reader)
        return True
    except LogMismatchError:
        return False


def _positions(alias: str, consumer: str) -> dict[int, int]:
    return {slot: applied.position for slot, applied in read_checkpoints(alias, consumer).items()}


def _refuse_newly_parked(config: ComponentConfig, live: str) -> None:
    known = set(open_events(live, config.consumer_name).values_list("position", flat=True))
    rows = open_events(config.alias, config.consumer_name).order_by("position")
    new = [row for row in rows.only("position", "name", "error") if row.position not in known]
    if new:
        reasons = [f"  position {row.position}, {row.name}: {row.error or 'behind one of its key'}" for row in new[:5]]
        first = "\n".join(reasons)
        raise NewlyParkedError(
            f"{len(new)} events that are not parked now could not be applied by the rebuild, so it was not switched "
            f"to. The first of them:\n{first}\nMend the handlers, or switch all the same with --accept-parked."
        )


@contextmanager
def _frozen(live: str, consumer: str, lane: Lane) -> Iterator[None]:
    """Take the live lanes from their Sinks, which get them back afterwards, or when this process has died."""
    membership = Membership(live, f"{consumer}-rebuild")
    membership.beat()
    try:
        take_slots(live, consumer, lane.slots, membership.id, lambda owner: False)
        yield
    finally:
        release_slots(live, consumer, lane.slots, membership.id)
        membership.leave()


def _switch(
    config: ComponentConfig, workspace: Workspace, standing: dict[int, int], *, follows: bool
) -> list[Difference]:
    alias, live, consumer = config.alias, workspace.live, config.consumer_name
    reached = read_checkpoints(alias, consumer)
    parked = list(ParkedEvent.objects.using(alias).filter(consumer=consumer).order_by("id"))
    # What the live Cache has applied, it has emitted, or will from its own outbox; not what it has set aside.
    aside = open_positions(live, consumer)
    emitted = [
        row
        for row in OutboxMessage.objects.using(alias).filter(consumer=consumer).order_by("id")
        if row.cause_position > standing.get(row.slot, 0) or row.cause_position in aside
    ]
    for row in (*parked, *emitted):
        row.pk, row._state.adding = None, True
    tables = [model for model in config.get_models(include_auto_created=True) if model._meta.managed]
    with workspace.switch():
        differences = workspace.replace(tables)
        (open_events if follows else parked_rows)(live, consumer).delete()
        # Some may have been discarded since the rebuild began.
        discarded = discarded_positions(live, consumer)
        ParkedEvent.objects.using(live).bulk_create(
            [row for row in parked if row.position not in discarded], batch_size=_CHUNK
        )
        OutboxMessage.objects.using(live).bulk_create(emitted, batch_size=_CHUNK)
        # A position in another log means nothing in this one, which may have no event for the component yet.
        untouched = {} if follows else dict.fromkeys(range(SLOTS), _NOTHING)
        for slot, applied in {**untouched, **reached}.items():
            _move(live, consumer, slot, applied)
    return differences


def _move(live: str, consumer: str, slot: int, applied: Applied) -> None:
    Checkpoint.objects.using(live).filter(consumer=consumer, slot=slot).update(
        position=applied.position,
        event_id=applied.event_id,
        log_created=applied.log_created,
        trying=None,
        tries=0,
    )
