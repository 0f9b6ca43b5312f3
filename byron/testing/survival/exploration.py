"""Fault schedules, generated. Needs hypothesis."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import hypothesis
from hypothesis import Phase, Verbosity
from hypothesis import strategies as st
from hypothesis.errors import Flaky

from byron.testing.survival.schedule import Action, Arrive, Crash, Lose, Overtake, Restart, Retry, Schedule, Step, Turn

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: Things that happen in one schedule, at most. An event that ends five processes is parked, so fewer may end.
_MOST_ACTIONS = 8
_MOST_CRASHES = 4

_LANES = (1, 1, 2, 4)

_BATCHES = (500, 4, 2, 1)

#: Seconds for which a smaller schedule is looked for when one has failed.
_SHRINKING = 10.0


def explore(
    check: Callable[[Schedule], object], keys: Sequence[str], *, across_keys: bool, examples: int, seed: int | None
) -> None:
    """Check schedules for events of these keys until one fails; raise what the smallest one that does raises.

    The same ones each time, unless there is a seed.
    """
    settings = hypothesis.settings(
        max_examples=examples,
        derandomize=seed is None,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        verbosity=Verbosity.quiet,
    )

    failure: AssertionError | None = None
    until = math.inf

    @settings
    @hypothesis.given(schedules(keys, across_keys=across_keys))
    def run(schedule: Schedule) -> None:
        nonlocal failure, until
        if time.monotonic() > until:
            return
        try:
            check(schedule)
        except AssertionError as error:
            if failure is None:
                until = time.monotonic() + _SHRINKING
            failure = error
            raise

    try:
        (run if seed is None else hypothesis.seed(seed)(run))()
    except (AssertionError, Flaky):
        # Flaky is, for Hypothesis, also what does not fail any more because its time is up.
        if failure is None:
            raise
        # Without Hypothesis's own notes, which are for those who know its strategies.
        raise failure.with_traceback(None) from None


def schedules(keys: Sequence[str], *, across_keys: bool) -> st.SearchStrategy[Schedule]:
    """Return the schedules for events of these keys; the simplest one applies them all at once."""
    count = len(keys)
    in_order = st.just(tuple(range(count)))
    # One failure is a batch that is run again. More set an event aside, which lets other keys pass it.
    times = st.sampled_from([1, 2, 2, 3]) if across_keys else st.just(1)
    return st.builds(
        Schedule,
        order=in_order | _orders(keys) if across_keys else in_order,
        late=st.just(0) | st.integers(1, count) if across_keys else st.just(0),
        # Before others, it changes their positions, which a handler may store.
        poison=st.none() | (st.integers(0, count) if across_keys else st.just(count)),
        lanes=st.sampled_from(_LANES) if across_keys else st.just(1),
        batch=st.sampled_from(_BATCHES),
        failures=st.dictionaries(st.integers(0, count - 1), times, max_size=2 if across_keys else 1),
        actions=st.lists(_actions(count, across_keys=across_keys), max_size=_MOST_ACTIONS).map(_bearable),
    )


def _orders(keys: Sequence[str]) -> st.SearchStrategy[tuple[int, ...]]:
    """Return the orders of the places 0, 1, 2… in which those of one key stay in order; the simplest is as they are."""
    count = len(keys)
    return st.lists(st.integers(0, count - 1), min_size=count, max_size=count).map(lambda drawn: _order(keys, drawn))


def _order(keys: Sequence[str], drawn: Sequence[int]) -> tuple[int, ...]:
    waiting: dict[str, list[int]] = {}
    for place, key in enumerate(keys):
        waiting.setdefault(key, []).append(place)
    order = []
    for number in drawn:
        heads = sorted(waiting.values(), key=lambda places: places[0])
        chosen = heads[number % len(heads)]
        order.append(chosen.pop(0))
        waiting = {key: places for key, places in waiting.items() if places}
    return tuple(order)


def _bearable(actions: Sequence[Action]) -> tuple[Action, ...]:
    """Leave out crashes of which there are too many."""
    left = _MOST_CRASHES
    kept: list[Action] = []
    for action in actions:
        if isinstance(action, Turn | Retry) and action.crash is not None:
            left -= 1
        kept.append(Turn() if left < 0 else action)
    return tuple(kept)


def _actions(count: int, *, across_keys: bool) -> st.SearchStrategy[Action]:
    lane = st.integers(0, max(_LANES) - 1) if across_keys else st.just(0)
    lanes = st.sampled_from(_LANES) if across_keys else st.just(1)
    again = st.sampled_from([0, 0, 1, 2, count])
    ends = _crashes(count)
    ending = st.builds(Turn, lane=lane, crash=ends)
    kinds: list[st.SearchStrategy[Action]] = [
        st.builds(Turn, lane=lane, again=again),
        # The likeliest, since there are so many.
        ending,
        ending,
        ending,
        st.builds(Restart, lanes=lanes),
        st.builds(Overtake, lanes=lanes),
        st.just(Lose()),
    ]
    if across_keys:
        kinds += [st.builds(Retry, lane=lane, crash=st.none() | ends), st.just(Arrive())]
    return st.one_of(kinds)


def _crashes(count: int) -> st.SearchStrategy[Crash]:
    most = {Step.HANDLER: min(count, 4), Step.COMMIT: 2, Step.NOTE: 2, Step.ACKNOWLEDGE: 1, Step.PUBLISH: 1}
    steps = [Crash(step=step, done=done) for step, last in most.items() for done in range(last)]
    # Those that come soon are passed for sure.
    return st.sampled_from([Crash(step=step) for step in most] + steps)
