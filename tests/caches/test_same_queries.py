"""What Django offers to handlers and commands does the same on each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import IntegrityError, NotSupportedError, connections, transaction
from django.db.models import Count, DateField, Exists, F, Max, OuterRef, Q, Subquery
from django.db.models.functions import ExtractYear, TruncDate, TruncHour, TruncMonth
from django.utils import timezone

from tests.mongodb import why_not_real

ENGINES = ["sqlite_cache", "postgresql_cache", "mongodb_cache"]

Models = Callable[[str], Any]


@pytest.fixture(params=ENGINES)
def objects(request: pytest.FixtureRequest) -> Models:
    """What gives the rows of a type in a Cache on one engine, with some shelves and one of everything."""
    alias = request.getfixturevalue(request.param)

    def rows(name: str) -> Any:
        return apps.get_model("library", name).objects.using(alias)

    shelves = [("a", 1, None), ("b", 2, "a"), ("c", 2, "a"), ("d", 3, "b"), ("e", 5, "gone")]
    for pk, count, above in shelves:
        rows("Shelf").create(pk=pk, label=f"shelf {pk}", count=count, above_id=above)
    for number, moment in enumerate(
        [
            datetime(2024, 2, 29, 23, 59, 58, 999999, UTC),
            datetime(1, 1, 1, tzinfo=UTC),
            datetime(9999, 12, 31, tzinfo=UTC),
        ]
    ):
        rows("Everything").create(
            pk=f"{number}",
            an_id=f"{number}",
            text=f"{number - 1}" if number else None,
            number=number,
            ratio=number,
            flag=True,
            moment=moment,
            day=moment.date(),
            hour=moment.time(),
            amount=Decimal(number),
            code=UUID(int=number),
            moments=[],
            genres=[],
            books=[],
        )
    return rows


@pytest.fixture(autouse=True)
def zone() -> Iterator[None]:
    yield
    timezone.deactivate()


def keys(rows: Any) -> list[str]:
    return list(rows.order_by("pk").values_list("pk", flat=True))


def test_rows_are_held_without_a_condition(objects: Models) -> None:
    shelf = objects("Shelf")
    with transaction.atomic(using="library"):
        assert shelf.select_for_update().order_by("-pk").first().pk == "e"
        assert [row.pk for row in shelf.select_for_update().order_by("pk")[:2]] == ["a", "b"]
        assert [row.pk for row in shelf.select_for_update().order_by("pk").iterator()] == ["a", "b", "c", "d", "e"]


def test_rows_are_held_by_what_they_refer_to(objects: Models) -> None:
    with transaction.atomic(using="library"):
        held = objects("Shelf").select_for_update(of=["self"]).filter(above__count=1).order_by("pk")
        assert [row.pk for row in held] == ["b", "c"]
    if connections["library"].vendor == "mongodb":
        marked = connections["library"].database["library_shelf"].find({"byron_held": {"$exists": True}})
        assert sorted(each["_id"] for each in marked) == ["b", "c"]


@pytest.mark.parametrize(
    "condition",
    [
        lambda rows: rows.filter(above__count=1),
        lambda rows: rows.filter(above__in=rows.filter(count=1)),
        lambda rows: rows.filter(Exists(rows.filter(pk=OuterRef("above"), count=1))),
        lambda rows: rows.filter(Q(above__label="shelf a") | Q(pk="nobody")),
        lambda rows: rows.annotate(twice=F("above__count") * 2).filter(twice=2),
    ],
    ids=["join", "in", "exists", "or", "annotation"],
)
def test_rows_are_changed_and_removed_by_what_they_refer_to(objects: Models, condition: Any) -> None:
    shelf = objects("Shelf")

    assert condition(shelf).update(count=F("count") + 7) == 2
    assert dict(shelf.values_list("pk", "count")) == {"a": 1, "b": 9, "c": 9, "d": 3, "e": 5}
    assert condition(shelf).delete()[0] == 2
    assert keys(shelf.all()) == ["a", "d", "e"]


def test_rows_are_changed_by_those_that_refer_to_nothing(objects: Models) -> None:
    assert objects("Shelf").filter(above__label__isnull=True).update(count=0) == 2
    assert keys(objects("Shelf").filter(count=0)) == ["a", "e"]


def test_nothing_is_changed_where_a_subquery_finds_nothing(objects: Models) -> None:
    nothing = objects("Shelf").filter(above__in=objects("Shelf").filter(count=77))
    assert (nothing.update(count=0), nothing.delete()[0]) == (0, 0)


def test_a_value_from_a_subquery_is_never_lost_silently(objects: Models) -> None:
    shelf = objects("Shelf")
    above = Subquery(shelf.filter(pk=OuterRef("above")).values("count")[:1])
    if connections["library"].vendor == "mongodb":
        with pytest.raises(NotSupportedError, match="cannot set count by a subquery: hold the rows with select_for"):
            shelf.filter(pk="b").update(count=above)
    else:
        assert shelf.filter(pk="b").update(count=above) == 1
    assert shelf.get(pk="b").count == (2 if connections["library"].vendor == "mongodb" else 1)


def test_what_is_required_is_not_set_to_null(objects: Models) -> None:
    with pytest.raises(IntegrityError):
        objects("Shelf").filter(pk="a").update(label=None)
    assert objects("Shelf").get(pk="a").label == "shelf a"


def test_null_is_neither_less_nor_more_than_another_column(objects: Models) -> None:
    everything, shelf = objects("Everything"), objects("Shelf")

    assert keys(shelf.filter(count__gt=F("above__count"))) == ["b", "c", "d"]
    assert keys(shelf.filter(count__lte=F("above__count"))) == []
    assert keys(everything.filter(an_id__gt=F("text"))) == ["1", "2"]
    assert keys(everything.filter(text__lt=F("an_id"))) == ["1", "2"]
    assert keys(everything.filter(text=F("user_id"))) == []
    assert keys(everything.exclude(an_id=F("text"))) == ["0", "1", "2"]


def test_moments_days_and_hours_have_parts(objects: Models) -> None:
    everything = objects("Everything")
    timezone.activate(UTC)

    assert keys(everything.filter(moment__year=2024)) == keys(everything.filter(day__month=2, day__day=29)) == ["0"]
    assert keys(everything.filter(day__year__lt=2000)) == ["1"]
    assert keys(everything.filter(moment__date=date(2024, 2, 29))) == ["0"]
    assert keys(everything.filter(moment__date__gt=date(2024, 1, 1))) == ["0", "2"]
    assert keys(everything.filter(moment__time=time(23, 59, 58, 999999))) == ["0"]
    assert keys(everything.filter(hour__hour=23, moment__minute=59, hour__second=58)) == ["0"]
    assert keys(everything.filter(day__quarter=4)) == ["2"]
    assert keys(everything.filter(day__week_day=5, day__week=9)) == ["0"]
    years = everything.annotate(year=ExtractYear("moment")).values("year").annotate(n=Count("pk")).order_by("year")
    assert list(years) == [{"year": year, "n": 1} for year in (1, 2024, 9999)]


def test_moments_have_their_parts_in_the_zone_that_is_asked_for(objects: Models) -> None:
    rows = objects("Everything").filter(pk="0")
    with timezone.override("Pacific/Auckland"):
        assert rows.filter(moment__date=date(2024, 3, 1), moment__hour=12, moment__time__gt=time(12)).exists()
        assert rows.filter(moment__time=time(12, 59, 58, 999999)).exists()
        [(day,)] = rows.values_list(TruncMonth("moment", output_field=DateField()))
        assert day == date(2024, 3, 1)


def test_moments_and_days_are_cut_short(objects: Models) -> None:
    timezone.activate(UTC)
    rows = objects("Everything").filter(pk="0")
    [row] = rows.values_list(TruncMonth("moment"), TruncMonth("day"), TruncDate("moment"), TruncHour("hour"))

    assert row == (datetime(2024, 2, 1, tzinfo=UTC), date(2024, 2, 1), date(2024, 2, 29), time(23))
    assert objects("Everything").aggregate(last=Max("day"))["last"] == date(9999, 12, 31)


def test_a_number_beyond_32_bits_is_refused(objects: Models) -> None:
    shelves = objects("Shelf")

    for number in (2**31, -(2**31) - 1):
        for store in (
            lambda number=number: shelves.create(pk="x", label="x", count=number),
            lambda number=number: shelves.bulk_create([shelves.model(pk="x", label="x", count=number)]),
            lambda number=number: shelves.filter(pk="a").update(count=number),
        ):
            with pytest.raises(ValueError, match=f"{number} is outside of the integers from -2147483648 to"):
                store()
    assert shelves.filter(pk="a").update(count=2**31 - 1) == 1
    assert shelves.get(pk="a").count == 2**31 - 1


def test_null_comes_after_every_value_however_rows_are_ordered(objects: Models) -> None:
    everything, shelf = objects("Everything"), objects("Shelf")
    if connections[everything.db].vendor == "mongodb" and (why := why_not_real()):
        pytest.skip(why)

    def order(rows: Any) -> list[str]:
        return list(rows.values_list("pk", flat=True))

    assert order(everything.order_by("text", "pk")) == ["1", "2", "0"]
    assert order(everything.order_by("-text", "pk")) == order(everything.order_by("text", "-pk").reverse())
    assert order(everything.order_by("-text", "pk")) == ["0", "2", "1"]
    assert everything.order_by("text").last().pk == "0"
    assert order(shelf.order_by("above__count", "pk")) == ["b", "c", "d", "a", "e"]
    assert order(shelf.order_by("-above", "pk")) == ["a", "e", "d", "b", "c"]
    found = shelf.filter(pk="a").values_list("pk").union(shelf.filter(pk="b").values_list("pk")).order_by("pk")
    assert list(found) == [("a",), ("b",)]
    assert list(shelf.values("above").annotate(n=Count("pk")).order_by("-above").values_list("above", "n")) == [
        (None, 1),
        ("gone", 1),
        ("b", 1),
        ("a", 2),
    ]
