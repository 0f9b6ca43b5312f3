"""Collections and their indexes."""

from __future__ import annotations

from typing import Any

from django_mongodb_backend import introspection, schema
from pymongo.operations import IndexModel

#: Where in a stored decimal is what it is compared by.
_KEY = ".key"


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    def add_index(
        self,
        model: Any,
        index: Any,
        *,
        field: Any = None,
        unique: bool = False,
        column_prefix: str = "",
        parent_model: Any = None,
    ) -> None:
        """Add an index. A unique one leaves null out, where the columns can be null; then lookups need a second one."""
        made = index.get_pymongo_index_model(
            model, schema_editor=self, field=field, unique=unique, column_prefix=column_prefix
        )
        if made is None or not hasattr(made, "document"):
            super().add_index(model, index, field=field, unique=unique, column_prefix=column_prefix)
            return
        # A field that is being added is not the model's yet.
        indexed = [field] if field else [model._meta.get_field(name) for name, _ in index.fields_orders]
        fields = {each.column: each for each in indexed}
        description = dict(made.document)
        keys = [(_path(fields[column]), order) for column, order in description.pop("key").items()]
        condition = {}
        if unique and any(each.null for each in fields.values()):
            condition = {_path(each): {"$type": _stored_type(each, self.connection)} for each in fields.values()}
        description.pop("partialFilterExpression", None)
        collection = self.get_collection(model._meta.db_table)
        if condition:
            name = _lookup_name(description["name"])
            collection.create_indexes([IndexModel(keys, name=name)])
            description["partialFilterExpression"] = condition
        collection.create_indexes([IndexModel(keys, **description)])

    def _remove_field_unique(self, model: Any, field: Any, column_prefix: str = "") -> None:
        if field.null:
            name = str(self._unique_constraint_name(model._meta.db_table, [column_prefix + field.column]))
            self.get_collection(model._meta.db_table).drop_index(_lookup_name(name))
        super()._remove_field_unique(model, field, column_prefix=column_prefix)


class DatabaseIntrospection(introspection.DatabaseIntrospection):
    def table_names(self, cursor: Any = None, include_views: bool = False) -> Any:
        with self.connection.wrap_database_errors:
            return super().table_names(cursor, include_views)

    def _get_index_info(self, table_name: str) -> Any:
        found = super()._get_index_info(table_name)
        for each in found.values():
            each["columns"] = [column.removesuffix(_KEY) for column in each["columns"]]
        return found


def _is_decimal(field: Any) -> bool:
    return bool(field.get_internal_type() == "ByronDecimalField")


def _path(field: Any) -> str:
    return f"{field.column}{_KEY}" if _is_decimal(field) else str(field.column)


def _stored_type(field: Any, connection: Any) -> str:
    return "string" if _is_decimal(field) else str(field.db_type(connection))


def _lookup_name(name: str) -> str:
    return f"{name}_lookup"
