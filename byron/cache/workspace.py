"""A second set of a Cache's tables beside the live one, and the step that makes it the live one's content.

While a workspace is open, the component's alias means the workspace, so that handlers, migrations and
all else work on it unknowingly, and a second alias means the live tables.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections, models, transaction
from filelock import FileLock, Timeout

from byron.exceptions import CacheError

#: PostgreSQL's schema for the tables of a rebuild, and the beginning of its name for Caches beside the first.
_SCHEMA = "byron_rebuild"

#: Characters of a name that PostgreSQL keeps.
_LONGEST_NAME = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What the live tables lacked or had too much: rows that differ count on both sides."""

    table: str
    rows: int
    removed: int
    added: int


@contextmanager
def redirected(alias: str, database: dict[str, Any]) -> Iterator[str]:
    """Let an alias mean another database for a while; gives the alias of the one that it meant before."""
    live = f"{alias}__live"
    before = connections.settings[alias]
    connections[alias].close()
    del connections[alias]
    connections.settings[live], connections.settings[alias] = before, database
    try:
        yield live
    finally:
        # One that could not be made, for want of its driver, cannot be closed either.
        for connection in connections.all(initialized_only=True):
            if connection.alias in (alias, live):
                connection.close()
                del connections[connection.alias]
        connections.settings[alias] = before
        del connections.settings[live]


class Workspace(ABC):
    """The tables of one rebuild. Each engine has its own way to keep them apart from the live ones."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.live = ""

    @contextmanager
    def opened(self, *, resume: bool = False) -> Iterator[None]:
        """Redirect the alias to migrated tables: empty ones, or those of an interrupted rebuild.

        Raises CacheError when another rebuild of this Cache is at work.
        """
        with self._locked(), redirected(self.alias, self._database()) as self.live:
            if not resume:
                self.remove()
            self._create()
            call_command("migrate", database=self.alias, interactive=False, verbosity=0)
            yield

    @contextmanager
    def switch(self) -> Iterator[None]:
        """Hold one transaction on the live tables, in which `replace` can be called."""
        with transaction.atomic(using=self.live):
            yield

    def replace(self, tables: Sequence[type[models.Model]]) -> list[Difference]:
        """Make the live tables' rows those of the workspace; rows that are the same are left alone."""
        return [self._replace(model) for model in tables]

    @abstractmethod
    def _replace(self, model: type[models.Model]) -> Difference:
        """Make one live table's rows those of the workspace, in the transaction at hand."""

    @contextmanager
    @abstractmethod
    def _locked(self) -> Iterator[None]:
        """Keep other rebuilds of this Cache away."""

    @abstractmethod
    def _database(self) -> dict[str, Any]:
        """Return the workspace's settings, as in DATABASES."""

    @abstractmethod
    def _create(self) -> None:
        """Make a place for the tables, unless there is one."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the tables of this rebuild or an earlier one."""


class _SQLWorkspace(Workspace):
    """Tables that the live connection can name, so that the database compares them."""

    def _replace(self, model: type[models.Model]) -> Difference:
        connection = connections[self.live]
        quote = connection.ops.quote_name
        columns = {field: quote(field.column) for field in model._meta.concrete_fields if field.column}
        key = quote(model._meta.pk.column or "id")
        listed = ", ".join(columns.values())
        compared = ", ".join(self._exactly(field, column) for field, column in columns.items())
        live, rebuilt = quote(model._meta.db_table), f"{self._prefix()}.{quote(model._meta.db_table)}"
        with connection.cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {live} WHERE {key} IN (SELECT {key} FROM "
                f"(SELECT {compared} FROM {live} EXCEPT SELECT {compared} FROM {rebuilt}) AS stale)"
            )
            removed = cursor.rowcount
            # What is left of the live rows is as it should be.
            cursor.execute(
                f"INSERT INTO {live} ({listed}) SELECT {listed} FROM {rebuilt} AS anew"
                f" WHERE NOT EXISTS (SELECT 1 FROM {live} AS same WHERE same.{key} = anew.{key})"
            )
            added = cursor.rowcount
            cursor.execute(f"SELECT count(*) FROM {live}")
            [rows] = cursor.fetchone()
        return Difference(table=model._meta.db_table, rows=rows, removed=removed, added=added)

    @staticmethod
    def _exactly(field: models.Field[Any, Any], column: str) -> str:
        """Return a field's column as it is to be compared: alike only if every digit is."""
        return column

    @abstractmethod
    def _prefix(self) -> str:
        """Return what the workspace's tables are called by on the live connection."""


class SQLiteWorkspace(_SQLWorkspace):
    """A second file beside the live one, attached to it for the switch."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        live = str(connections.settings[alias]["NAME"])
        if "memory" in live:
            raise CacheError("A Cache in memory cannot be rebuilt beside itself; it is gone with its process anyway.")
        self.path = Path(f"{live}.rebuild")

    @contextmanager
    def switch(self) -> Iterator[None]:
        connections[self.alias].close()
        with connections[self.live].cursor() as cursor:
            # Not inside a transaction, SQLite says; read-only, so that the transaction locks the live file alone.
            cursor.execute("ATTACH DATABASE %s AS rebuilt", [f"{self.path.resolve().as_uri()}?mode=ro"])
        with super().switch():
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with FileLock(f"{self.path}.lock", timeout=0):
                yield
        except Timeout as error:
            raise CacheError(f"Another rebuild of the Cache {self.alias} is at work.") from error

    def _database(self) -> dict[str, Any]:
        return {**deepcopy(connections.settings[self.alias]), "NAME": str(self.path)}

    def _create(self) -> None:
        """Do nothing: SQLite makes the file."""

    @staticmethod
    def _exactly(field: models.Field[Any, Any], column: str) -> str:
        # Decimals that are equal may still be written with other digits.
        return f"{column} COLLATE BINARY"

    def _prefix(self) -> str:
        return "rebuilt"

    def remove(self) -> None:
        connections[self.alias].close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)


class PostgresWorkspace(_SQLWorkspace):
    """A schema of its own in the same database, for each schema that has a Cache."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self.schema = _SCHEMA

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A connection of its own: the lock lives and dies with it.
        keeper = connections.create_connection(self.alias)
        try:
            with keeper.cursor() as cursor:
                cursor.execute("SELECT current_schema()")
                self.schema = _schema_beside(cursor.fetchone()[0])
                cursor.execute("SELECT pg_try_advisory_lock(hashtext(%s))", [self.schema])
                if not cursor.fetchone()[0]:
                    raise CacheError(f"Another rebuild of the Cache {self.alias} is at work.")
            yield
        finally:
            keeper.close()

    def _database(self) -> dict[str, Any]:
        database: dict[str, Any] = deepcopy(connections.settings[self.alias])
        options = database.setdefault("OPTIONS", {})
        options["options"] = f"{options.get('options', '')} -c search_path={self.schema}".strip()
        return database

    def _create(self) -> None:
        with connections[self.live].cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")

    @staticmethod
    def _exactly(field: models.Field[Any, Any], column: str) -> str:
        # PostgreSQL cannot compare its `json`.
        return f"{column}::text" if isinstance(field, models.JSONField) else column

    def _prefix(self) -> str:
        return self.schema

    def remove(self) -> None:
        with connections[self.live].cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {self.schema} CASCADE")


def _schema_beside(live: str | None) -> str:
    """Return the name, safe in SQL, of the schema for a rebuild of the tables in this one."""
    if live in (None, "public"):
        return _SCHEMA
    return f"{_SCHEMA}_{re.sub('[^a-z0-9_]', '_', str(live))}"[:_LONGEST_NAME]


def workspace_for(alias: str) -> Workspace:
    """Return the workspace of a Cache. Raises CacheError for an engine that has none."""
    vendor = connections[alias].vendor
    if vendor == "mongodb":
        # Late: it needs an extra.
        made: Workspace = import_module("byron.cache.mongodb.workspace").MongoWorkspace(alias)
        return made
    kinds: dict[str, type[Workspace]] = {"sqlite": SQLiteWorkspace, "postgresql": PostgresWorkspace}
    if vendor not in kinds:
        raise CacheError(f"Byron does not know how to rebuild a Cache on {vendor} beside itself.")
    return kinds[vendor](alias)
