"""Rows that are created one by one and stored together."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import IntegrityError, connections, transaction
from django.db.models.signals import post_save
from django.test.utils import CaptureQueriesContext

from byron.cache.write_behind import unit_of_work

pytestmark = pytest.mark.django_db(databases=["library"])


@pytest.fixture
def authors():
    return apps.get_model("library", "Author").objects


@pytest.fixture
def statements():
    with CaptureQueriesContext(connections["library"]) as captured:
        yield lambda: [query["sql"].split()[0] for query in captured]


def test_rows_of_a_type_are_one_statement_at_the_end(authors, statements):
    with unit_of_work("library"):
        for number in range(20):
            authors.create(id=str(number), full_name=str(number))
        assert statements() == []

    assert statements() == ["INSERT"]
    assert authors.using("library").count() == 20


def test_any_other_statement_finds_what_was_created_before_it(authors):
    with unit_of_work("library"):
        authors.create(id="1", full_name="Ada")
        assert authors.using("library").filter(id="1").update(full_name="Ada L.") == 1
        authors.create(id="2", full_name="Grace")
        with connections["library"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM library_author")
            assert cursor.fetchone() == (2,)


def test_an_error_is_raised_inside_the_savepoint_that_surrounds_the_row(authors):
    with unit_of_work("library"):
        authors.create(id="1", full_name="Ada")
        with pytest.raises(IntegrityError), transaction.atomic(using="library"):
            authors.create(id="2", full_name="Ada")

    assert list(authors.using("library").values_list("id", flat=True)) == ["1"]


def test_a_row_that_is_saved_again_is_updated(authors):
    with unit_of_work("library"):
        ada = authors.create(id="1", full_name="Ada")
        ada.full_name = "Ada L."
        ada.save(using="library")

    assert authors.using("library").get().full_name == "Ada L."


def test_rows_whose_saving_somebody_watches_are_stored_at_once(authors, statements):
    told = []
    post_save.connect(lambda instance, **kwargs: told.append(instance.pk), sender=authors.model, weak=False)
    try:
        with unit_of_work("library"):
            authors.create(id="1", full_name="Ada")
            assert told == ["1"]
            assert statements().count("INSERT") == 1
    finally:
        post_save.receivers.clear()
        post_save.sender_receivers_cache.clear()


def test_after_an_error_nothing_that_was_kept_is_stored(authors):
    with pytest.raises(RuntimeError), transaction.atomic(using="library"), unit_of_work("library"):
        authors.create(id="1", full_name="Ada")
        raise RuntimeError

    assert authors.using("library").count() == 0


def test_without_a_unit_of_work_a_row_is_stored_at_once(authors, statements):
    authors.create(id="1", full_name="Ada")

    assert statements().count("INSERT") == 1
