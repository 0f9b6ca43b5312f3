"""Runs of declared handlers: few statements, and the same effect as event by event."""

from __future__ import annotations

import random

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from byron.cache.roles import Role, acting_as
from byron.models import Checkpoint

pytestmark = pytest.mark.django_db(transaction=True, databases=["library"])

PARCELS = [f"p{number}" for number in range(6)]
AUTHORS = [f"a{number}" for number in range(6)]


def make_events(chance, bench, count):
    """Publish events about few entities, so that runs meet them again and again."""
    for _ in range(count):
        parcel, author = chance.choice(PARCELS), chance.choice(AUTHORS)
        key = chance.choice([parcel, "another key"])
        some = {
            name: value
            for name, value in [
                ("label", f"label {chance.random()}"),
                ("genre", chance.choice(["DRAMA", "POETRY"])),
                ("weight", "7.25"),
                ("note", chance.choice([None, "a note"])),
            ]
            if chance.random() < 0.6
        }
        for _ in range(chance.randrange(1, 4)):
            bench.publish(
                *chance.choice(
                    [
                        ("parcel.seen", {"id": parcel, "label": "first", **some}),
                        (
                            "parcel.lost",
                            {"id": parcel, **{name: some[name] for name in some if name in ("note", "genre")}},
                        ),
                        ("book.gone", {"id": "b1"}),
                        ("author.seen", {"id": author, "full_name": f"Author {chance.random()}"}),
                    ]
                ),
                key=key,
            )


def rows(bench):
    return {name: sorted(map(repr, bench.model(name).values())) for name in ("Parcel", "Author", "Book", "Shelf")}


@pytest.mark.parametrize("seed", range(8))
def test_a_run_has_the_effect_of_its_events_one_by_one(bench, seed):
    make_events(random.Random(seed), bench, 60)
    worker = bench.worker(lives=False)
    with acting_as(Role.SINK):
        worker.take()
        for message in bench.broker.messages:
            worker.batches.apply([message])
        one_by_one = rows(bench), bench.states
        for name in ("Parcel", "Author"):
            bench.model(name).all().delete()
        bench.rows().delete()
        Checkpoint.objects.using(bench.alias).all().delete()
        worker = bench.worker(lives=False)
        worker.take()
        position = 0
        while rest := [each for each in bench.broker.messages if each.position > position]:
            position = worker.batches.apply(rest)
    assert (rows(bench), bench.states) == one_by_one
    assert one_by_one[0]["Parcel"]


@pytest.mark.parametrize("name", ["parcel.lost", "parcel.seen"])
def test_a_run_of_updates_of_the_same_attributes_is_one_statement(bench, name):
    with acting_as(Role.SINK):
        bench.model("Parcel").bulk_create([bench.model("Parcel").model(id=f"p{n}", label="old") for n in range(50)])
        for number in range(50):
            bench.publish(name, {"id": f"p{number}", "note": f"new {number}"})
        worker = bench.worker(lives=False)
        worker.take()
        with CaptureQueriesContext(connections["library"]) as captured:
            worker.batches.apply(bench.broker.messages)

    updates = [query["sql"] for query in captured if "UPDATE" in query["sql"] and "library_parcel" in query["sql"]]
    assert len(updates) == 1, updates
    assert dict(bench.model("Parcel").values_list("id", "note")) == {f"p{n}": f"new {n}" for n in range(50)}


def test_a_run_of_deletes_is_one_statement(bench):
    with acting_as(Role.SINK):
        bench.model("Book").bulk_create(
            [bench.model("Book").model(id=f"b{n}", title="t", genre="DRAMA", author_id="a", tags=[]) for n in range(50)]
        )
        for number in range(0, 50, 2):
            bench.publish("book.gone", {"id": f"b{number}"})
        worker = bench.worker(lives=False)
        worker.take()
        with CaptureQueriesContext(connections["library"]) as captured:
            worker.batches.apply(bench.broker.messages)

    touched = [query["sql"] for query in captured if "library_book" in query["sql"]]
    assert [sql.split()[0] for sql in touched] == ["DELETE"]
    assert bench.model("Book").count() == 25


def test_an_event_that_fails_in_a_run_of_updates_is_set_aside_alone(bench):
    for number in range(3):
        bench.publish("parcel.seen", {"id": f"p{number}", "label": "old"})
    for number, label in enumerate(["new", None, "new"]):
        # Whatever the payload's contract, the Cache has the last word.
        bench.publish("parcel.seen", {"id": f"p{number}", "label": label})
    bench.run()

    assert [position for position, _ in bench.states] == [5]
    assert dict(bench.model("Parcel").values_list("id", "label")) == {"p0": "new", "p1": "old", "p2": "new"}
