"""A second database beside a Cache on MongoDB, for a rebuild.

The switch is one transaction, as on the other engines: it writes the documents that differ, and no others. So the
live collections keep their indexes and rights, and readers see the Cache of before or that of after.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from typing import Any

from django.db import connections, models
from pymongo.errors import DuplicateKeyError, PyMongoError

from byron.cache.mongodb.compiler import HELD
from byron.cache.workspace import Difference, Workspace
from byron.exceptions import CacheError

#: What the workspace's database is called, after the name of the live one. MongoDB takes 63 bytes.
_SUFFIX = "_rebuild"
_LONGEST_NAME = 63

#: The collection of the live database that tells who rebuilds it.
_LOCKS = "byron_rebuild"
_LOCK = "rebuild"

#: Seconds between two signs of life, and for how long one of them keeps others away.
_BEAT = 2.0
_FRESH = timedelta(seconds=30)

#: Documents of one command.
_CHUNK = 500


class MongoWorkspace(Workspace):
    """A database of its own at the same server."""

    def __init__(self, alias: str) -> None:
        super().__init__(alias)
        self._owner = uuid.uuid4().hex
        self._name = f"{connections.settings[alias]['NAME']}{_SUFFIX}"
        if len(self._name.encode()) > _LONGEST_NAME:
            raise CacheError(f"The name of a rebuild's database, {self._name}, is longer than MongoDB takes.")

    @contextmanager
    def switch(self) -> Iterator[None]:
        with super().switch():
            connection: Any = connections[self.live]
            locks, session = connection.database[_LOCKS], connection.session
            mine = {"_id": _LOCK, "owner": self._owner}
            with connection.wrap_database_errors:
                # Written, so that nobody takes the lock before this is committed.
                held = locks.update_one(mine, {"$inc": {"switches": 1}}, session=session).matched_count
            if not held:
                raise CacheError(f"Another rebuild of {self.alias} took this one for dead; nothing was switched.")
            yield

    def _replace(self, model: type[models.Model]) -> Difference:
        table = model._meta.db_table
        live: Any = connections[self.live]
        stored, session = live.database[table], live.session
        rebuilt = self._rebuilt()[table]
        removed = added = 0
        with live.wrap_database_errors:
            stale, missing = self._compared(stored.find(session=session).sort("_id"), rebuilt.find().sort("_id"))
            for chunk in _chunks(stale):
                removed += stored.delete_many({"_id": {"$in": chunk}}, session=session).deleted_count
            for chunk in _chunks(missing):
                documents = list(rebuilt.find({"_id": {"$in": chunk}}))
                added += len(stored.insert_many(documents, session=session).inserted_ids)
            rows = stored.count_documents({}, session=session)
        return Difference(table=table, rows=rows, removed=removed, added=added)

    @staticmethod
    def _compared(live: Iterator[dict[str, Any]], rebuilt: Iterator[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
        """Return the ids of what must go, and of what must come, of documents in the order of their ids."""
        # Both at once, so that what is the same is soon forgotten.
        stale: dict[Any, str] = {}
        missing: dict[Any, str] = {}
        for ours, theirs in zip_longest(live, rebuilt):
            for document, here, there in ((ours, stale, missing), (theirs, missing, stale)):
                if document is None:
                    continue
                identity, content = document["_id"], _content(document)
                if there.get(identity) == content:
                    del there[identity]
                else:
                    here[identity] = content
        return list(stale), list(missing)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        connection: Any = connections[self.alias]
        connection.ensure_connection()
        locks = connection.database[_LOCKS]
        now = datetime.now(UTC)
        free = {"_id": _LOCK, "seen": {"$lt": now - _FRESH}}
        with connection.wrap_database_errors:
            try:
                locks.update_one(free, {"$set": {"owner": self._owner, "seen": now}}, upsert=True)
            except DuplicateKeyError as error:
                raise CacheError(
                    f"Another rebuild of the Cache {self.alias} is at work, or ended less than {_FRESH.seconds} "
                    "seconds ago without a word."
                ) from error
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(locks, ended), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()
            with connection.wrap_database_errors:
                locks.delete_one({"_id": _LOCK, "owner": self._owner})

    def _keep(self, locks: Any, ended: threading.Event) -> None:
        """Give signs of life."""
        while not ended.wait(_BEAT):
            try:
                locks.update_one({"_id": _LOCK, "owner": self._owner}, {"$set": {"seen": datetime.now(UTC)}})
            except PyMongoError:
                # The switch looks whether the lock is still this one's.
                continue

    def _database(self) -> dict[str, Any]:
        return {**deepcopy(connections.settings[self.alias]), "NAME": self._name}

    def _create(self) -> None:
        """Do nothing: MongoDB makes a database when something is stored in it."""

    def remove(self) -> None:
        connection: Any = connections[self.live]
        connection.ensure_connection()
        with connection.wrap_database_errors:
            connection.connection.drop_database(self._name)

    def _rebuilt(self) -> Any:
        connection: Any = connections[self.live]
        return connection.connection[self._name]


def _content(document: dict[str, Any]) -> str:
    """Return what is compared: each value with its kind and its digits."""
    return repr([(name, document[name]) for name in sorted(document) if name != HELD])


def _chunks(values: list[Any]) -> Iterator[list[Any]]:
    for first in range(0, len(values), _CHUNK):
        yield values[first : first + _CHUNK]
