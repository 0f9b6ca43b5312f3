"""Texts are ordered, compared and found by their code points, whatever locale PostgreSQL's database was made with."""

from __future__ import annotations

import itertools
import random
import string
from typing import Any

import pytest
from django.apps import apps
from django.db import connections, models
from django.db.models import F

from byron.cache import fields
from byron.cache.workspace import PostgresWorkspace
from byron.commands.pages import Page, ordered
from byron.schema.reads import Order
from byron.schema.values import LONGEST_INDEXED

ATTRIBUTES = ("id", "title", "genre", "author")

#: In the order of their code points. A dictionary would have small letters beside the capital ones.
TEXTS = [
    "\t", " ", " a", "!", "1", "10", "2", "Z", "Zz", "_", "a", "a b", "a-b", "ab", "a\u0301", "b", "z", "~",
    "É", "ß", "ä", "é", "ı", "—", "日本", "\ue000", "\ufb01", "\uff5e", "\uffff", "\U0001f600", "\U0010ffff",
]  # fmt: skip


@pytest.fixture(params=["sqlite_cache", "postgresql_cache", "dictionary_cache", "mongodb_cache"])
def books(request: pytest.FixtureRequest) -> models.QuerySet[Any]:
    """A book for each text: its id, its title, which has an index, its genre, an enum, and its author, a reference."""
    alias = request.getfixturevalue(request.param)
    model = apps.get_model("library", "Book")
    shuffled = random.Random(1).sample(TEXTS, len(TEXTS))
    made = [model(pk=text, title=text, genre=text, author_id=text, tags=[]) for text in shuffled]
    model.objects.using(alias).bulk_create(made)
    found: models.QuerySet[Any] = model.objects.using(alias).all()
    return found


def collations(alias: str) -> dict[tuple[str, str], str]:
    """Return the collation of each column of texts, of the tables of types."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, a.attname, l.collname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " JOIN pg_collation l ON l.oid = a.attcollation"
            " WHERE c.relkind = 'r' AND c.relname LIKE %s AND a.attnum > 0",
            [f"{alias}_%"],
        )
        return {(table, column): collation for table, column, collation in cursor.fetchall()}


def alter(alias: str, model: type[models.Model], before: models.Field[Any, Any], after: models.Field[Any, Any]) -> None:
    for field in (before, after):
        field.set_attributes_from_name("title")
        field.model = model
    with connections[alias].schema_editor() as editor:
        editor.alter_field(model, before, after)


def test_the_locale_sorts_as_a_dictionary_where_byron_does_not_say(dictionary_cache: str) -> None:
    with connections[dictionary_cache].cursor() as cursor:
        cursor.execute("SELECT each FROM unnest(%s::text[]) AS each ORDER BY each", [["Z", "a", "b"]])
        assert [row[0] for row in cursor.fetchall()] == ["a", "b", "Z"]


def test_texts_come_in_the_order_of_their_code_points(books: models.QuerySet[Any]) -> None:
    assert sorted(TEXTS) == TEXTS
    for attribute, descending in itertools.product(ATTRIBUTES, (False, True)):
        order = Order(attribute=attribute, descending=descending)
        expected = TEXTS[::-1] if descending else TEXTS
        assert [each.pk for each in ordered(books, [order])] == expected

        seen, after = [], None
        while True:
            page = Page(books, [order], size=4, after=after)
            seen += [each.pk for each in page.nodes]
            if not page.has_next:
                break
            after = page.cursor(page.nodes[-1])
        assert seen == expected


def test_texts_are_compared_by_their_code_points(books: models.QuerySet[Any]) -> None:
    for attribute, text in itertools.product(ATTRIBUTES, random.Random(2).sample(TEXTS, 12)):
        place = TEXTS.index(text)
        for lookup, expected in {
            "lt": TEXTS[:place],
            "lte": TEXTS[: place + 1],
            "gt": TEXTS[place + 1 :],
            "gte": TEXTS[place:],
            "exact": [text],
        }.items():
            found = books.filter(**{f"{attribute}__{lookup}": text}).values_list("pk", flat=True)
            assert sorted(found) == expected, (attribute, lookup, text)


def test_a_text_is_found_without_regard_to_case_where_both_are_the_same(books: models.QuerySet[Any]) -> None:
    for text, lookup in itertools.product(
        ("Zz", "ä", "É", "ß", "ı", "日本"), ("iexact", "icontains", "istartswith", "iendswith")
    ):
        assert text in books.filter(**{f"title__{lookup}": text}).values_list("pk", flat=True), (text, lookup)
    assert set(books.filter(title__iexact="zZ").values_list("pk", flat=True)) == {"Zz"}
    assert set(books.filter(title__iexact=F("genre")).values_list("pk", flat=True)) == set(TEXTS)


def test_every_text_of_a_component_has_the_order_of_its_code_points(dictionary_cache: str) -> None:
    """That of a reference, too; lists and JSON have no order."""
    found = collations(dictionary_cache)

    assert {("library_book", "author_id"), ("library_book", "title"), ("library_author", "full_name")} <= found.keys()
    assert set(found.values()) == {"C"}


def test_a_migration_gives_a_column_its_order(dictionary_cache: str) -> None:
    """Whether it was one of Django's own texts, as in earlier projects, or of numbers."""
    model, column = apps.get_model("library", "Book"), ("library_book", "title")
    for before in (models.TextField(db_index=True), models.IntegerField(db_index=True)):
        alter(dictionary_cache, model, fields.TextField(db_index=True), before)
        assert collations(dictionary_cache).get(column) != "C"
        alter(dictionary_cache, model, before, fields.TextField(db_index=True))
        assert collations(dictionary_cache)[column] == "C"


def test_a_rebuild_compares_texts(dictionary_cache: str) -> None:
    authors = apps.get_model("library", "Author").objects.using(dictionary_cache)
    authors.create(pk="1", full_name="a")
    authors.create(pk="2", full_name="Z")
    workspace = PostgresWorkspace(dictionary_cache)
    with workspace.opened():
        authors.create(pk="1", full_name="A")
        authors.create(pk="2", full_name="Z")
        with workspace.switch():
            [difference] = workspace.replace([authors.model])
        workspace.remove()

    assert (difference.rows, difference.removed, difference.added) == (2, 1, 1)
    assert list(authors.order_by("full_name").values_list("full_name", flat=True)) == ["A", "Z"]


@pytest.mark.parametrize("cache", ["sqlite_cache", "postgresql_cache", "mongodb_cache"])
def test_a_text_with_an_index_that_not_every_cache_has_room_for_is_stored_by_none(
    request: pytest.FixtureRequest, cache: str
) -> None:
    alias = request.getfixturevalue(cache)
    authors, books = (apps.get_model("library", name).objects.using(alias) for name in ("Author", "Book"))
    letters = random.Random(3)
    longest = "".join(letters.choices(string.printable, k=LONGEST_INDEXED))
    wide = "".join(map(chr, letters.choices(range(0x10000, 0x10FFFF), k=LONGEST_INDEXED // 4)))
    for number, text in enumerate((longest, wide)):
        authors.create(pk=f"{number}", full_name=text)
        books.bulk_create([books.model(pk=f"{number}", title=text, genre="DRAMA", author_id="1", tags=[])])
        assert authors.get(full_name=text).pk == books.get(title=text).pk == f"{number}"
        for attempt in (
            lambda text=text: authors.create(pk="long", full_name=f"{text}x"),
            lambda text=text: authors.filter(pk="1").update(full_name=f"{text}x"),
            lambda text=text: books.bulk_create([books.model(pk="long", title=f"{text}x", author_id="1", tags=[])]),
        ):
            with pytest.raises(ValueError, match="has an index takes 2600 bytes of UTF-8 at most, not 2601"):
                attempt()
    # Without an index there is room.
    assert len(fields.TextField().get_db_prep_save("x" * 10_000, connections[alias])) == 10_000
    assert authors.count() == books.count() == 2
