"""Rehearsals on MongoDB, which has no savepoints: in a database of their own, with transactions that are real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from typing import Any, ClassVar

from django.db import connections
from pymongo.operations import IndexModel
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from byron.cache.mongodb.base import SEQUENCES, DatabaseWrapper
from byron.exceptions import CacheError
from byron.schema.installed import ComponentConfig
from byron.testing.survival.faults import Faults
from byron.testing.survival.stages.base import Stage, pass_by_commit, pass_by_note
from byron.testing.survival.state import tables_of

#: What the database is called, after the name of the test's own. MongoDB takes 63 bytes.
_SUFFIX = "_rehearsal"
_LONGEST_NAME = 63

#: Nobody misses what a server loses that ends now, so nothing waits for its disk.
_SOON = WriteConcern(w=1, j=False)


class MongoStage(Stage):
    """A database beside the test's own, which the alias means meanwhile. Each rehearsal begins with an empty one."""

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        live: Any = connections[config.alias]
        self._name = f"{live.settings_dict['NAME']}{_SUFFIX}"
        if len(self._name.encode()) > _LONGEST_NAME:
            raise CacheError(f"The name of the database for rehearsals, {self._name}, is longer than MongoDB takes.")
        self._connection = _Connection({**deepcopy(live.settings_dict), "NAME": self._name}, config.alias)
        self._collections = [model._meta.db_table for model in tables_of(config)]

    @contextmanager
    def opened(self) -> Iterator[None]:
        # The test's connection is in a transaction, so it must not be closed.
        live: Any = connections[self._alias]
        connections[self._alias] = self._connection
        try:
            # A test that was killed may have left one.
            self._remove()
            self._create(live.database)
            yield
        finally:
            connections[self._alias] = live
            self._connection.close()
            self._remove()
            self._connection.close()

    @contextmanager
    def rehearsal(self, *, empty: bool) -> Iterator[None]:
        database = self._connection.database
        with self._connection.wrap_database_errors:
            for name in (*self._collections, SEQUENCES):
                database[name].delete_many({})
        yield

    @contextmanager
    def watched(self, faults: Faults) -> Iterator[None]:
        connection = self._connection

        def watch(execute: Callable[..., Any], statement: str, *rest: Any) -> Any:
            if connection.is_in_effects:
                connection.has_effects = True
            else:
                pass_by_note(faults, statement)
            return execute(statement, *rest)

        connection.before_commit = lambda: pass_by_commit(faults)
        try:
            with connection.execute_wrapper(watch):
                yield
        finally:
            connection.before_commit = None

    def end_process(self) -> None:
        """Do nothing: with the process that ended, its transaction was undone."""

    def _create(self, live: Any) -> None:
        """Make the collections, with those indexes of the test's that refuse something: few rows need no others."""
        database = self._connection.database
        with self._connection.wrap_database_errors:
            for name in self._collections:
                database.create_collection(name)
                indexes = [_index(each) for each in live[name].list_indexes() if each.get("unique")]
                if indexes:
                    database[name].create_indexes(indexes)

    def _remove(self) -> None:
        self._connection.ensure_connection()
        with self._connection.wrap_database_errors:
            self._connection.connection.drop_database(self._name)


class _Connection(DatabaseWrapper):
    """A connection to a database for rehearsals, for all simulated processes one after the other."""

    #: Local: what was written outside of transactions is seen at once, though nobody waited for the majority.
    transactions: ClassVar[dict[str, Any]] = {
        **DatabaseWrapper.transactions,
        "read_concern": ReadConcern("local"),
        "write_concern": _SOON,
    }

    #: What is called before the commit of effects.
    before_commit: Callable[[], None] | None = None
    #: Whether the transaction at hand has effects.
    has_effects = False

    #: Rows are held from nobody, which would take a fifth of the time.
    has_others = False

    @property
    def is_in_effects(self) -> bool:
        """Whether a transaction is open that would be a savepoint's within a test's transaction."""
        return any(block.savepoint for block in self.atomic_blocks)

    @property
    def database(self) -> Any:
        self.ensure_connection()
        return self._database

    @cached_property
    def _database(self) -> Any:
        return super().database.with_options(write_concern=_SOON)

    def name_session(self, name: str) -> None:
        """Do nothing: all the processes have this one session, whose transactions end with them."""

    def end_sessions(self, names: Any) -> None:
        """Do nothing, for the same reason."""

    def on_commit(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: what is to come after a commit does not come in tests, on any engine."""

    def _set_autocommit(self, autocommit: bool) -> None:
        self.has_effects = False
        super()._set_autocommit(autocommit)

    def _commit(self) -> None:
        if self.has_effects and self.before_commit is not None:
            try:
                self.before_commit()
            except BaseException:
                self._rollback()
                raise
        super()._commit()


def _index(described: Any) -> IndexModel:
    """Return an index as the server describes it, to be made anew."""
    options = {name: value for name, value in described.items() if name not in ("v", "key", "ns")}
    return IndexModel(list(described["key"].items()), **options)
