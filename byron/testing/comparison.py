"""Events that are expected beside those that were emitted: which belongs to which, and in what they differ."""

from __future__ import annotations

from collections.abc import Sequence

from byron.events.event import Event
from byron.schema.problems import did_you_mean
from byron.testing.events import differences, summary

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

#: A pair of places, of which one is None for an event that has no counterpart.
Pair = tuple[int | None, int | None]


def compare(expected: Sequence[Event], found: Sequence[Event]) -> str:
    """Return how events differ from those expected, event by event; empty when they do not."""
    lines: list[str] = []
    differs = False
    pairs = _aligned(expected, found)
    missing = [expected[wanted].name for wanted, emitted in pairs if emitted is None and wanted is not None]
    extra = [found[emitted].name for wanted, emitted in pairs if wanted is None and emitted is not None]
    for wanted, emitted in pairs:
        if wanted is not None and emitted is not None:
            wrong = differences(expected[wanted], found[emitted])
            lines.append(f"  {'≠' if wrong else '='} {found[emitted].name}")
            lines += [f"      {line}" for line in wrong]
            differs = differs or bool(wrong)
        elif wanted is not None:
            name = expected[wanted].name
            told = "expected here, and emitted elsewhere" if name in extra else "expected, and not emitted"
            hint = "" if name in extra else did_you_mean(name, extra)
            lines.append(f"  - {summary(expected[wanted])}   {told}{hint}")
            differs = True
        elif emitted is not None:
            is_moved = found[emitted].name in missing
            told = "emitted here, and expected elsewhere" if is_moved else "emitted, and not expected"
            lines.append(f"  + {summary(found[emitted])}   {told}")
            differs = True
    return "\n".join(lines) if differs else ""


def _aligned(expected: Sequence[Event], found: Sequence[Event]) -> list[Pair]:
    """Pair events of one name in their order: as many as can be, and of these ways the one with fewest differences.

    An edit distance: what each pair of beginnings costs is (events without a counterpart, differing attributes).
    """
    rows, columns = len(expected), len(found)
    costs = [[(0, 0)] * (columns + 1) for _ in range(rows + 1)]
    steps: list[list[Pair]] = [[(-1, -1)] * (columns + 1) for _ in range(rows + 1)]
    for row in range(rows + 1):
        for column in range(columns + 1):
            ways: list[tuple[tuple[int, int], Pair]] = []
            # Of equal ways the first is taken: a pair, then what is expected before what was emitted.
            if row and column and expected[row - 1].name == found[column - 1].name:
                alone, wrong = costs[row - 1][column - 1]
                more = len(differences(expected[row - 1], found[column - 1]))
                ways.append(((alone, wrong + more), (row - 1, column - 1)))
            if column:
                alone, wrong = costs[row][column - 1]
                ways.append(((alone + 1, wrong), (None, column - 1)))
            if row:
                alone, wrong = costs[row - 1][column]
                ways.append(((alone + 1, wrong), (row - 1, None)))
            if ways:
                costs[row][column], steps[row][column] = min(ways, key=lambda way: way[0])
    pairs: list[Pair] = []
    row, column = rows, columns
    while row or column:
        pair = steps[row][column]
        pairs.insert(0, pair)
        row -= pair[0] is not None
        column -= pair[1] is not None
    return pairs
