"""Declared reads: what a client may ask for, and what the database is asked then."""

from __future__ import annotations

import base64
import time

import pytest
from django.apps import apps
from django.db import connections
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from byron.cache.roles import Role, acting_as
from byron.testing import GraphQLFailure
from tests.conftest import add_books

BOOKS = [
    # id, title, genre, price
    ("b1", "Emma", "POETRY", "9.50"),
    ("b2", "emma", "DRAMA", None),
    ("b3", "Die Räuber", "DRAMA", "100"),
    ("b4", "100 % sure_", "NO_FICTION", "9.5"),
    ("b5", "Faust", "DRAMA", "20"),
    ("b6", "Faust", "DRAMA", None),
    ("b7", "Zoë", "POETRY", "-1"),
]


@pytest.fixture
def shelf(component, library):
    """Store some books, as the Sink does."""
    store(BOOKS)
    return component


def store(books):
    book = apps.get_model("library", "Book")
    with acting_as(Role.SINK):
        book.objects.using("library").bulk_create(
            [
                book(id=identity, title=title, genre=genre, price=price, author="a1", tags=[])
                for identity, title, genre, price in books
            ]
        )


def ids(component, arguments):
    return "".join(
        book["id"][1:] for book in component.graphql(f"{{ books({arguments}) {{ nodes {{ id }} }} }}")["books"]["nodes"]
    )


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ('title: {eq: "Emma"}', "1"),
        ('title: {in: ["Emma", "Zoë", "none"]}', "17"),
        ("title: {in: []}", ""),
        ('title: {contains: "mm"}', "12"),
        ('title: {contains: "Em"}', "1"),
        ('title: {contains: "%"}', "4"),
        ('title: {contains: "_"}', "4"),
        ('title: {startsWith: "F"}', "56"),
        ('title: {startsWith: "aust"}', ""),
        ('title: {startsWith: "Die R", contains: "äu"}', "3"),
        ("genre: {eq: DRAMA}", "3562"),
        ("genre: {in: [POETRY, NO_FICTION]}", "417"),
        ('price: {gt: "9.5"}', "35"),
        ('price: {gte: "9.50", lt: "100.0"}', "415"),
        ('price: {lte: "-1"}', "7"),
        ("price: {isNull: true}", "62"),
        ('price: {isNull: false, gt: "19"}', "35"),
        ("price: {isNull: true}, genre: {eq: POETRY}", ""),
        ('id: {in: ["b7", "b1"]}', "17"),
        ('author: {eq: "a2"}', ""),
        ("", "43156"),
        ("title: {}", "43156"),
    ],
)
def test_conditions_choose_entities_and_all_must_hold(shelf, condition, found):
    assert ids(shelf, f"where: {{{condition}}}") == found


def test_filters_and_conditions_go_together(shelf):
    assert ids(shelf, 'genre: DRAMA, where: {title: {contains: "Fau"}}') == "56"
    assert ids(shelf, "genre: null, first: 2") == "43"


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("[]", "12345"),
        ("TITLE_DESC", "27561"),
        ("[TITLE_DESC, ID_DESC]", "27651"),
        ("[PRICE_ASC]", "71453"),
        # Null comes after every value, and so before all others when the order is reversed.
        ("[PRICE_DESC]", "26351"),
        ("[GENRE_ASC, PRICE_DESC]", "26354"),
        ("[PRICE_ASC, PRICE_DESC]", "71453"),
    ],
)
def test_clients_choose_the_order(shelf, order, found):
    assert ids(shelf, f"orderBy: {order}")[:5] == found


def page(component, arguments):
    asked = "edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"
    return component.graphql(f"{{ books({arguments}) {{ {asked} }} }}")["books"]


def test_pages_follow_one_another_by_cursor_until_there_is_none(shelf):
    first = page(shelf, "first: 3, orderBy: [PRICE_DESC]")
    second = page(shelf, f'first: 3, orderBy: [PRICE_DESC], after: "{first["pageInfo"]["endCursor"]}"')
    third = page(shelf, f'first: 3, orderBy: [PRICE_DESC], after: "{second["pageInfo"]["endCursor"]}"')

    assert [[edge["node"]["id"] for edge in each["edges"]] for each in (first, second, third)] == [
        ["b2", "b6", "b3"],
        ["b5", "b1", "b4"],
        ["b7"],
    ]
    assert [each["pageInfo"]["hasNextPage"] for each in (first, second, third)] == [True, True, False]
    assert [each["pageInfo"]["hasPreviousPage"] for each in (first, second, third)] == [False, True, True]
    assert first["edges"][0]["cursor"] == first["pageInfo"]["startCursor"]


def test_a_page_after_the_last_entity_is_empty(shelf):
    last = page(shelf, 'where: {title: {eq: "emma"}}')["pageInfo"]["endCursor"]
    empty = page(shelf, f'after: "{last}"')

    assert empty["edges"] == []
    assert empty["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": True,
        "startCursor": None,
        "endCursor": None,
    }


def test_a_page_goes_on_where_an_entity_was_that_is_gone(shelf):
    first = page(shelf, "first: 2")
    with acting_as(Role.SINK):
        apps.get_model("library", "Book").objects.using("library").filter(pk="b3").delete()

    following = page(shelf, f'first: 2, after: "{first["pageInfo"]["endCursor"]}"')
    assert [edge["node"]["id"] for edge in following["edges"]] == ["b1", "b5"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    prices=st.lists(st.one_of(st.none(), st.sampled_from(["1", "1.0", "-2", "1e3"])), max_size=8),
    order=st.lists(
        st.sampled_from(["PRICE_ASC", "PRICE_DESC", "TITLE_ASC", "TITLE_DESC", "GENRE_DESC", "ID_DESC"]), max_size=3
    ),
    size=st.integers(1, 4),
)
def test_the_pages_of_any_order_are_the_whole_list_in_parts(component, prices, order, size):
    book = apps.get_model("library", "Book")
    with acting_as(Role.SINK):
        book.objects.using("library").all().delete()
    store([(f"b{at}", "ab"[at % 2], ["DRAMA", "POETRY"][at % 3 % 2], price) for at, price in enumerate(prices)])
    by = f"orderBy: [{', '.join(order)}]"
    found, after = [], ""
    while True:
        part = page(component, f"first: {size}, {by}{after}")
        found += [edge["node"]["id"] for edge in part["edges"]]
        if not part["pageInfo"]["hasNextPage"]:
            break
        after = f', after: "{part["pageInfo"]["endCursor"]}"'

    whole, after = [], ""
    while len(whole) < len(prices):
        part = page(component, f"first: 5, {by}{after}")
        whole += [edge["node"]["id"] for edge in part["edges"]]
        after = f', after: "{part["pageInfo"]["endCursor"]}"'
    assert found == whole
    assert sorted(found) == [f"b{at}" for at in range(len(prices))]


def test_a_plain_list_goes_on_after_an_id(shelf):
    def titles(arguments):
        return [book["title"] for book in shelf.graphql(f"{{ listBooks({arguments}) {{ title }} }}")["listBooks"]]

    # Declared: by price, the highest first, then by title.
    assert titles("first: 4") == ["Faust", "emma", "Die Räuber", "Faust"]
    assert titles('first: 2, after: "b2"') == ["Die Räuber", "Faust"]
    assert titles('after: "b7"') == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("first: -1", "BAD_USER_INPUT", "first is -1; it must be 0 or more."),
        ("first: 6", "BAD_USER_INPUT", "first is 6; 5 are the most at once. Go on with after."),
        ('after: "x"', "UNKNOWN_CURSOR", "after is no cursor of this list in this order; begin again without it."),
        ('after: ""', "UNKNOWN_CURSOR", "after is no cursor"),
        ("where: {title: {eq: null}}", "BAD_USER_INPUT", "where.title.eq is null; leave it out, or use isNull."),
        ("where: {title: {startsWith: null}}", "BAD_USER_INPUT", "where.title.startsWith is null; leave it out"),
        ("where: {price: {isNull: null}}", "BAD_USER_INPUT", "where.price.isNull is null; leave it out."),
    ],
)
def test_arguments_that_make_no_sense_are_refused_with_the_remedy(shelf, arguments, code, message):
    with pytest.raises(GraphQLFailure) as failure:
        ids(shelf, arguments)

    assert message in str(failure.value)
    assert failure.value.code == code


def test_a_cursor_is_of_one_order(shelf):
    cursor = page(shelf, "first: 1")["pageInfo"]["endCursor"]
    with pytest.raises(GraphQLFailure) as failure:
        ids(shelf, f'orderBy: [PRICE_ASC], after: "{cursor}"')

    assert failure.value.code == "UNKNOWN_CURSOR"


@pytest.mark.parametrize(
    "text", ["[]", '["title id", ["a"]]', '["title id", [1, {}, 3]]', '["title id", null]', "[" * 5000, "{}", '"x"']
)
def test_a_forged_cursor_is_refused(shelf, text):
    cursor = base64.urlsafe_b64encode(text.encode()).decode()
    with pytest.raises(GraphQLFailure) as failure:
        ids(shelf, f'after: "{cursor}"')

    assert failure.value.code == "UNKNOWN_CURSOR"


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ("PRICE_ASC", '["price id",["1e300000000","b"]]'),
        ("PRICE_ASC", '["price id",["-1e300000000","b"]]'),
        ("PRICE_ASC", '["price id",["1e-300000000","b"]]'),
        ("PRICE_ASC", '["price id",["NaN","b"]]'),
        ("PRICE_ASC", '["price id",["' + "9" * 100_000 + '","b"]]'),
        ("PRICE_ASC", '["price id",[1e999,"b"]]'),
        ("PRICE_ASC", '["price id",[true,"b"]]'),
        ("TITLE_ASC", r'["title id",["\ud800","b"]]'),
        ("TITLE_ASC", r'["title id",["a","\udc00"]]'),
        ("TITLE_ASC", r'["title id",["\u0000","b"]]'),
        ("TITLE_ASC", '["title id",[["a"],"b"]]'),
    ],
)
def test_a_cursor_holds_nothing_that_an_argument_may_not(shelf, order, text):
    cursor = base64.urlsafe_b64encode(text.encode()).decode()
    began = time.process_time()
    with pytest.raises(GraphQLFailure) as failure:
        ids(shelf, f'orderBy: [{order}], after: "{cursor}"')

    assert failure.value.code == "UNKNOWN_CURSOR"
    assert time.process_time() - began < 2


@pytest.mark.parametrize("price", ["1E+1000", "1E-1000", "-0.00", "0E+5"])
def test_pages_go_on_after_the_largest_and_the_smallest_numbers(component, library, price):
    store([("b1", "a", "DRAMA", price), ("b2", "b", "DRAMA", price)])
    first = page(component, "first: 1, orderBy: [PRICE_ASC]")

    assert ids(component, f'orderBy: [PRICE_ASC], after: "{first["pageInfo"]["endCursor"]}"') == "2"


def test_an_unknown_id_to_go_on_after_is_refused(shelf):
    with pytest.raises(GraphQLFailure, match='after is "b9", which is not there, or not any more') as failure:
        shelf.query("listBooks", after="b9")

    assert failure.value.code == "UNKNOWN_CURSOR"


def test_too_many_values_are_refused(shelf):
    document = "query ($ids: [ID!]) { books(where: {id: {in: $ids}}) { nodes { id } } }"
    with pytest.raises(GraphQLFailure, match="lists 1001 values; 1000 are the most"):
        shelf.graphql(document, ids=["x"] * 1001)


def test_no_entity_is_asked_for(shelf):
    assert shelf.graphql("{ books(first: 0) { nodes { id } pageInfo { hasNextPage endCursor } totalCount } }") == {
        "books": {"nodes": [], "pageInfo": {"hasNextPage": True, "endCursor": None}, "totalCount": 7}
    }


def test_entities_are_counted(shelf):
    assert shelf.query("countBooks") == 7
    assert shelf.query("countBooks", genre="DRAMA") == 4
    assert shelf.query("countBooks", where={"price": {"isNull": True}}) == 2


def test_an_entity_is_found_by_a_unique_attribute(component):
    made = component.mutate("createAuthor", fullName="Ada")
    component.settle()

    assert component.query("authorByName", fullName="Ada") == made
    assert component.query("authorByName", fullName="ada") is None


# What the database is asked.


def statements(component, document):
    with CaptureQueriesContext(connections["library"]) as captured:
        component.graphql(document)
    return [query["sql"] for query in captured]


def columns(statement):
    selected = statement.removeprefix("SELECT ").split(" FROM ")[0]
    return [column.split(".")[-1].strip('"') for column in selected.split(", ")]


def test_only_the_columns_asked_for_are_loaded(shelf):
    [statement] = statements(shelf, "{ listBooks { title } }")
    assert columns(statement) == ["id", "title"]
    [statement] = statements(shelf, '{ getBook(id: "b1") { genre } }')
    assert columns(statement) == ["id", "genre"]
    # The order's, for the cursor.
    [statement] = statements(shelf, "{ books { nodes { genre } pageInfo { endCursor } } }")
    assert columns(statement) == ["id", "title", "genre"]


def test_a_count_is_all_that_is_read_when_nothing_else_is_asked_for(shelf):
    [statement] = statements(shelf, "{ books { totalCount } }")
    assert statement.startswith("SELECT COUNT(*)")


def test_skipped_fields_are_not_loaded(shelf):
    [statement] = statements(
        shelf, "{ listBooks { id title @skip(if: true) ... @include(if: false) { author { id } } } }"
    )
    assert columns(statement) == ["id"]


def test_what_two_fields_ask_of_one_entity_is_loaded_together(component):
    component.mutate("createAuthor", fullName="Ada")
    component.settle()
    add_books(component, "x", author=component.query("authorByName", fullName="Ada")["id"])
    component.settle()

    document = "{ a: listBooks { author { fullName } } b: listBooks { author { bornOn ...it } } }"
    asked = statements(component, f"{document} fragment it on Author {{ id }}")
    assert [columns(each) for each in asked if "library_author" in each] == [["id", "full_name", "born_on"]]


def test_two_levels_of_references_and_lists_of_them_are_one_statement_a_level(component, everything):
    """A hundred entities, each with a list of books and a friend with books, and each book with an author."""
    book, author, thing = (apps.get_model("library", name) for name in ("Book", "Author", "Everything"))
    with acting_as(Role.SINK):
        author.objects.using("library").bulk_create([author(id=f"a{at}", full_name=f"n{at}") for at in range(50)])
        book.objects.using("library").bulk_create(
            [book(id=f"b{at}", title=f"t{at}", genre="DRAMA", author=f"a{at % 50}", tags=[]) for at in range(1500)]
        )
        thing.objects.using("library").bulk_create(
            [
                thing(
                    id=f"e{at:03}",
                    an_id="1",
                    number=1,
                    ratio=1,
                    flag=True,
                    moment="2024-02-29T12:00:00Z",
                    day="2024-02-29",
                    hour="12:00",
                    amount=at,
                    code="0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f",
                    moments=[],
                    genres=[],
                    books=[f"b{(15 * at + each) % 1500}" for each in range(15)],
                    friend=f"e{(at + 1) % 100:03}",
                )
                for at in range(100)
            ]
        )
    document = "{ everythings { books { title author { fullName } } friend { number books { genre } } } }"
    with CaptureQueriesContext(connections["library"]) as captured:
        data = component.graphql(document)["everythings"]

    assert len(data) == 100
    assert data[0]["books"][14] == {"title": "t14", "author": {"fullName": "n14"}}
    assert data[99]["friend"]["number"] == 1
    assert [columns(query["sql"]) for query in captured] == [
        # The entities; their friends and books; the friends' books, which are loaded already, and the authors.
        ["id", "number", "books", "friend_id"],
        ["id", "title", "genre", "author_id"],
        ["id", "number", "books", "friend_id"],
        ["id", "full_name"],
    ]
