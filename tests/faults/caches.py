"""A Ledger's Cache on each engine, read past Django, and what can befall its server."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from tests.mongodb import MongoServer
from tests.postgres import PostgresServer
from tests.servers import DatabaseServer

if TYPE_CHECKING:
    from tests.faults.ledger import Book


class Cache(ABC):
    """The tables of a Ledger's Cache."""

    #: What the driver raises while the database cannot be reached.
    away: ClassVar[type[Exception]]
    #: Entries that keep a Sink busy for some seconds.
    plenty: ClassVar[int] = 5000

    @abstractmethod
    def read(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return these columns of all rows, in the order of the first one. Raises `away`."""

    @abstractmethod
    def count(self, table: str) -> int:
        """Return how many rows there are. Raises `away`."""

    @abstractmethod
    def add(self, table: str, column: str, number: int) -> None:
        """Add a number to a column of all rows, behind the Sinks' backs."""

    @abstractmethod
    def close(self) -> None:
        """Close what is open."""

    @abstractmethod
    def another(self) -> Self:
        """Return one for another thread."""

    def applied(self) -> int:
        """Return how many entries and lines there are; -1 while the database cannot be reached."""
        try:
            return self.count("ledger_entry") + self.count("ledger_line")
        except self.away:
            return -1

    def position(self) -> int:
        """Return the newest position that any slot has applied."""
        return max(self.positions().values(), default=0)

    def positions(self) -> dict[int, int]:
        """Return each slot's checkpoint."""
        return dict(self.read("byron_checkpoint", "slot", "position"))

    def owners(self) -> dict[str, list[int]]:
        """Return the slots of each Sink that owns some; those of none belong to the empty name."""
        owners: dict[str, list[int]] = {}
        for slot, owner in self.read("byron_checkpoint", "slot", "owner"):
            owners.setdefault(owner, []).append(slot)
        return owners

    def parked(self) -> list[tuple[str, str]]:
        """Return the key and state of each parked event, in the log's order."""
        return [(key, state) for _, key, state in self.read("byron_parked_event", "position", "key", "state")]

    def names(self, table: str) -> set[str]:
        """Return the ids of all rows."""
        return {name for (name,) in self.read(table, "id")}

    def differences(
        self, book: Book, held: Collection[str] = (), parked: Sequence[tuple[str, str]] = ()
    ) -> dict[str, Any]:
        """Return what is not as it must be after all was applied once and in order, but for entries that are held."""
        entries = self.names("ledger_entry")
        accounts = {row[0]: row[1:] for row in self.read("ledger_account", "id", "total", "last", "disorder")}
        wanted = book.accounts(held)
        found = {
            "missing": sorted(book.entries.keys() - set(held) - entries),
            "unexpected": sorted(entries - (book.entries.keys() - set(held))),
            "missing lines": sorted(book.lines - self.names("ledger_line")),
            "total, last, disorder": {
                name: {"is": accounts.get(name), "should be": wanted.get(name)}
                for name in sorted(wanted.keys() | accounts.keys())
                if accounts.get(name) != wanted.get(name)
            },
            "parked": [] if self.parked() == list(parked) else self.parked(),
        }
        return {what: value for what, value in found.items() if value}


class _SqlCache(Cache):
    _connection: Any = None

    @abstractmethod
    def _connect(self) -> Any:
        """Return a new connection, which commits by itself."""

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what a statement finds."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            return list(self._connection.execute(statement).fetchall())
        except self.away:
            self.close()
            raise

    def read(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        return self.rows(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {columns[0]}")

    def add(self, table: str, column: str, number: int) -> None:
        self.rows(f"UPDATE {table} SET {column} = {column} + {number} RETURNING {column}")

    def count(self, table: str) -> int:
        [(found,)] = self.rows(f"SELECT count(*) FROM {table}")
        return int(found)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def another(self) -> Self:
        made = copy(self)
        made._connection = None
        return made


class SqliteCache(_SqlCache):
    away = sqlite3.OperationalError

    def __init__(self, file: Path) -> None:
        self._file = file

    def _connect(self) -> Any:
        return sqlite3.connect(self._file, isolation_level=None, timeout=60)


class ServedCache(Cache):
    """A Cache whose database is a server, which can be stopped and started again."""

    server: DatabaseServer
    #: For CACHE_URL.
    url: str

    @abstractmethod
    def drop_connections(self) -> None:
        """End connections to the Cache that are in use, whatever they are at."""


class PostgresCache(_SqlCache, ServedCache):
    def __init__(self, server: PostgresServer, name: str) -> None:
        import psycopg

        self.away = psycopg.OperationalError  # type: ignore[misc]
        self.server, self.url = server, server.create_database(name)

    def _connect(self) -> Any:
        import psycopg

        return psycopg.connect(self.url, autocommit=True, connect_timeout=5)

    def drop_connections(self) -> None:
        ended = self.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert ended, "there were no connections"


class MongoCache(ServedCache):
    """A Cache on a mongod that takes commands for tests."""

    plenty = 1500

    def __init__(self, server: MongoServer, name: str) -> None:
        from pymongo.errors import PyMongoError

        self.away = PyMongoError  # type: ignore[misc]
        url = server.create_database(name)
        # By which what is to fail for the Sinks is told from what is asked here.
        self.server, self.url = server, f"{url}?appName={name}"
        self._name = name
        self._open(server.client())

    def _open(self, client: Any) -> None:
        self._client, self._database = client, client[self._name]

    def read(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        found = self._database[table].find({}, columns).sort(columns[0])
        return [tuple(each[column] for column in columns) for each in found]

    def add(self, table: str, column: str, number: int) -> None:
        self._database[table].update_many({}, {"$inc": {column: number}})

    def count(self, table: str) -> int:
        return int(self._database[table].count_documents({}))

    def close(self) -> None:
        self._client.close()

    def another(self) -> Self:
        made = copy(self)
        made._open(self.server.client())
        return made

    def drop_connections(self) -> None:
        # Statements are sent once more, and begin to fail with the second connection that is lost.
        self.fail(4, "aggregate", "update", "insert", "delete", "commitTransaction", closeConnection=True)

    def fail(self, times: int, *commands: str, **how: Any) -> None:
        """Have the next of these commands fail for the Sinks."""
        data = {"failCommands": commands, "appName": self._name, **how}
        self._client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=data)
