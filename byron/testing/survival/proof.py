"""Whether a component's Cache ends the same whatever happens to its Sink."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TypeGuard
from unittest import mock

from django.utils import timezone

from byron.broker.memory import MemoryBroker
from byron.events.codec import encode
from byron.events.event import Event, Message
from byron.events.subjects import split_subject
from byron.exceptions import MissingExtraError
from byron.schema.installed import ComponentConfig
from byron.testing.cascades import CascadeError
from byron.testing.events import require_event
from byron.testing.frames import own_part
from byron.testing.log import EventWriter
from byron.testing.survival.rehearsal import EndlessError, Rehearsal
from byron.testing.survival.report import ACROSS, CHANGING, SAME_AGAIN, TWICE, handlers_told, report
from byron.testing.survival.schedule import Action, Crash, EndAtEach, Overtake, Restart, Schedule, Step, Turn
from byron.testing.survival.stages import stage_for
from byron.testing.survival.state import Difference, Outcome, caches, differences
from byron.testing.survival.sweeps import groups, held_back, simpler

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: How many events a process applies in one batch where it ends once; the smaller number with few events only.
_BATCHES = {10: None, 2: 6}

#: Events applied in the schedules that have the process end once before steps of one kind, at most; and in those that
#: have the events of some keys late.
_MOST_WORK = 400

#: Seconds to look for less that has the same effect: a single end instead of all, a single key.
_SEARCHING = 10.0


class SurvivalError(AssertionError):
    """A Cache that did not end as it should; the text tells what happened and what differs."""


class Survival:
    """The events of one test, and what they are to end in."""

    def __init__(self, config: ComponentConfig, log: MemoryBroker, events: Sequence[Event], *, across_keys: bool):
        """Prepare to apply what is in a log, and then these events. Raises EventError, and LookupError if none."""
        self._config = config
        self._across_keys = across_keys
        writer = EventWriter(config.component)
        self._payloads = writer.payloads
        _require_handled(config, events)
        # What its own handlers emitted is to come of the events again.
        own = f"/{config.component.namespace}/{config.component.name}"
        standing = [
            Message(subject=each.subject, headers=each.headers, body=each.body)
            for each in log.messages
            if each.headers.get("ce-source") != own or "ce-causationid" not in each.headers
        ]
        self._messages = [*standing, *writer.written(events, {message.id for message in standing})]
        if not self._messages:
            raise LookupError("There are no events to survive: give some, or run commands that emit some before.")
        self._keys = [split_subject(message.subject)[2] for message in self._messages]
        self._poison = self._unreadable()
        self._configs = caches(config)
        self._stages = [stage_for(each) for each in self._configs]
        self._expected: Outcome | None = None

    def check(self, *, examples: int, seed: int | None) -> None:
        """Try so many schedules. Raises SurvivalError, MissingExtraError, ValueError for no number of schedules."""
        _require_numbers(examples, seed)
        explore = _explorer()
        with _quiet(), ExitStack() as stack:
            for stage in self._stages:
                stack.enter_context(stage.opened())
            self._expected = self._applied_one_by_one()
            with _another_day():
                again = self._applied_one_by_one()
            if found := differences(self._expected, again):
                raise self._error(found, again, happened=[SAME_AGAIN], hint=CHANGING)
            self._crash_everywhere()
            if self._across_keys and len(set(self._keys)) > 1:
                self._hold_back_each_key()
            explore(self._check, self._keys, across_keys=self._across_keys, examples=examples, seed=seed)

    def _crash_everywhere(self) -> None:
        """Have the process end once before each step, by batches; then, of the events one by one, before all steps."""
        for batch, most_events in _BATCHES.items():
            if most_events is None or batch < len(self._messages) <= most_events:
                for schedule in self._ending_once(Step, batch):
                    self._check(schedule)
        for step in Step:
            failure = self._failure_by(self._schedule(1, EndAtEach(step=step)))
            if failure is None:
                continue
            until = time.monotonic() + _SEARCHING
            for schedule in self._ending_once([step], 1):
                self._check(schedule)
                if time.monotonic() > until:
                    break
            raise failure

    def _ending_once(self, steps: Iterable[Step], batch: int) -> Iterator[Schedule]:
        """Give the schedules in which the process ends once, before each step of these kinds while work is bearable."""
        turns = self._check(self._schedule(batch)).faults.turns
        most = _MOST_WORK // max(sum(turn[Step.HANDLER] for turn in turns), 1)
        for step in steps:
            places = [(before, done) for before, turn in enumerate(turns) for done in range(turn[step])]
            for before, done in places[: max(most, 1)]:
                yield self._schedule(batch, *[Turn()] * before, Turn(crash=Crash(step=step, done=done)))

    def _hold_back_each_key(self) -> None:
        """Have the events of each key last, and after what the others have emitted; of many keys, several at once."""
        assert self._expected is not None
        names = [split_subject(message.subject)[3] for message in self._messages]
        applied = len(self._messages) + sum(map(len, self._expected.emitted.values()))
        for some in groups(list(zip(self._keys, names, strict=True)), _MOST_WORK // applied):
            failure = self._failure_by(held_back(self._keys, some, late=True))
            if failure is None:
                continue
            until = time.monotonic() + _SEARCHING
            for schedule in simpler(self._keys, some):
                self._check(schedule)
                if time.monotonic() > until:
                    break
            raise failure

    def _schedule(self, batch: int, *actions: Action) -> Schedule:
        return Schedule(order=tuple(range(len(self._messages))), batch=batch, actions=actions)

    def _failure_by(self, schedule: Schedule) -> SurvivalError | None:
        try:
            self._check(schedule)
        except SurvivalError as error:
            return error
        return None

    def _check(self, schedule: Schedule) -> Rehearsal:
        """Require the same outcome by a schedule, and return what went by it."""
        assert self._expected is not None
        rehearsal = self._rehearsal()
        outcome: Outcome | None = None
        try:
            outcome = rehearsal.by(schedule)
            found = differences(self._expected, outcome)
        except Exception as error:
            found = [Difference(key="", lines=f"the Sink stopped: {type(error).__name__}: {error}".splitlines())]
        if found:
            crossed = self._across_keys and _crosses(schedule)
            story = [f"{number:3}. {line}" for number, line in enumerate(rehearsal.story, 1)]
            raise self._error(found, outcome, happened=["What happened:", *story], hint=ACROSS if crossed else TWICE)
        return rehearsal

    def _applied_one_by_one(self) -> Outcome:
        try:
            return self._rehearsal().one_by_one()
        except (EndlessError, CascadeError) as error:
            handlers = handlers_told(self._config, error.events)
            raise SurvivalError("\n".join(filter(None, [str(error), handlers]))) from None
        except Exception as error:
            told = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())])
            raise SurvivalError(
                f"{self._config.component.name} cannot apply these events, one by one and without any fault:\n\n{told}"
            ) from own_part(error)

    def _rehearsal(self) -> Rehearsal:
        return Rehearsal(
            self._configs, self._stages, self._payloads, self._messages, self._poison, by_cause=self._across_keys
        )

    def _error(
        self, found: Sequence[Difference], outcome: Outcome | None, *, happened: Sequence[str], hint: str
    ) -> SurvivalError:
        outcomes = [each for each in (self._expected, outcome) if each is not None]
        return SurvivalError(report(self._config, self._messages, found, outcomes, happened=happened, hint=hint))

    def _unreadable(self) -> Message:
        component = self._config.component
        name = next(iter(component.handlers))
        poison = Event(name=name, key="byron-poison", payload={}, namespace=component.namespace, source=component.name)
        return encode(poison, b"{")


def _explorer() -> Callable[..., None]:
    try:
        # Only here: it takes longer to load than all else of a test, and is of an extra.
        from byron.testing.survival.exploration import explore
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        raise MissingExtraError(
            "`component.survives` needs hypothesis, which is not installed: pip install 'byron-framework[test]'"
        ) from error
    return explore


def _require_handled(config: ComponentConfig, events: Sequence[Event]) -> None:
    known = config.component.handlers
    for event in events:
        if require_event(event).name not in known:
            raise LookupError(
                f"{config.component.name} handles no event {event.name!r}; it handles: {', '.join(known) or 'none'}"
            )
    if not known:
        raise LookupError(f"{config.component.name} handles no events, so there is nothing to survive.")


def _require_numbers(examples: object, seed: object) -> None:
    if not _is_whole(examples) or examples < 1:
        raise ValueError(
            f"survives(examples=…) takes how many schedules to generate, from 1 on, not {examples!r}; 30 without it."
        )
    if seed is not None and not _is_whole(seed):
        raise ValueError(f"survives(seed=…) takes a whole number, such as seed=7, not {seed!r}.")


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _crosses(schedule: Schedule) -> bool:
    """Whether events of different keys may pass each other."""
    lanes = [schedule.lanes, *(action.lanes for action in schedule.actions if isinstance(action, Restart | Overtake))]
    aside = any(times > 1 for times in schedule.failures.values())
    moved = schedule.late > 0 or schedule.poison is not None
    return max(lanes) > 1 or aside or moved or list(schedule.order) != sorted(schedule.order)


@contextmanager
def _another_day() -> Iterator[None]:
    """Have Django's clock be ahead, for handlers that use no more of it than the date."""
    now = timezone.now
    with mock.patch.object(timezone, "now", lambda: now() + timedelta(days=400)):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Log nothing: what is set aside a hundred times on purpose would bury the report."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
