"""Trying a key's parked events again: in order, each once, until one fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from byron.models import ParkedEvent
from byron.sink.apply import Incoming
from byron.sink.effects import Broken, Effects
from byron.sink.parking import Problem, stored_message


class Retries:
    """Applies parked events of one lane."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._parking = effects.parking

    def retry(self, key_digest: str) -> tuple[int, Problem | None]:
        """Apply a key's parked events in order until one fails again or some time is over.

        Returns how many were applied and why the next one was not. Raises LaneLostError, and the database's errors
        when it is in trouble; nothing was stored then.
        """
        return self._effects.patiently(lambda: self._retry(key_digest))

    def _retry(self, key_digest: str) -> tuple[int, Problem | None]:
        with self._effects.transaction():
            begun, problem = self._parking.begin(key_digest)
        self._parking.trying(begun)
        if self._effects.has_savepoints:
            applied, problem = self._in_savepoints(key_digest, begun, problem)
        else:
            applied = self._together(key_digest, begun)
            if not applied:
                applied, problem = self._singly(key_digest, begun, problem)
        self._parking.tried(begun)
        return applied, problem

    def _in_savepoints(
        self, key_digest: str, begun: Sequence[int], problem: Problem | None
    ) -> tuple[int, Problem | None]:
        """Apply parked events in one transaction, up to the one that fails."""
        applied: list[int] = []
        enough = self._effects.time_limit()
        with self._effects.transaction():
            for row in self._parking.held(begun):
                problem = self._effects.attempt(self._effects.read(stored_message(row)))
                if problem is not None:
                    self._parking.note_failure(row, problem)
                    break
                applied.append(row.pk)
                if enough():
                    break
            self._finish(key_digest, begun, applied)
        return len(applied), problem

    def _together(self, key_digest: str, begun: Sequence[int]) -> int:
        """Apply parked events in one transaction, or none of them when one fails; return how many."""
        applied: list[int] = []
        enough = self._effects.time_limit()
        try:
            with self._effects.transaction():
                for row in self._parking.held(begun):
                    self._effects.apply(self._effects.read(stored_message(row)))
                    applied.append(row.pk)
                    if enough():
                        break
                self._finish(key_digest, begun, applied)
        except Exception as error:
            if self._effects.is_external(error):
                raise
            return 0
        return len(applied)

    def _singly(self, key_digest: str, begun: Sequence[int], problem: Problem | None) -> tuple[int, Problem | None]:
        """Apply parked events, each in a transaction of its own with its removal, up to the one that fails."""
        applied = 0
        enough = self._effects.time_limit()
        for identity in begun:
            item: Incoming | Broken | None = None
            try:
                with self._holding(identity) as row:
                    if row is not None:
                        item = self._effects.read(stored_message(row))
                        self._effects.apply(item)
                        self._parking.remove(key_digest, [row.pk])
                        self._effects.store_emitted()
                        applied += 1
            except Exception as error:
                if self._effects.is_external(error):
                    raise
                problem = self._effects.problem(item, error)
                with self._holding(identity) as row:
                    if row is not None:
                        self._parking.note_failure(row, problem)
                break
            if enough():
                break
        with self._effects.transaction():
            self._parking.survive(begun)
        return applied, problem

    def _finish(self, key_digest: str, begun: Sequence[int], applied: Sequence[int]) -> None:
        self._parking.remove(key_digest, applied)
        self._parking.survive(begun)
        self._effects.store_emitted()

    @contextmanager
    def _holding(self, identity: int) -> Iterator[ParkedEvent | None]:
        """Hold the lane and a parked event, if that is still there, for the length of a transaction."""
        with self._effects.transaction():
            yield next(iter(self._parking.held([identity])), None)
