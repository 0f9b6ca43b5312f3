"""Django's queries as statements for MongoDB, in the order in which they are to be understood: locks, then reads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

from bson import Int64, ObjectId
from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import DatabaseError, IntegrityError, NotSupportedError
from django.db.models import Q, Subquery
from django.db.models.constants import OnConflict
from django.db.models.sql import Query
from django.db.models.sql.constants import MULTI
from django.db.transaction import TransactionManagementError
from django_mongodb_backend import compiler
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

#: What a held row is marked with: two transactions cannot both write a document, and reading one holds nothing.
HELD = "byron_held"

#: MongoDB's code for a value that is unique and there already.
_DUPLICATE_KEY = 11000


class _Statement:
    """Tells the connection of a statement, so that it can prepare it and knows when it fails."""

    connection: Any
    query: Any
    verb = "SELECT"

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        with self.connection.statement(self.verb, self.query.get_meta().db_table):
            return super().execute_sql(*args, **kwargs)  # type: ignore[misc]


class SQLCompiler(_Statement, compiler.SQLCompiler):
    def execute_sql(self, result_type: Any = MULTI, *args: Any, **kwargs: Any) -> Any:
        if self.query.select_for_update:
            if self.connection.get_autocommit():
                raise TransactionManagementError("select_for_update cannot be used outside of a transaction.")
            if self.connection.has_others:
                self._hold()
        return super().execute_sql(result_type, *args, **kwargs)

    def _hold(self) -> None:
        """Write to the rows that are to be held. A transaction that writes to one of them meanwhile fails."""
        query = self.query.clone()
        query.clear_ordering(force=True)
        query.clear_limits()
        query.select_for_update = False
        _find_by_key(query, self.connection)
        chosen = query.get_compiler(connection=self.connection)
        chosen.pre_sql_setup()
        try:
            where = chosen.get_where()
            matching = where.as_mql(chosen, self.connection) if where else {}
        except FullResultSet:
            matching = {}
        except EmptyResultSet:
            return
        with self.connection.statement("SELECT FOR UPDATE", query.get_meta().db_table):
            # Not this query's own collection: a query knows it only once it is set up.
            chosen.collection.update_many(matching, {"$set": {HELD: ObjectId()}}, session=self.connection.session)

    def build_query(self, columns: Any = None) -> Any:
        # The backend reads whole documents when an instance is asked for, be it by only().
        wanted, is_deferred = self.query.deferred_loading
        if columns is None and (wanted or not is_deferred):
            columns = self.columns
        return super().build_query(columns)

    def cursor_iter(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with self.connection.wrap_database_errors:
            yield from super().cursor_iter(*args, **kwargs)


class SQLInsertCompiler(_Statement, compiler.SQLInsertCompiler):
    verb = "INSERT"

    def insert(self, docs: Any, returning_fields: Any = None) -> Any:
        """Store documents, each under its primary key, which is counted up where the model leaves that to the database.

        `bulk_create`'s conflicts are MongoDB's upserts: all of them one command.
        """
        meta = self.query.get_meta()
        key = meta.pk.column
        keyless = [doc for doc in docs if doc.get(key) is None]
        if keyless:
            last = self.connection.next_number(meta.db_table, len(keyless))
            for doc, number in zip(keyless, count(last - len(keyless) + 1), strict=False):
                doc[key] = Int64(number)
        if self.query.on_conflict is not None:
            self._upsert(docs, key)
        elif any(_is_computed(value) for doc in docs for value in doc.values()):
            self._write([self._computed(doc, key) for doc in docs])
        else:
            super().insert([{"_id": doc[key], **doc} for doc in docs])
        return [(doc[key],) for doc in docs] if returning_fields else []

    def _upsert(self, docs: Any, key: str) -> None:
        replaced: set[str] = set()
        if self.query.on_conflict == OnConflict.UPDATE:
            replaced = {field.column for field in self.query.update_fields}
        unique = [field.column for field in self.query.unique_fields or ()]
        operations = []
        for doc in docs:
            chosen = {column: doc[column] for column in unique} if unique and unique != [key] else {"_id": doc[key]}
            change = {"$set": {column: doc[column] for column in doc if column in replaced}}
            rest = {column: doc[column] for column in doc if column not in replaced}
            if "_id" not in chosen:
                rest["_id"] = doc[key]
            change["$setOnInsert"] = {column: rest[column] for column in rest if column not in chosen}
            operations.append(UpdateOne(chosen, {name: part for name, part in change.items() if part}, upsert=True))
        self._write(operations)

    def _computed(self, doc: Any, key: str) -> UpdateOne:
        """Return the insertion of a document with values that MongoDB computes: an update of what is not there."""
        values = {
            column: value.resolve_expression(self.query, allow_joins=False, for_save=True).as_mql(
                self, self.connection, as_expr=True
            )
            if _is_computed(value)
            else {"$literal": value}
            for column, value in doc.items()
        }
        # A document of that id has this column: it is not found, and inserting another one fails.
        return UpdateOne({"_id": doc[key], key: {"$exists": False}}, [{"$set": values}], upsert=True)

    def _write(self, operations: list[UpdateOne]) -> None:
        try:
            self.collection.bulk_write(operations, session=self.connection.session)
        except BulkWriteError as error:
            codes = {each.get("code") for each in (error.details or {}).get("writeErrors", ())}
            raise (IntegrityError if _DUPLICATE_KEY in codes else DatabaseError)(str(error)) from error


class SQLUpdateCompiler(_Statement, compiler.SQLUpdateCompiler):
    verb = "UPDATE"

    def pre_sql_setup(self, *args: Any, **kwargs: Any) -> Any:
        for field, _, value in self.query.values:
            if value is None and not field.null:
                raise IntegrityError(f"You can't set {field.name} (a non-nullable field) to None.")
            if _asks_further(value):
                raise NotSupportedError(
                    f"MongoDB cannot set {field.name} by a subquery: hold the rows with select_for_update(), and save "
                    "each with its value."
                )
            if field.get_internal_type() == "ByronDecimalField" and hasattr(value, "resolve_expression"):
                raise NotSupportedError(
                    f"MongoDB cannot compute {field.name}, a Decimal: hold the row with select_for_update(), compute "
                    "the new value in Python, and save it."
                )
        _find_by_key(self.query, self.connection)
        return super().pre_sql_setup(*args, **kwargs)


class SQLDeleteCompiler(_Statement, compiler.SQLDeleteCompiler):
    verb = "DELETE"

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        _find_by_key(self.query, self.connection)
        return super().execute_sql(*args, **kwargs)


class SQLAggregateCompiler(_Statement, compiler.SQLAggregateCompiler):
    pass


def _is_computed(value: Any) -> bool:
    return hasattr(value, "resolve_expression")


def _find_by_key(query: Query, connection: Any) -> None:
    """Have a query that looks into other collections find its rows by their keys, which are read first.

    What writes to MongoDB sees one collection alone.
    """
    if query.count_active_tables() < 2 and not _asks_further(query.where):
        return
    chosen = query.chain(klass=Query)
    chosen.clear_ordering(force=True)
    chosen.clear_select_fields()
    chosen.select_related = False
    chosen.set_annotation_mask(())
    chosen.add_fields([chosen.get_meta().pk.name])
    try:
        keys = {row[0] for rows in chosen.get_compiler(connection=connection).execute_sql(MULTI) for row in rows}
    except EmptyResultSet:
        keys = set()
    query.clear_where()
    base = query.get_initial_alias()
    query.reset_refcounts({alias: int(alias == base) for alias in query.alias_map})
    query.add_q(Q(pk__in=sorted(keys)))


def _asks_further(node: Any) -> bool:
    """Whether a condition, or an expression in it, is a query of its own."""
    if isinstance(node, Query | Subquery):
        return True
    parts = node.children if hasattr(node, "children") else getattr(node, "get_source_expressions", list)()
    return any(map(_asks_further, parts))
