"""The connection of one thread to a Cache on MongoDB.

A transaction of Django's is one of MongoDB's: `atomic` begins it, every statement is sent in its session, and it is
committed with the outermost `atomic`. There are no savepoints, so an error inside undoes all of it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar

from django.db import DatabaseError, NotSupportedError, OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.validation import BaseDatabaseValidation
from django_mongodb_backend import base
from pymongo import MongoClient, ReadPreference, ReturnDocument
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from byron.cache.mongodb import dbapi
from byron.cache.mongodb.expressions import register_expressions
from byron.cache.mongodb.features import DatabaseFeatures
from byron.cache.mongodb.operations import DatabaseOperations
from byron.cache.mongodb.read_only import ReadOnlyClient
from byron.cache.mongodb.schema import DatabaseIntrospection, DatabaseSchemaEditor
from byron.cache.roles import Role, process_role

register_expressions()

#: The collection that tells whose sessions are whose, and for how long it does.
SESSIONS = "byron_session"
_FORGOTTEN = timedelta(days=30)

#: The collection of what has been counted up so far, by the name of the table.
SEQUENCES = "byron_sequence"


#: Lookups that compare two values, and MongoDB's operators for them.
_COMPARISONS = {"exact": "$eq", "gt": "$gt", "gte": "$gte", "lt": "$lt", "lte": "$lte"}


def _compared(operator: str, one: Any, other: Any) -> dict[str, Any]:
    """Return the comparison of two values, which is false where one of them is null or missing, as in SQL."""
    # What is missing is less than null.
    known = [{"$gt": [each, None]} for each in (one, other) if isinstance(each, str | dict)]
    return {"$and": [{operator: [one, other]}, *known]}


class _Cursor:
    """What Django's own code enters and does not use."""

    def __enter__(self) -> _Cursor:
        return self

    def __exit__(self, *error: object) -> None:
        """Do nothing: there is nothing to close."""

    def execute(self, sql: str, params: Any = None) -> None:
        raise NotSupportedError("MongoDB takes no SQL. Use the models, or connections[alias].database for PyMongo's.")

    executemany = execute


class DatabaseWrapper(base.DatabaseWrapper):
    #: By which Byron's own expressions know this engine from the plain backend.
    is_cache = True

    Database = dbapi
    SchemaEditorClass = DatabaseSchemaEditor
    features_class = DatabaseFeatures
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations
    #: The backend's refuses counted primary keys, which are counted here.
    validation_class = BaseDatabaseValidation
    data_types: ClassVar[dict[str, str]] = {
        **base.DatabaseWrapper.data_types,
        "AutoField": "long",
        "BigAutoField": "long",
        "SmallAutoField": "int",
        "DateField": "string",
        "DateTimeField": "string",
        "TimeField": "string",
    }

    #: The backend takes null for less than any value of another column, and for the same as null.
    mongo_expr_operators: ClassVar[dict[str, Any]] = {
        **base.DatabaseWrapper.mongo_expr_operators,
        **{name: partial(_compared, operator) for name, operator in _COMPARISONS.items()},
    }

    #: Whether others may be at work in the database, from whom `select_for_update` holds rows.
    has_others = True

    #: The primary alone has transactions, whatever server the URL prefers for other reads.
    transactions: ClassVar[dict[str, Any]] = {
        "read_concern": ReadConcern("snapshot"),
        "write_concern": WriteConcern("majority"),
        "read_preference": ReadPreference.PRIMARY,
    }

    #: Clients are pools, for all threads of a process, by what they were made with.
    _clients: ClassVar[dict[str, MongoClient[Any]]] = {}
    _making = threading.Lock()

    #: The session of this connection's transactions, when there has been one; `session` while one is open.
    _own: Any = None

    # Django's own: those of the backend know nothing of transactions.
    set_autocommit = BaseDatabaseWrapper.set_autocommit
    on_commit = BaseDatabaseWrapper.on_commit
    close = BaseDatabaseWrapper.close
    init_connection_state = BaseDatabaseWrapper.init_connection_state

    @property
    def database(self) -> Any:
        """PyMongo's database of this Cache."""
        self.ensure_connection()
        return self.connection[self.settings_dict["NAME"]]

    def get_new_connection(self, conn_params: Any) -> Any:
        # The whole process's role, as on the other engines: `acting_as` is for tests.
        kind = ReadOnlyClient if process_role() is Role.API else MongoClient
        key = f"{kind.__name__} {sorted(conn_params.items(), key=str)!r}"
        with self._making:
            if key not in self._clients:
                self._clients[key] = kind(**conn_params, driver=self._driver_info())
            return self._clients[key]

    def close_pool(self) -> None:
        """Close this thread's connection, and for all threads the client behind it."""
        client = self.connection
        self.close()
        if client is not None:
            for key in [key for key, each in self._clients.items() if each is client]:
                del self._clients[key]
            client.close()

    def get_database_version(self) -> tuple[int, ...]:
        self.ensure_connection()
        return tuple(self.connection.server_info()["versionArray"])

    def get_collection(self, name: str, **kwargs: Any) -> Any:
        self.validate_no_broken_transaction()
        return self.database.get_collection(name, **kwargs)

    def cursor(self) -> Any:
        return _Cursor()

    def is_usable(self) -> bool:
        try:
            self.connection.admin.command("ping")
        except PyMongoError:
            return False
        return True

    @contextmanager
    def statement(self, verb: str, collection: str) -> Iterator[None]:
        """Prepare a statement as Django prepares SQL, and note its failure: MongoDB ends the transaction then.

        Wrappers are told SQL's verb for it, and the collection.
        """
        self.validate_no_broken_transaction()
        self.ensure_connection()
        run: Any = _nothing
        for wrapper in self.execute_wrappers:
            run = partial(wrapper, run)
        run(f"{verb} {collection}", None, False, {"connection": self, "cursor": None})
        try:
            with self.wrap_database_errors:
                yield
        except DatabaseError as error:
            if self.in_atomic_block:
                self.needs_rollback = True
            cause = error.__cause__
            if error.args or cause is None:
                raise
            # The backend says neither what happened, nor that it was the connection.
            kind = OperationalError if isinstance(cause, ConnectionFailure) else type(error)
            raise kind(str(cause)) from cause

    def next_number(self, table: str, count: int) -> int:
        """Count up for so many new rows of a table, and return the last number.

        Not in the transaction at hand, in which others would have to wait for it: numbers may be left out.
        """
        found = self.database[SEQUENCES].find_one_and_update(
            {"_id": table}, {"$inc": {"last": count}}, upsert=True, return_document=ReturnDocument.AFTER
        )
        return int(found["last"])

    def has_transactions(self) -> bool:
        """Return whether the server has transactions: one that stands alone has none."""
        with self.wrap_database_errors:
            if self.features._supports_transactions:
                return True
        # For the next time: someone may have mended it.
        del self.features._supports_transactions
        return False

    def require_transactions(self) -> None:
        """Raise OperationalError when the server has no transactions."""
        if self.has_transactions():
            return
        raise OperationalError(
            f"The MongoDB server of the Cache {self.alias} stands alone, and only replica sets have transactions. "
            "Start mongod with --replSet rs0, and run rs.initiate() once: one member is enough."
        )

    def _set_autocommit(self, autocommit: bool) -> None:
        if autocommit:
            return
        self.require_transactions()
        session = self._own_session()
        session.start_transaction(**self.transactions)
        self.session = session

    def _own_session(self) -> Any:
        if self._own is None:
            self._own = self.connection.start_session()
        return self._own

    def name_session(self, name: str) -> None:
        """Write down whose the session is in which this thread's transactions are, for `end_sessions` of others.

        A former session of the thread is ended: where its connection was lost, its last transaction may still be open.
        """
        self.ensure_connection()
        now, session = datetime.now(UTC), self._own_session().session_id
        with self.wrap_database_errors:
            named = self.database[SESSIONS]
            named.delete_many({"since": {"$lt": now - _FORGOTTEN}})
            former = named.find_one_and_update(
                {"_id": f"{name} {threading.get_ident()}"},
                {"$set": {"name": name, "session": session, "since": now}},
                upsert=True,
            )
            # A session that ended in order may be another thread's by now.
            if former is not None and named.find_one({"session": former["session"]}) is None:
                self.connection.admin.command("killSessions", [former["session"]])

    def end_sessions(self, names: Collection[str]) -> None:
        """End the sessions of these names, and with them their transactions: MongoDB itself waits for a minute."""
        self.ensure_connection()
        with self.wrap_database_errors:
            named = self.database[SESSIONS]
            chosen = {"name": {"$in": list(names)}}
            sessions = [each["session"] for each in named.find(chosen)]
            if sessions:
                self.connection.admin.command("killSessions", sessions)
                named.delete_many(chosen)

    def _commit(self) -> None:
        if self.session is not None:
            with self.wrap_database_errors:
                self.session.commit_transaction()
            self.session = None

    def _rollback(self) -> None:
        if self.session is not None:
            with self.wrap_database_errors:
                self.session.abort_transaction()
            self.session = None

    def _close(self) -> None:
        """End the session; what was not committed is undone."""
        own, self._own, self.session = self._own, None, None
        if own is not None:
            own.end_session()


def _nothing(*args: Any) -> None:
    """Stand for the statement itself, which runs after all that is to come before it."""
