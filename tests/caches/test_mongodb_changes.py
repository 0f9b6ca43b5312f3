"""Changes of the schema on MongoDB with rows in the Cache: values are kept, and unique indexes go on to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, IntegrityError, connections, models
from django.db.migrations.operations import AlterField, CreateModel, RemoveField, RenameField, RenameModel
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from byron.cache import fields
from tests.mongodb import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no MongoDB: {why_not()}")


class Changing:
    """A type Person of the Library, which is changed step by step."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._state = ProjectState()

    def change(self, operation: Operation) -> None:
        """Do what a migration would."""
        before, self._state = self._state, self._state.clone()
        operation.state_forwards("library", self._state)
        with connections[self._alias].schema_editor(atomic=False) as editor:
            operation.database_forwards("library", editor, before, self._state)

    def rows(self, name: str = "Person") -> Any:
        return self._state.apps.get_model("library", name).objects.using(self._alias)

    def values(self, column: str, name: str = "Person") -> list[Any]:
        return list(self.rows(name).order_by("id").values_list(column, flat=True))


@pytest.fixture
def person(mongodb_cache: str) -> Iterator[Callable[[models.Field[Any, Any], list[Any]], Changing]]:
    def make(field: models.Field[Any, Any], values: list[Any]) -> Changing:
        made = Changing(mongodb_cache)
        made.change(CreateModel("Person", [("id", models.CharField(max_length=9, primary_key=True)), ("value", field)]))
        for number, value in enumerate(values):
            made.rows().create(id=str(number), value=value)
        return made

    yield make
    connections[mongodb_cache].connection.drop_database(connections[mongodb_cache].settings_dict["NAME"])


def indexes(table: str) -> list[list[str]]:
    """Return the columns of each index."""
    found = connections["library"].database[table].index_information()
    return sorted([column for column, _ in each["key"]] for each in found.values())


@pytest.mark.parametrize("null", [False, True])
def test_what_is_unique_stays_so_under_another_name(person: Any, null: bool) -> None:
    made = person(models.TextField(unique=True, null=null), ["a", *([None] if null else [])])

    made.change(RenameField("Person", "value", "name"))
    made.change(RenameModel("Person", "Human"))
    made.change(RenameField("Human", "name", "label"))

    assert made.values("label", "Human") == ["a", *([None] if null else [])]
    with pytest.raises(IntegrityError):
        made.rows("Human").create(id="8", label="a")
    if null:
        made.rows("Human").create(id="9", label=None)
    made.change(RemoveField("Human", "label"))
    assert indexes("library_human") == [["_id"], ["id"]]


def test_an_index_is_there_under_another_name(person: Any) -> None:
    made = person(models.TextField(db_index=True), ["a"])
    made.change(RenameModel("Person", "Human"))
    made.change(RenameField("Human", "value", "name"))

    assert indexes("library_human") == [["_id"], ["id"], ["name"]]


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        (models.IntegerField, models.TextField, 2020, "2020"),
        (models.IntegerField, fields.FloatField, 2020, 2020.0),
        (models.TextField, models.IntegerField, "2020", 2020),
        (models.IntegerField, fields.DecimalField, 2020, Decimal("2020")),
        (fields.DecimalField, models.TextField, Decimal("1.50"), "1.50"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_values_become_those_of_another_type_and_stay_unique(
    person: Any, old: Any, new: Any, before: Any, after: Any, null: bool
) -> None:
    made = person(old(unique=True, null=null), [before, *([None] if null else [])])

    made.change(AlterField("Person", "value", new(unique=True, null=null)))

    [value, *rest] = made.values("value")
    assert (value, type(value), rest) == (after, type(after), [None] if null else [])
    assert made.rows().get(value=after).pk == "0"
    with pytest.raises(IntegrityError):
        made.rows().create(id="9", value=after)


def test_what_is_unique_may_be_left_out_by_many_once_it_is_optional(person: Any) -> None:
    made = person(models.TextField(unique=True), ["a"])
    made.change(AlterField("Person", "value", models.TextField(unique=True, null=True)))
    made.rows().create(id="1", value=None)
    made.rows().create(id="2", value=None)
    with pytest.raises(IntegrityError):
        made.rows().create(id="3", value="a")


def test_a_value_that_cannot_become_one_of_the_new_type_is_named(person: Any) -> None:
    made = person(models.TextField(), ["2020", "next year"])
    with pytest.raises(DataError, match="'next year' cannot become Integer"):
        made.change(AlterField("Person", "value", models.IntegerField()))
