"""A rehearsal: Sink processes, simulated one after the other, apply a log by a fault schedule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from django.test import override_settings

from byron.broker.base import Broker
from byron.cache.parked import open_events
from byron.cache.roles import Role, acting_as
from byron.events.event import Message
from byron.events.payloads import PayloadCodec
from byron.events.subjects import decode_key, split_subject
from byron.exceptions import LaneLostError
from byron.schema.installed import ComponentConfig
from byron.sink.lane import LaneWorker, Progress
from byron.sink.lanes import Lane
from byron.sink.membership import Membership
from byron.testing.survival.faults import Faults, FaultyApplier, FaultyLog, FaultyReader, ProcessEnd, label
from byron.testing.survival.schedule import (
    Action,
    Arrive,
    Crash,
    EndAtEach,
    Lose,
    Overtake,
    Restart,
    Retry,
    Schedule,
    Step,
    Turn,
)
from byron.testing.survival.stages import Stage
from byron.testing.survival.state import Outcome, emissions, remove_rows, rows_of

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: Rounds of all lanes after which what is left cannot come to an end.
_MOST_ROUNDS = 1000

#: Emitted events, at most: some, and so many for each that is given. More are taken for a loop, though none is seen.
_MOST_EMITTED, _MOST_EMITTED_FOR_EACH = 400, 10


class EndlessError(AssertionError):
    """Handlers emit events on and on, or the same events are applied on and on."""

    def __init__(self, text: str, events: Sequence[str] = ()) -> None:
        """Take what is told, and the names of the events that it is about."""
        super().__init__(text)
        self.events = tuple(events)


class SimulatedSink:
    """One Sink process: all lanes of a component. It gives no sign of life, so another may take over at any time."""

    def __init__(self, config: ComponentConfig, payloads: PayloadCodec, log: FaultyLog, faults: Faults, lanes: int):
        membership = Membership(config.alias, config.consumer_name)

        def connect() -> Broker:
            return log

        self.readers: dict[int, FaultyReader] = {}
        self.workers = [
            LaneWorker(
                config, Lane(consumer=config.consumer_name, number=number, count=lanes), membership, connect, Progress()
            )
            for number in range(lanes)
        ]
        self._log = log
        self._faults = faults
        for worker in self.workers:
            worker.effects.applier = FaultyApplier(config, payloads, faults)

    def turn(self, lane: int, *, again: int = 0) -> int:
        """Have a lane fetch what is there and apply it; return how many events were fetched."""
        self._faults.begin_turn()
        number = lane % len(self.workers)
        reader = self._reader(number)
        reader.go_back(again)
        return self.workers[number].turn(self._log, reader, 0)

    def retry(self, lane: int) -> int:
        """Have a lane try what it has set aside; return how many events were applied."""
        number = lane % len(self.workers)
        self._reader(number)
        worker = self.workers[number]
        if not worker.effects.parking.keys:
            return 0
        return sum(worker.retries.retry(key_digest)[0] for key_digest in worker.effects.parking.due())

    def turn_all(self, *, open_only: bool = False) -> int:
        """Give each lane a turn, or each that is open; return how many events were fetched."""
        return sum(self.turn(lane) for lane in (list(self.readers) if open_only else range(len(self.workers))))

    def open(self) -> None:
        """Take all lanes, and look where they stand."""
        for number in range(len(self.workers)):
            self._reader(number)

    def release(self) -> None:
        for worker in self.workers:
            worker.release()

    def _reader(self, number: int) -> FaultyReader:
        if number not in self.readers:
            worker = self.workers[number]
            worker.take()
            _, reader = worker.open()
            assert isinstance(reader, FaultyReader)
            self.readers[number] = reader
        return self.readers[number]


class Rehearsal:
    """One run of a log by a schedule, in a Cache that is empty at first and as it was afterwards."""

    def __init__(
        self,
        configs: Sequence[ComponentConfig],
        stages: Sequence[Stage],
        payloads: PayloadCodec,
        messages: Sequence[Message],
        poison: Message,
        *,
        by_cause: bool,
    ) -> None:
        """Prepare to apply messages to the first component's Cache, with an eye on the others'; each has its stage."""
        self.faults = Faults()
        self.faults.names = _names(messages) | {poison.id: "the message that nobody can read"}
        self._config = configs[0]
        self._configs = configs
        self._stage = stages[0]
        self._stages = stages
        self._payloads = payloads
        self._messages = messages
        self._poison = poison
        self._by_cause = by_cause
        self._log = FaultyLog(self._config.component.namespace, self.faults)
        self._held: Sequence[Message] = ()
        self._lanes = 1

    @property
    def story(self) -> list[str]:
        """What happened, line by line."""
        return self.faults.story

    def one_by_one(self) -> Outcome:
        """Apply the messages in their order, each by itself. Raises what a handler raises."""
        with self._staged(batch=1):
            self._log.put(self._messages)
            process = self._process()
            for worker in process.workers:
                worker.batches.parks = False
            before = -1
            while process.turn(0) or len(self._log.messages) > before:
                before = len(self._log.messages)
                self._require_an_end()
            return self._outcome()

    def by(self, schedule: Schedule) -> Outcome:
        """Apply the messages by a schedule, and what is left in peace. Raises AssertionError for what stays parked."""
        with self._staged(batch=schedule.batch):
            log = self._in_order(schedule)
            self._held = log[len(log) - schedule.late :]
            self._log.put(log[: len(log) - schedule.late])
            ids = [message.id for message in self._messages]
            self.faults.failures = {ids[place]: times for place, times in schedule.failures.items()}
            self._lanes = schedule.lanes
            if self._lanes > 1:
                self.faults.tell(f"There are {self._lanes} lanes.")
            process = self._process()
            for action in schedule.actions:
                process = self._do(process, action)
            self._finish(process)
            return self._outcome()

    def _in_order(self, schedule: Schedule) -> list[Message]:
        log = [self._messages[place] for place in schedule.order]
        if list(schedule.order) != sorted(schedule.order):
            self.faults.tell(f"The log has {self.faults.listed(log)}, in this order.")
        if schedule.poison is not None:
            log.insert(min(schedule.poison, len(log) - schedule.late), self._poison)
            self.faults.tell("In the log is also a message, of a key of its own, that nobody can read.")
        return log

    @contextmanager
    def _staged(self, *, batch: int) -> Iterator[None]:
        """Have the Cache empty, and as it was afterwards; retries are due at once and never given up."""
        with ExitStack() as stack:
            stack.enter_context(
                override_settings(BYRON_SINK_BATCH_SIZE=batch, BYRON_SINK_RETRY_DELAY=0.0, BYRON_SINK_TRIES=10_000)
            )
            for stage in self._stages:
                stack.enter_context(stage.rehearsal(empty=stage is self._stage))
            stack.enter_context(self._stage.watched(self.faults))
            stack.enter_context(acting_as(Role.SINK))
            yield

    def _process(self) -> SimulatedSink:
        return SimulatedSink(self._config, self._payloads, self._log, self.faults, self._lanes)

    def _do(self, process: SimulatedSink, action: Action) -> SimulatedSink:
        """Let one thing happen, and return the process that goes on after it."""
        match action:
            case Turn():
                return self._unless_it_ends(
                    process,
                    action.crash,
                    lambda: process.turn(action.lane, again=action.again),
                )
            case Retry():
                return self._unless_it_ends(process, action.crash, lambda: process.retry(action.lane))
            case EndAtEach():
                return self._end_at_each(process, action.step)
            case Arrive():
                self._arrive()
                return process
            case Overtake():
                return self._overtake(process, action)
            case Restart():
                return self._restart(process, action)
            case Lose():
                self.faults.tell("The Cache is lost; a day later a new process builds it from the log.")
                with acting_as(Role.MAINTENANCE):
                    remove_rows(self._config)
                self._log.grow_old()
                return self._process()

    def _unless_it_ends(self, process: SimulatedSink, crash: Crash | None, work: Callable[[], object]) -> SimulatedSink:
        try:
            with self.faults.crashing(crash):
                work()
            return process
        except ProcessEnd:
            return self._next_process()

    def _next_process(self) -> SimulatedSink:
        self._stage.end_process()
        self.faults.tell("A new process goes on.")
        return self._process()

    def _end_at_each(self, process: SimulatedSink, step: Step) -> SimulatedSink:
        with self.faults.crashing_at_each(step):
            before = -1
            while True:
                try:
                    if not process.turn(0) and len(self._log.messages) == before:
                        return process
                    before = len(self._log.messages)
                except ProcessEnd:
                    process = self._next_process()
                self._require_an_end()

    def _restart(self, process: SimulatedSink, action: Restart) -> SimulatedSink:
        process.release()
        self._lanes = action.lanes
        self.faults.tell(f"The process stops in order; another goes on, with {_lanes(action.lanes)}.")
        return self._process()

    def _overtake(self, former: SimulatedSink, action: Overtake) -> SimulatedSink:
        former.open()
        self._lanes = action.lanes
        self.faults.tell(f"The process is frozen and taken for dead; another goes on, with {_lanes(action.lanes)}.")
        process = self._process()
        process.turn_all()
        self.faults.tell("The frozen process goes on where it was.")
        try:
            former.turn_all(open_only=True)
        except LaneLostError:
            self.faults.tell("It notices that another has its lane, and stops.")
        return process

    def _arrive(self) -> None:
        if self._held:
            enter = "enters" if len(self._held) == 1 else "enter"
            self.faults.tell(f"{self.faults.listed(self._held)} {enter} the log only now.")
            self._log.put(self._held)
            self._held = ()

    def _finish(self, process: SimulatedSink) -> None:
        """Apply what is left, and then what was held back until now."""
        self._settle(process)
        if self._held:
            self._arrive()
            self._settle(process)

    def _settle(self, process: SimulatedSink) -> None:
        """Apply what there is, what is set aside and what is emitted included."""
        after = self._standing()
        for _ in range(_MOST_ROUNDS):
            before = after
            done = process.turn_all() + sum(process.retry(lane) for lane in range(len(process.workers)))
            after = self._standing()
            if not done and before == after:
                return
            self._require_an_end()
        raise EndlessError(f"{self._config.component.name} did not come to an end: the same is applied on and on.")

    def _standing(self) -> tuple[int, int]:
        return len(self._log.messages), sum(self.faults.failures.values())

    def _require_an_end(self) -> None:
        """Raise CascadeError, or EndlessError for too many events of which none has led to itself."""
        given = len(self._messages)
        if len(self._log.messages) <= _MOST_EMITTED + (1 + _MOST_EMITTED_FOR_EACH) * given:
            return
        if (cascade := self._log.suspect()) is not None:
            raise cascade
        emitted = Counter(split_subject(message.subject)[3] for message in self._log.messages[given:])
        (name, times), *_ = emitted.most_common(1)
        raise EndlessError(
            f"{self._config.component.name} did not come to an end: its handlers emitted {emitted.total()} events, "
            f"most often {name}, {times} times.",
            [name, *(split_subject(message.subject)[3] for message in self._messages)],
        )

    def _outcome(self) -> Outcome:
        given = {message.id for message in (*self._messages, self._poison)}
        parked = open_events(self._config.alias, self._config.consumer_name).exclude(event_id=self._poison.id)
        return Outcome(
            rows=rows_of(self._configs, self._log.messages),
            emitted=emissions(self._log.messages, given, by_cause=self._by_cause),
            parked={
                f"{row.name} {decode_key(row.key)}": row.error or "behind an earlier event of its key"
                for row in parked.order_by("position")
            },
        )


def _lanes(number: int) -> str:
    return "one lane" if number == 1 else f"{number} lanes"


def _names(messages: Sequence[Message]) -> dict[str, str]:
    """Return what to call given events, by their ids: those that look the same are told apart."""
    names: dict[str, str] = {}
    seen: Counter[str] = Counter()
    for message in messages:
        plain = label(message)
        seen[plain] += 1
        names[message.id] = plain if seen[plain] == 1 else f"{plain} (no. {seen[plain]})"
    return names
