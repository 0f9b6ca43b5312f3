"""The Sink of a component in this process: its part of the lanes, each on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial

from django.db import DatabaseError, connections

from byron.broker.base import Broker
from byron.cache.connections import hurry
from byron.cache.trouble import is_trouble, remedy_for
from byron.schema.installed import ComponentConfig
from byron.sink.lane import LaneWorker, Progress
from byron.sink.lanes import Lane, lane_count, lanes_of
from byron.sink.membership import Membership

log = logging.getLogger("byron.sink")

#: Seconds between two signs of life, and looks at who else is there.
_BEAT = 1.0


class Sink:
    """Apply a namespace's events to one component's Cache, each once and in order within its key.

    An event's effect and the checkpoint are one transaction, so a crash at any point leaves both or
    neither; what comes again is skipped by its position. Several processes share a component's lanes.
    """

    def __init__(self, config: ComponentConfig, connect: Callable[[], Broker]) -> None:
        """Prepare to consume; `connect` gives the broker, and is asked again whenever it went away."""
        self.config = config
        self.progress = Progress()
        #: When the loop of `run` last turned, by the monotonic clock. It turns while broker or database are away, too.
        self.turned = time.monotonic()
        self._connect = connect
        self._stop = threading.Event()
        self._membership = Membership(config.alias, config.consumer_name)
        self._idle = False
        self._running: dict[Lane, tuple[LaneWorker, threading.Thread]] = {}

    @property
    def applied(self) -> int:
        """Events applied or set aside since this object was made."""
        return self.progress.applied

    def stop(self) -> None:
        """Ask a running Sink to finish the events at hand and return. Safe from any thread."""
        self._stop.set()
        # Not only by the thread that tends them: that may be waiting for a database which they keep busy.
        for worker, _ in list(self._running.values()):
            worker.stop()

    def run(self) -> None:
        """Apply events until `stop` is called; wait while the broker or the database is away."""
        if not self.config.component.handlers:
            log.info("idle component=%s reason='schema.yaml declares no handlers'", self.config.label)
            while not self._stop.wait(_BEAT):
                self.turned = time.monotonic()
            return
        try:
            while not self._stop.is_set():
                self._tend()
                self.turned = time.monotonic()
                self._stop.wait(_BEAT)
        finally:
            self._end()

    def _tend(self) -> None:
        """Say that this process lives, and apply the lanes that fall to it."""
        try:
            self._membership.lanes = lane_count(self.config.alias)
            members = self._membership.beat()
            mine = self._membership.share(members)
            self._assign(mine)
        except Exception as error:
            if not is_trouble(error, self.config.alias):
                raise
            # Lanes at work tell of the same trouble.
            level = logging.DEBUG if self._running else logging.WARNING
            remedy = remedy_for(self.config.alias)
            log.log(level, "waiting component=%s error=%r%s", self.config.label, str(error), remedy)
            connections[self.config.alias].close()
            return
        if not mine and not self._idle:
            others = ", ".join(member.place for member in members if member.id != self._membership.id)
            log.info("standby component=%s reason='other Sinks apply all lanes: %s'", self.config.label, others)
        self._idle = not mine

    def _assign(self, lanes: Sequence[Lane]) -> None:
        """Have these lanes at work and no others, which end after the event at hand; until then their slots are theirs.

        For as long as others end it is to be called again.
        """
        for lane, (worker, thread) in list(self._running.items()):
            if lane not in lanes:
                worker.stop()
            if not thread.is_alive():
                del self._running[lane]
        ending = {slot for lane in self._running if lane not in lanes for slot in lane.slots}
        for lane in lanes:
            if lane not in self._running and ending.isdisjoint(lane.slots):
                worker = self._worker(lane)
                # The role may be this context's, as in tests.
                run = partial(copy_context().run, worker.run)
                thread = threading.Thread(target=run, name=f"sink-{lane.name}")
                self._running[lane] = (worker, thread)
                thread.start()

    def _end(self) -> None:
        self._try_quietly(lambda: hurry(self.config.alias))
        while self._running:
            self._assign([])
            for _, thread in self._running.values():
                thread.join(_BEAT)
            self.turned = time.monotonic()
            self._try_quietly(self._membership.beat)
        self._try_quietly(self._membership.leave)
        connections[self.config.alias].close()

    def _try_quietly(self, action: Callable[[], object]) -> None:
        try:
            action()
        except DatabaseError as error:
            # The others will find out by the missing signs of life.
            log.debug("no sign of life component=%s error=%r", self.config.label, str(error))

    def settle(self) -> int:
        """Apply all that is in the log, and what handlers emit meanwhile, until nothing is left. For tests.

        Returns how many events that was. Raises what a handler raises.
        """
        before = self.applied
        lanes = lanes_of(self.config) if self.config.component.handlers else ()
        # What one lane's handlers emit may be for a lane that had its turn; a single one sees to its own.
        while sum(self._settle_lane(lane) for lane in lanes) and len(lanes) > 1:
            pass
        return self.applied - before

    def _settle_lane(self, lane: Lane) -> int:
        """Apply what the log has for a lane; return how many events were fetched."""
        worker = self._worker(lane)
        worker.batches.parks = False
        worker.take()
        fetched = 0
        try:
            broker, consumer = worker.open()
            with consumer:
                while count := worker.turn(broker, consumer, 0):
                    fetched += count
        finally:
            worker.release()
        return fetched

    def _worker(self, lane: Lane) -> LaneWorker:
        return LaneWorker(self.config, lane, self._membership, self._connect, self.progress)
