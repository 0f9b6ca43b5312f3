"""A client of MongoDB that only reads, for the API.

It guards against mistakes, not against intent, as the other engines' read-only sessions do: the rights of the user in
CACHE_URL are what nobody gets round.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database

from byron.exceptions import CacheWriteError

#: Commands that read, of those that `Database.command` may be given.
_READS = frozenset(
    {
        *("aggregate", "buildinfo", "collstats", "connectionstatus", "count", "dbstats"),
        *("distinct", "explain", "find", "getmore", "hello", "hostinfo"),
        *("ismaster", "killcursors", "listcollections", "listdatabases", "listindexes", "ping"),
    }
)

#: Stages of a pipeline that write what comes out of it.
_WRITING_STAGES = frozenset({"$out", "$merge"})


def _refusal(what: str) -> CacheWriteError:
    return CacheWriteError(
        f"The API cannot write the Cache ({what}): only the Sink does. Emit an event, and write in its handler."
    )


def _refused(name: str) -> Callable[..., Any]:
    def refuse(self: Any, *args: Any, **kwargs: Any) -> Any:
        raise _refusal(name)

    refuse.__name__ = name
    return refuse


def _refusing(*names: str) -> Callable[[type], type]:
    """Have these methods of a class refuse their work."""

    def change(made: type) -> type:
        for name in names:
            setattr(made, name, _refused(name))
        return made

    return change


def _require_reading(pipeline: Any) -> None:
    for stage in pipeline if isinstance(pipeline, list | tuple) else ():
        writing = _WRITING_STAGES.intersection(stage)
        if writing:
            raise _refusal(f"a pipeline with {min(writing)}")


@_refusing(
    *("insert_one", "insert_many", "replace_one", "update_one", "update_many", "delete_one", "delete_many"),
    *("bulk_write", "find_one_and_delete", "find_one_and_replace", "find_one_and_update", "drop", "rename"),
    *("create_index", "create_indexes", "drop_index", "drop_indexes"),
    *("create_search_index", "create_search_indexes", "update_search_index", "drop_search_index"),
)
class _ReadOnlyCollection(Collection[Any]):
    def __getattr__(self, name: str) -> Any:
        return _ReadOnlyCollection(self.database, f"{self.name}.{name}")

    def with_options(self, *args: Any, **kwargs: Any) -> Any:
        found = super().with_options(*args, **kwargs)
        return _ReadOnlyCollection(
            self.database, self.name, False, found.codec_options, found.read_preference, None, found.read_concern
        )

    def aggregate(self, pipeline: Any, *args: Any, **kwargs: Any) -> Any:
        _require_reading(pipeline)
        return super().aggregate(pipeline, *args, **kwargs)

    def aggregate_raw_batches(self, pipeline: Any, *args: Any, **kwargs: Any) -> Any:
        _require_reading(pipeline)
        return super().aggregate_raw_batches(pipeline, *args, **kwargs)


@_refusing("create_collection", "drop_collection", "dereference", "cursor_command")
class _ReadOnlyDatabase(Database[Any]):
    def __getitem__(self, name: str) -> Any:
        return _ReadOnlyCollection(self, name)

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def get_collection(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return _ReadOnlyCollection(self, name, False, *args, **kwargs)

    def with_options(self, *args: Any, **kwargs: Any) -> Any:
        return _ReadOnlyDatabase(self.client, self.name, *args, **kwargs)

    def aggregate(self, pipeline: Any, *args: Any, **kwargs: Any) -> Any:
        _require_reading(pipeline)
        return super().aggregate(pipeline, *args, **kwargs)

    def command(self, command: Any, value: Any = 1, *args: Any, **kwargs: Any) -> Any:
        name = command if isinstance(command, str) else next(iter(command), "")
        if name.lower() not in _READS:
            raise _refusal(f"the command {name}")
        _require_reading(kwargs.get("pipeline") if isinstance(command, str) else command.get("pipeline"))
        return super().command(command, value, *args, **kwargs)


@_refusing("drop_database", "bulk_write")
class ReadOnlyClient(MongoClient[Any]):
    """A client whose databases and collections raise CacheWriteError instead of writing."""

    def __getitem__(self, name: str) -> Any:
        return _ReadOnlyDatabase(self, name)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def get_database(self, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        return _ReadOnlyDatabase(self, name or super().get_default_database().name, *args, **kwargs)

    def get_default_database(self, *args: Any, **kwargs: Any) -> Any:
        return self.get_database(super().get_default_database(*args, **kwargs).name)
