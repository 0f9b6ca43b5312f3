"""Rebuilding: the whole log into fresh tables beside the live ones, which then take over their rows in one step."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial

from django.db import DatabaseError, connections

from byron.broker.base import Broker
from byron.cache.checkpoint import Applied, lock_checkpoints, read_checkpoints, release_slots, take_slots
from byron.cache.migrations import is_pending
from byron.cache.parked import discarded_positions, open_events, open_positions, parked_rows
from byron.cache.roles import Role, acting_as
from byron.cache.workspace import Difference, Workspace, workspace_for
from byron.conf import byron_settings
from byron.events.event import StoredMessage
from byron.events.subjects import SLOTS, rebuild_reader
from byron.exceptions import BrokerPermissionError, CacheError, LaneLostError, LogMismatchError
from byron.models import Checkpoint, OutboxMessage, ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.sink.lane import starting_position
from byron.sink.lanes import Lane
from byron.sink.membership import Membership
from byron.sink.parking import deadly_positions, make_due
from byron.sink.replay import Replay, Replayer

log = logging.getLogger("byron.sink")

#: Seconds between two signs of life. Sinks take the lanes of a rebuild that gives none.
_BEAT = 1.0

#: Where a Cache is that has applied no event.
_NOTHING = Applied(position=0, event_id="")

#: Rows of Byron's own tables that are copied at a time.
_CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What a rebuild came to."""

    applied: int
    position: int
    parked: int
    differences: list[Difference] = field(default_factory=list)


class NewlyParkedError(CacheError):
    """Events that the live Cache has applied could not be applied by the rebuild; nothing was switched."""


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
    with workspace.opened(resume=resume), acting_as(Role.SINK), _present(workspace.live, consumer) as membership:
        live = workspace.live
        reader = _reader(config, connect(), membership)
        # Of another log, the live Cache's positions say nothing about this one.
        follows = _is_of_this_log(config, live, connect(), reader)
        replayer = Replayer(config, connect, reader=reader, watch=watch)
        if follows:
            # In this order: what is set aside in between is beyond these positions.
            replayer.effects.emitted_until = _positions(live, consumer)
            replayer.effects.unemitted = frozenset(open_positions(live, consumer))
            replayer.batches.deadly = deadly_positions(live, consumer)
            replayer.discard(discarded_positions(live, consumer))
        replayer.run(lambda left: left <= byron_settings().sink_batch_size)
        if follows:
            # Some may have been discarded since the rebuild began.
            replayer.discard(discarded_positions(live, consumer))
        if not accept_parked:
            _refuse_newly_parked(config, live, follows=follows)
        replayer.replay.phase = "switching"
        watch(replayer.replay)
        with _frozen(live, consumer, replayer.lane, membership):
            standing = _positions(live, consumer) if follows else {}
            furthest = max(standing.values(), default=0)
            if follows:
                replayer.discard(discarded_positions(live, consumer))
            replayer.run(lambda left: replayer.replay.position >= furthest)
            if not accept_parked:
                # The last events may be the ones that fail.
                _refuse_newly_parked(config, live, follows=follows)
            differences = _switch(config, workspace, standing, membership.id, follows=follows)
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

    `live` is the alias of the Cache in use. Nothing is emitted. Raises BrokerError, and CacheError when another
    rebuild of the component reads by the only reader that there may be.
    """
    with acting_as(Role.SINK), _present(live, config.consumer_name) as membership:
        reader = _reader(config, connect(), membership)
        discarded = discarded_positions(live, config.consumer_name)
        replayer = Replayer(config, connect, reader=reader, discarded=discarded, until=until, watch=watch)
        replayer.batches.deadly = deadly_positions(live, config.consumer_name)
        replayer.effects.emitted_until = dict.fromkeys(range(SLOTS), 2**63)
        replayer.run(lambda left: False)
        parked = open_events(config.alias, config.consumer_name).count()
    return Rebuilt(applied=replayer.replay.applied, position=replayer.replay.position, parked=parked)


@contextmanager
def _present(live: str, consumer: str) -> Iterator[Membership]:
    """Be seen in the live Cache as a rebuild that lives, whatever else this thread is busy with."""
    membership = Membership(live, rebuild_reader(consumer))
    membership.beat()
    ended = threading.Event()
    # The role is this context's.
    give_signs = partial(copy_context().run, _give_signs_of_life, live, membership, ended)
    thread = threading.Thread(target=give_signs, name=f"alive-{rebuild_reader(consumer)}", daemon=True)
    thread.start()
    try:
        yield membership
    finally:
        ended.set()
        # A sign of life after the last word would be taken for one.
        thread.join()
        try:
            membership.leave()
        except DatabaseError as error:
            log.warning("still listed as alive for seconds rebuild=%s error=%r", consumer, str(error))


def _give_signs_of_life(live: str, membership: Membership, ended: threading.Event) -> None:
    try:
        while not ended.wait(_BEAT):
            try:
                membership.beat()
            except DatabaseError as error:
                # SQLite's only writer may be the switch. That the lanes are still this rebuild's is for that to see to.
                log.debug("no sign of life rebuild=%s error=%r", membership.id, str(error))
                connections[live].close()
    finally:
        # This thread's own.
        connections[live].close()


def _reader(config: ComponentConfig, broker: Broker, membership: Membership) -> str:
    """Return the name to read the log by: one of this rebuild's own, unless the broker allows only the one prepared.

    Raises CacheError when another rebuild may be reading by that.
    """
    prepared = rebuild_reader(config.consumer_name)
    own = f"{prepared}-{membership.id}"
    try:
        broker.consumer(own, list(config.component.handlers), 0, durable=False).close()
        return own
    except BrokerPermissionError:
        others = [member.place for member in membership.members() if member.id != membership.id]
    if others:
        raise CacheError(
            f"Another rebuild of {config.label} is at work ({', '.join(others)}), and the broker's permissions allow "
            f"only one at a time, by the consumer {prepared}. Try again when it has ended."
        )
    return prepared


def _is_of_this_log(config: ComponentConfig, live: str, broker: Broker, reader: str) -> bool:
    try:
        # Not by the live lane's consumer: a Sink may be reading by it.
        starting_position(config, Lane(consumer=config.consumer_name), broker, alias=live, reader=reader)
        return True
    except LogMismatchError:
        return False


def _positions(alias: str, consumer: str) -> dict[int, int]:
    return {slot: applied.position for slot, applied in read_checkpoints(alias, consumer).items()}


def _refuse_newly_parked(config: ComponentConfig, live: str, *, follows: bool) -> None:
    # Those that were discarded meanwhile are left out by the switch.
    found = parked_rows(live, config.consumer_name).values_list("position", flat=True) if follows else ()
    known = set(found)
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
def _frozen(live: str, consumer: str, lane: Lane, membership: Membership) -> Iterator[None]:
    """Take the live lanes from their Sinks, which get them back afterwards, or when this process has died."""
    try:
        take_slots(live, consumer, lane.slots, membership.id, lambda owner: False)
        yield
    finally:
        try:
            release_slots(live, consumer, lane.slots, membership.id)
        except DatabaseError as error:
            # The Sinks will find out by the missing signs of life.
            log.warning("lanes not released component=%s error=%r", consumer, str(error))


def _switch(
    config: ComponentConfig, workspace: Workspace, standing: dict[int, int], owner: str, *, follows: bool
) -> list[Difference]:
    """Make the live Cache's content the rebuilt one. Raises CacheError when the lanes are this rebuild's no more."""
    try:
        with workspace.switch():
            # A Sink that took this rebuild for dead has gone on from where the live Cache was.
            lock_checkpoints(workspace.live, config.consumer_name, range(SLOTS), owner)
            return _replace(config, workspace, standing, follows=follows)
    except LaneLostError as error:
        raise CacheError(
            f"A Sink took this rebuild of {config.label} for dead and its lanes back; nothing was switched. "
            "Go on with --resume."
        ) from error


def _replace(
    config: ComponentConfig, workspace: Workspace, standing: dict[int, int], *, follows: bool
) -> list[Difference]:
    """Write what differs to the live tables, in the switch's transaction."""
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
    differences = workspace.replace(tables)
    (open_events if follows else parked_rows)(live, consumer).delete()
    # Some may have been discarded in the last moment.
    discarded = discarded_positions(live, consumer)
    kept = [row for row in parked if row.position not in discarded]
    ParkedEvent.objects.using(live).bulk_create(kept, batch_size=_CHUNK)
    for key_digest in {row.key_digest for row in parked if row.position in discarded}:
        make_due(live, consumer, key_digest)
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
