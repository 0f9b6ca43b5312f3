"""Whether an error is the database's own trouble, which passes, or the fault of what was to be stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from byron.cache.migrations import is_pending

#: Classes and codes of SQLSTATE that say nothing about the statement: connection, resources, an operator or a
#: restart, the system below, locks of others, deadlocks, a server that only reads.
_PASSING_CLASSES = frozenset({"08", "53", "58", "40", "XX"})
_PASSING_STATES = frozenset({"57P01", "57P02", "57P03", "57P05", "55P03", "55006", "25006", "25P03"})

#: SQLite's primary result codes of the same kind: BUSY, LOCKED, NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL,
#: CANTOPEN, PROTOCOL, NOTADB.
_PASSING_CODES = frozenset({5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 26})

#: A column or table that is not there: PostgreSQL's states, and SQLite's code for any faulty statement.
_MISSING_STATES = frozenset({"42P01", "42703"})
_SQLITE_ERROR = 1

#: A statement that wanted to write where only reading is allowed. SQLite's further codes of the kind tell of a reader
#: that cannot open the journal.
_SQLITE_READONLY, _READ_ONLY_TRANSACTION = 8, "25006"

#: A missing right: PostgreSQL's state, and MongoDB's code.
_INSUFFICIENT_PRIVILEGE, _UNAUTHORIZED = "42501", 13

#: MongoDB's codes of the same kind: servers that cannot be reached, stop, or are not the primary; locks of others,
#: transactions that the server ended; time, disk; rights, which a new collection has not before `cacheroles` is run.
_MONGODB_CODES = frozenset(
    {
        6,
        7,
        13,
        18,
        24,
        46,
        50,
        64,
        89,
        91,
        112,
        133,
        189,
        246,
        251,
        262,
        290,
        9001,
        10107,
        11600,
        11602,
        13435,
        13436,
        14031,
    }
)

#: MongoDB's code for what another transaction has written meanwhile.
_WRITE_CONFLICT = 112


def is_trouble(error: BaseException, alias: str) -> bool:
    """Whether an error, or what caused it, is the trouble of a database that will be well again.

    Tables that are not migrated count as trouble, and rights that the user lacks: an event is not to blame for them.
    """
    return any(_passes(each, alias) for each in _chain(error))


def is_unavailable(error: BaseException, alias: str) -> bool:
    """Whether an error tells a reader that the database is away for now.

    That a connection may only read is no trouble there, nor is PostgreSQL's missing right: whoever meets them has tried
    to write. On MongoDB a reader meets that one, too, as long as a new collection has no rights.
    """
    if is_refused_write(error) or any(
        getattr(each, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE for each in _chain(error)
    ):
        return False
    return is_trouble(error, alias)


def is_refused_write(error: BaseException) -> bool:
    """Whether a connection that may only read refused to write."""
    return any(
        getattr(each, "sqlite_errorcode", None) == _SQLITE_READONLY
        or getattr(each, "sqlstate", None) == _READ_ONLY_TRANSACTION
        for each in _chain(error)
    )


def lacks_right(error: BaseException) -> bool:
    """Whether the database user lacks a right that the statement needs."""
    return any(
        getattr(each, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE or _mongodb_code(each) == _UNAUTHORIZED
        for each in _chain(error)
    )


def is_conflict(error: BaseException) -> bool:
    """Whether another transaction was in the way, of a database that does not wait for locks."""
    return any(_mongodb_code(each) == _WRITE_CONFLICT for each in _chain(error))


def remedy_for(alias: str) -> str:
    """Return what to do about a Cache that lacks its tables, for a log line; empty for what passes by itself."""
    connection = connections[alias]
    if connection.vendor != "sqlite" and connection.connection is None:
        # There is none to be had now, as the error at hand says: another try could take as long again.
        return ""
    try:
        return " remedy='run manage.py migrate'" if is_pending(alias) else ""
    except DatabaseError:
        return ""


def _mongodb_code(error: BaseException) -> Any:
    """Return the code of an error of PyMongo's."""
    return getattr(error, "code", None) if hasattr(error, "has_error_label") else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _passes(error: BaseException, alias: str) -> bool:
    if not isinstance(error, DatabaseError | InterfaceError):
        return False
    cause = error.__cause__
    state = getattr(cause, "sqlstate", None)
    if isinstance(state, str):
        if state in _MISSING_STATES:
            return _unmigrated(alias)
        return state[:2] in _PASSING_CLASSES or state in _PASSING_STATES or state == _INSUFFICIENT_PRIVILEGE
    if cause is not None and hasattr(cause, "has_error_label"):
        # PyMongo's: of lost connections the engine makes the first. A transaction's trouble is labelled.
        labelled = cause.has_error_label("TransientTransactionError")
        code = getattr(cause, "code", None)
        return isinstance(error, OperationalError) or labelled or code in _MONGODB_CODES
    if isinstance(cause, sqlite3.Error):
        code = getattr(cause, "sqlite_errorcode", None)
        if code is None:
            return "closed database" in str(cause)
        primary = code & 0xFF
        return primary in _PASSING_CODES or (primary == _SQLITE_ERROR and _unmigrated(alias))
    # Neither says anything about itself: the client lost the connection, or never had one.
    return isinstance(error, OperationalError | InterfaceError)


def _unmigrated(alias: str) -> bool:
    try:
        return is_pending(alias)
    except DatabaseError:
        return True
