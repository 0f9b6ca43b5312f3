"""JSON on PostgreSQL: as it was written, and still looked into as Django does."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.apps import apps
from django.db import connections

from byron.cache.workspace import PostgresWorkspace
from tests.postgres import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no PostgreSQL: {why_not()}")

MOMENT = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)


@pytest.fixture
def everything(postgresql_cache: str) -> Any:
    return apps.get_model("library", "Everything").objects.using(postgresql_cache)


def row(identity: str, extra: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "an_id": "1",
        "number": 1,
        "ratio": -0.0,
        "flag": True,
        "moment": MOMENT,
        "day": MOMENT.date(),
        "hour": MOMENT.time(),
        "amount": identity,
        "code": uuid.UUID(int=1),
        "extra": extra,
        "moments": [MOMENT],
        "genres": ["DRAMA"],
        "books": ["b1"],
    }


def written(value: Any) -> str:
    """Return what tells numbers of one value, and objects of one content, apart."""
    return repr(value)


@pytest.mark.parametrize("extra", [1e300, [1e16, 10**16, -0.0, 1.0], {"longer": 1, "b": 2, "a": 3}, 10**400, "null"])
def test_json_is_read_as_it_was_written(everything: Any, extra: Any) -> None:
    model = everything.model
    everything.create(**row("1", extra))
    everything.bulk_create([model(**row(number, extra)) for number in ("2", "3")])
    everything.filter(pk="3").update(extra=extra)
    first = everything.get(pk="1")
    first.save()

    assert [written(each) for each in everything.values_list("extra", flat=True)] == [written(extra)] * 3
    assert first.moments == [MOMENT] and written(everything.get(pk="1").ratio) == "0.0"


def test_json_is_looked_into(everything: Any) -> None:
    everything.create(**row("1", {"a": {"b": [1, 2]}, "c": 1e16}))
    everything.create(**row("2", {"c": 2, "a": None}))
    everything.create(**row("3", None))

    def ids(**lookups: Any) -> list[str]:
        return list(everything.filter(**lookups).order_by("pk").values_list("pk", flat=True))

    assert ids(extra__a__b__1=2) == ["1"]
    assert ids(extra__c__gte=2) == ["1", "2"]
    assert ids(extra__contains={"a": None}) == ["2"]
    assert ids(extra={"a": None, "c": 2}) == ["2"]
    assert ids(extra__isnull=True) == ["3"]
    assert ids(genres=["DRAMA"]) == ids(moments=[MOMENT]) == ["1", "2", "3"]
    assert list(everything.values_list("extra__c", flat=True).filter(pk="2")) == [2]
    assert everything.values("extra").distinct().count() == 3


def test_a_rebuild_finds_json_that_only_jsonb_calls_the_same(everything: Any) -> None:
    everything.create(**row("1", 10**16))
    everything.create(**row("2", {"a": 1}))
    workspace = PostgresWorkspace("library")
    with workspace.opened():
        for identity, extra in (("1", 1e16), ("2", {"a": 1})):
            everything.create(**row(identity, extra))
        with workspace.switch():
            [difference] = workspace.replace([everything.model])
        workspace.remove()

    assert (difference.rows, difference.removed, difference.added) == (2, 1, 1)
    assert written(everything.get(pk="1").extra) == "1e+16"


def test_a_column_that_is_still_jsonb_serves(everything: Any) -> None:
    """A Cache of before Byron had `json`, until it is migrated."""
    with connections["library"].cursor() as cursor:
        for column in ("extra", "genres"):
            cursor.execute(f"ALTER TABLE library_everything ALTER COLUMN {column} TYPE jsonb")
    everything.create(**row("1", {"a": 1}))
    everything.bulk_create([everything.model(**row(number, [number])) for number in ("2", "3")])

    assert list(everything.order_by("pk").values_list("extra", flat=True)) == [{"a": 1}, ["2"], ["3"]]
    assert everything.filter(extra__a=1, genres=["DRAMA"]).count() == 1
