"""Collections and their indexes."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DataError
from django_mongodb_backend import introspection, schema
from pymongo import UpdateOne
from pymongo.operations import IndexModel

#: Where in a stored decimal is what it is compared by.
_KEY = ".key"

#: Documents that are changed by one command.
_CHUNK = 500


class DatabaseSchemaEditor(schema.DatabaseSchemaEditor):
    def effective_default(self, field: Any) -> Any:
        """Return what rows are to get for a field, in an aggregation: there a plain "$text" would name a column."""
        return {"$literal": super().effective_default(field)}

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
        # A model that is about to be changed does not have the field yet by its new name.
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
        # By what the index is called, which may be after a table that was renamed.
        own = {constraint.name for constraint in model._meta.constraints}
        names = self._constraint_names(model, [column_prefix + field.column], unique=True, exclude=own)
        super()._remove_field_unique(model, field, column_prefix=column_prefix)
        collection = self.get_collection(model._meta.db_table)
        for name in {_lookup_name(each) for each in names} & set(collection.index_information()):
            collection.drop_index(name)

    def _alter_field(self, model: Any, old_field: Any, new_field: Any, *args: Any, **kwargs: Any) -> None:
        """Change a field, its values and the index that both need another kind of.

        Raises DataError for a value that cannot become one of the new field.
        """
        unique = self._field_should_have_unique(old_field) and self._field_should_have_unique(new_field)
        indexed = self._field_should_be_indexed(model, old_field) and self._field_should_be_indexed(model, new_field)
        # Under another name it is made anew anyway.
        is_same = old_field.column != new_field.column or (
            _index_of(old_field, self.connection) == _index_of(new_field, self.connection)
        )
        if unique and not is_same:
            self._remove_field_unique(model, old_field)
        if indexed and not is_same:
            self._remove_field_index(model, old_field)
        if old_field.get_internal_type() != new_field.get_internal_type():
            self._convert(model, old_field, new_field)
        super()._alter_field(model, old_field, new_field, *args, **kwargs)
        if unique and not is_same:
            self._add_field_unique(model, new_field)
        if indexed and not is_same:
            self._add_field_index(model, new_field)

    def _convert(self, model: Any, old_field: Any, new_field: Any) -> None:
        """Store a field's values as another field does."""
        rows = model._base_manager.using(self.connection.alias).exclude(**{old_field.attname: None})
        values = rows.values_list("pk", old_field.attname).iterator(_CHUNK)
        collection = self.get_collection(model._meta.db_table)
        while chunk := list(islice(values, _CHUNK)):
            changes = [(key, self._converted(value, old_field, new_field)) for key, value in chunk]
            collection.bulk_write(
                [UpdateOne({"_id": key}, {"$set": {old_field.column: value}}) for key, value in changes]
            )

    def _converted(self, value: Any, old_field: Any, new_field: Any) -> Any:
        if {old_field.get_internal_type(), new_field.get_internal_type()} & {"JSONField"}:
            raise DataError(f"MongoDB: {old_field} cannot become {new_field.description}, of which it has no kind.")
        try:
            return new_field.get_db_prep_save(new_field.to_python(value), self.connection)
        except (TypeError, ValueError, ValidationError) as error:
            raise DataError(f"{old_field}: {value!r} cannot become {new_field.description}: {error}") from error


class DatabaseIntrospection(introspection.DatabaseIntrospection):
    def table_names(self, cursor: Any = None, include_views: bool = False) -> Any:
        # Those that the user may use: to be told of all of them takes a right on the whole database.
        with self.connection.wrap_database_errors:
            return sorted(self.connection.database.list_collection_names(authorizedCollections=True))

    def _get_index_info(self, table_name: str) -> Any:
        found = super()._get_index_info(table_name)
        for each in found.values():
            each["columns"] = [column.removesuffix(_KEY) for column in each["columns"]]
        return found


def _is_decimal(field: Any) -> bool:
    return bool(field.get_internal_type() == "ByronDecimalField")


def _index_of(field: Any, connection: Any) -> tuple[str, str, bool]:
    """Return what a field's index depends on."""
    return _path(field), _stored_type(field, connection), field.null


def _path(field: Any) -> str:
    return f"{field.column}{_KEY}" if _is_decimal(field) else str(field.column)


def _stored_type(field: Any, connection: Any) -> str:
    return "string" if _is_decimal(field) else str(field.db_type(connection))


def _lookup_name(name: str) -> str:
    return f"{name}_lookup"
