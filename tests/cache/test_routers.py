"""Who may touch the Cache."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connections

from byron.cache.roles import Role, acting_as, current_role
from byron.cache.routers import CacheRouter
from byron.exceptions import CacheReadError, CacheWriteError

pytestmark = pytest.mark.django_db(databases=["library", "students"])


@pytest.fixture
def book():
    return apps.get_model("library", "Book")


def test_the_api_reads_and_cannot_write(book):
    with acting_as(Role.API):
        assert list(book.objects.all()) == []
        for write in (
            lambda: book.objects.create(id="1"),
            lambda: book(id="1").save(),
            lambda: book.objects.update(title="x"),
            lambda: book.objects.all().delete(),
            lambda: book.objects.bulk_create([book(id="1")]),
            lambda: book.objects.select_for_update().first(),
        ):
            with pytest.raises(CacheWriteError, match="Emit an event, and write in its handler"):
                write()


def test_the_sink_writes_and_reads_only_to_write(book):
    with acting_as(Role.SINK):
        book.objects.create(id="1", title="t", genre="DRAMA", author="a", tags=[])
        book.objects.update_or_create(pk="1", defaults={"title": "u"})
        assert book.objects.filter(pk="1").update(title="v") == 1
        with pytest.raises(CacheReadError, match="applies events and serves no reads"):
            book.objects.get(pk="1")


def test_the_sink_stores_many_rows_at_once():
    author = apps.get_model("library", "Author")
    with acting_as(Role.SINK):
        author.objects.bulk_create([author(id="1", full_name="Ada"), author(id="2", full_name="Eva")])
        author.objects.bulk_create([author(id="1", full_name="Bo")], ignore_conflicts=True)
        author.objects.bulk_create(
            [author(id="2", full_name="Eve")], update_conflicts=True, unique_fields=["id"], update_fields=["full_name"]
        )
        author.objects.bulk_update([author(id="1", full_name="Ida")], ["full_name"])

    assert dict(author.objects.values_list("id", "full_name")) == {"1": "Ida", "2": "Eve"}


def test_maintenance_does_both(book):
    assert current_role() is Role.MAINTENANCE
    book.objects.create(id="1", title="t", genre="DRAMA", author="a", tags=[])
    assert book.objects.count() == 1


def test_a_model_lives_in_its_own_component_s_cache_only(book):
    router = CacheRouter()
    student = apps.get_model("students", "Student")

    assert (router.db_for_read(book), router.db_for_read(student)) == ("library", "students")
    assert router.allow_migrate("students", "library") is False
    assert router.allow_migrate("library", "library") is True
    assert router.allow_migrate("library", "byron") is True
    assert router.allow_migrate("default", "byron") is False
    assert router.allow_migrate("library", "contenttypes") is False
    assert router.allow_migrate("default", "contenttypes") is None
    assert router.allow_relation(book(), student()) is False


def test_a_reference_can_be_set_to_an_id_or_an_entity(book):
    author = apps.get_model("library", "Author").objects.create(id="a1", full_name="Ada")

    assert book(author="a1").author_id == "a1"
    assert book(author=author).author_id == "a1"
    assert book(author="a1").author == author


def test_a_reference_may_dangle(book):
    book.objects.create(id="1", title="t", genre="DRAMA", author="nobody", tags=[])

    assert book.objects.get(pk="1").author_id == "nobody"


def test_the_generated_models_need_no_migration():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


def test_every_cache_has_byron_s_tables():
    for alias in ("library", "students"):
        assert "byron_checkpoint" in connections[alias].introspection.table_names()
