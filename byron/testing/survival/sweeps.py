"""Schedules that are gone through one after the other, before others are generated: each key last, and late."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import TypeVar

from byron.testing.survival.schedule import Schedule

#: How many events a process applies in one batch.
_BATCH = 10

_T = TypeVar("_T")


def groups(events: Sequence[tuple[str, str]], most: int) -> list[list[str]]:
    """Return the keys of events, given by key and name, in so many groups at most, two at least if there are as many.

    Where several keys share a group, the same is told of them if possible: those have the least to do with each other.
    """
    told: dict[str, list[str]] = {}
    for key, name in events:
        told.setdefault(key, []).append(name)
    kinds: dict[tuple[str, ...], list[str]] = {}
    for key, names in told.items():
        kinds.setdefault(tuple(names), []).append(key)
    most = max(most, 2)
    if len(kinds) > most:
        return [sum(some, []) for some in _parts(list(kinds.values()), most)]
    numbers = dict.fromkeys(kinds, 1)
    for _ in range(min(most, len(told)) - len(kinds)):
        largest = max(kinds, key=lambda kind: len(kinds[kind]) / numbers[kind])
        numbers[largest] += 1
    return [part for kind, keys in kinds.items() for part in _parts(keys, numbers[kind])]


def _parts(items: list[_T], number: int) -> list[list[_T]]:
    """Return a sequence in so many parts that are of the same size, or one more."""
    size, longer = divmod(len(items), number)
    ends = [place * size + min(place, longer) for place in range(number + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


def held_back(keys: Sequence[str], some: Collection[str], *, late: bool) -> Schedule:
    """Return the schedule in which the events of some keys are last; `late`: after what the others have emitted."""
    before = [place for place, key in enumerate(keys) if key not in some]
    after = [place for place, key in enumerate(keys) if key in some]
    return Schedule(order=(*before, *after), late=len(after) if late else 0, batch=_BATCH)


def simpler(keys: Sequence[str], some: Sequence[str]) -> Iterator[Schedule]:
    """Give the schedules that may do what one does that holds back the events of some keys until late."""
    for key in some:
        yield held_back(keys, [key], late=False)
        if len(some) > 1:
            yield held_back(keys, [key], late=True)
