"""Rehearsals on engines with savepoints: inside of a transaction that is undone, which may be the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

from byron.schema.installed import ComponentConfig
from byron.testing.survival.faults import Faults, ProcessEnd
from byron.testing.survival.stages.base import Stage, pass_by_commit, pass_by_note
from byron.testing.survival.state import remove_rows


class SavepointStage(Stage):
    """The test's own Cache. A savepoint stands for each of the Sink's transactions."""

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self._depth = 0
        self._rolled_back = False

    @contextmanager
    def rehearsal(self, *, empty: bool) -> Iterator[None]:
        with transaction.atomic(using=self._alias):
            try:
                if empty:
                    remove_rows(self._config)
                yield
            finally:
                transaction.set_rollback(True, using=self._alias)

    @contextmanager
    def watched(self, faults: Faults) -> Iterator[None]:
        def watch(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            verb = sql.split(None, 1)[0]
            if verb == "SAVEPOINT":
                self._depth += 1
            elif verb == "ROLLBACK":
                self._rolled_back = True
            elif verb == "RELEASE":
                if self._depth == 1 and not self._rolled_back:
                    self._commit(faults, execute, sql, *rest)
                self._rolled_back = False
                self._depth -= 1
            elif self._depth == 0:
                pass_by_note(faults, sql)
            return execute(sql, *rest)

        self._depth, self._rolled_back = 0, False
        with connections[self._alias].execute_wrapper(watch):
            yield

    def end_process(self) -> None:
        self._depth = 0
        # Where the process ended inside of an atomic block without a savepoint, Django holds the test's for spoilt.
        transaction.set_rollback(False, using=self._alias)

    def _commit(self, faults: Faults, execute: Callable[..., Any], sql: str, *rest: Any) -> None:
        try:
            pass_by_commit(faults)
        except ProcessEnd:
            execute(sql.replace("RELEASE", "ROLLBACK TO", 1), *rest)
            execute(sql, *rest)
            self._depth = 0
            raise
