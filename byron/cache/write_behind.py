"""Write-behind: rows that are created one by one, stored together.

A unit of work, as in Martin Fowler's "Patterns of Enterprise Application Architecture": while one is at work on
a Cache, `Model.objects.create()` keeps the row, and whatever else is asked of the database stores what was kept
first, a type's rows in one statement. Nobody who uses the database can tell, but for one thing: a row
that cannot be stored fails later than where it was created. So it is for work that is done again, row
by row, when it fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from typing import Any

from django.db import DatabaseError, connections, models
from django.db.models import signals

#: Values that their owner may change after they were given to a row.
_CHANGEABLE = (list, dict, set, bytearray)

#: Rows kept, at most, so that memory is bounded.
_MOST_ROWS = 1000


class UnitOfWork:
    """The rows that were created and not stored yet."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self._rows: dict[type[models.Model], list[models.Model]] = {}
        self._taken: dict[type[models.Model], bool] = {}
        self._count = 0

    def takes(self, model: type[models.Model], alias: str) -> bool:
        """Whether rows of a model may wait here: they are of this Cache, and nobody wants to hear of each."""
        if model not in self._taken:
            watched = any(signal.has_listeners(model) for signal in (signals.pre_save, signals.post_save))
            self._taken[model] = not watched
        return alias == self.alias and self._taken[model]

    def keep(self, row: models.Model) -> None:
        """Keep a row, to be stored before anything else happens to the database."""
        row._state.adding = False
        row._state.db = self.alias
        # As it is now: what the caller does to it later is not stored either when it is stored at once.
        twin = type(row).__new__(type(row))
        twin.__dict__.update(
            (name, deepcopy(value) if isinstance(value, _CHANGEABLE) else value) for name, value in vars(row).items()
        )
        self._rows.setdefault(type(row), []).append(twin)
        self._count += 1
        if self._count >= _MOST_ROWS:
            self.flush()

    def flush(self) -> None:
        """Store what was kept."""
        while self._rows:
            model, rows = self._rows.popitem()
            self._count -= len(rows)
            query: models.QuerySet[models.Model] = models.QuerySet(model, using=self.alias)
            query.bulk_create(rows)

    def before_statement(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        """Flush, then execute: what Django calls around each statement."""
        if self._rows:
            try:
                self.flush()
            except DatabaseError:
                if sql.startswith("RELEASE"):
                    # The savepoint that ends here is rolled back instead, and all is well again, as it would be had
                    # the row failed inside; Django's mark from storing the rows would keep it from that.
                    connections[self.alias].needs_rollback = False
                raise
        return execute(sql, params, many, context)


_current: ContextVar[UnitOfWork | None] = ContextVar("byron_unit_of_work", default=None)


def current_unit_of_work() -> UnitOfWork | None:
    """Return the unit that is at work here, if there is one."""
    return _current.get()


@contextmanager
def unit_of_work(alias: str) -> Iterator[None]:
    """Store rows that are created meanwhile together, the last of them at the end; inside a transaction only."""
    unit = UnitOfWork(alias)
    token = _current.set(unit)
    try:
        with connections[alias].execute_wrapper(unit.before_statement):
            yield
            unit.flush()
    finally:
        _current.reset(token)
