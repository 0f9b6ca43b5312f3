"""Documents that are too large, too deep or too dear are refused before a command runs."""

from __future__ import annotations

import time

import pytest
from django.apps import apps
from django.db import connections
from django.test.utils import CaptureQueriesContext, override_settings
from graphql import get_introspection_query

from byron.cache.roles import Role, acting_as
from byron.testing import GraphQLFailure


def refused(component, document, **variables):
    with pytest.raises(GraphQLFailure) as failure:
        component.graphql(document, **variables)
    assert failure.value.code == "LIMIT_EXCEEDED"
    return str(failure.value).removeprefix("LIMIT_EXCEEDED: ")


def nested(levels):
    """Return a query of so many levels: friends may be nested without end."""
    inner = "number"
    for _ in range(levels - 2):
        inner = f"friend {{ {inner} }}"
    return f"{{ everythings(first: 1) {{ {inner} }} }}"


def test_depth_is_limited(component):
    assert component.graphql(nested(10)) == {"everythings": []}
    assert refused(component, nested(11)) == "The document has 11 levels of fields; 10 are allowed."


def test_fragments_do_not_hide_depth(component):
    fragments = [f"fragment f{at} on Everything {{ friend {{ ...f{at + 1} }} }}" for at in range(10)]
    document = f"{{ everythings {{ ...f0 }} }} {' '.join(fragments)} fragment f10 on Everything {{ number }}"

    assert "12 levels of fields" in refused(component, document)


def test_a_fragment_that_contains_itself_is_no_endless_depth(component):
    document = "{ everythings { ...f } } fragment f on Everything { friend { ...f } }"
    with pytest.raises(GraphQLFailure, match="Cannot spread fragment 'f' within itself"):
        component.graphql(document)


def test_aliases_are_limited(component):
    def document(number):
        return "{ " + " ".join(f"a{at}: howMany" for at in range(number)) + " }"

    assert len(component.graphql(document(15))) == 15
    assert refused(component, document(16)) == "The document has 16 aliases; 15 are allowed."


def test_directives_are_limited(component):
    def document(number):
        return "{ " + " ".join(["howMany @include(if: true)"] * number) + " }"

    assert component.graphql(document(50)) == {"howMany": 0}
    assert refused(component, document(51)) == "The document has 51 directives; 50 are allowed."


@pytest.mark.parametrize(
    "document",
    [
        "{ listBooks { " + "id " * 400 + "} }",
        "{ listBooks { " + ("... { " + "id " * 45 + "} ") * 20 + "} }",
        "{ listBooks { " + ("author { " + "id " * 20 + "} ") * 40 + "} }",
        "{ listBooks { " + "...a ...b " + "} } " + "".join(f"fragment {f} on Book {{ {'id ' * 250}}} " for f in "ab"),
    ],
    ids=["in one place", "in inline fragments", "below others", "in fragments"],
)
def test_fields_are_not_compared_without_end(component, document):
    """However the fields come into one place: GraphQL has each of one name compared with each other."""
    assert "compares too many fields of the same name in one place" in refused(component, document)


def test_fields_may_be_repeated(component):
    assert component.graphql("{ " + "howMany " * 150 + "}") == {"howMany": 0}


def test_tokens_are_limited(component):
    with pytest.raises(GraphQLFailure, match="Document contains more than 1000 tokens. Parsing aborted.") as failure:
        component.graphql("{ " + " ".join(f"a{at}: howMany" for at in range(20_000)) + " }")

    assert failure.value.code == "GRAPHQL_PARSE_FAILED"


@pytest.mark.parametrize(
    ("document", "cost"),
    [
        ("{ howMany }", 1),
        ("{ howMany again: howMany }", 2),
        # One for the list; for each of its ten books one, and two for its author.
        ("{ listBooks { id author { id } } }", 31),
        ("{ listBooks(first: 3) { id author { id } } }", 10),
        ("query ($n: Int) { listBooks(first: $n) { id } }", 3),
        ("query ($other: Int) { listBooks(first: $other) { id } }", 11),
        # A list of references has ten.
        ("{ everythings(first: 2) { books { id } } }", 23),
        ('{ getBook(id: "x") { id author { id fullName } } }', 5),
        ("{ books(first: 2) { nodes { id title } totalCount } }", 9),
        ("{ books(first: 2) { edges { node { id } } } }", 7),
        ("{ listBooks(first: 2) { ...a ...a } } fragment a on Book { id ... on Book { title } }", 9),
        ("{ __typename }", 1),
    ],
)
def test_what_an_operation_costs(component, document, cost):
    variables = {"n": 2} if "$n" in document else {}
    with override_settings(BYRON_API_MAX_COST=cost):
        component.graphql(document, **variables)
    with override_settings(BYRON_API_MAX_COST=cost - 1):
        message = refused(component, document, **variables)
    assert message.startswith(f"The operation costs {cost}; {cost - 1} is allowed.")


def test_a_page_larger_than_allowed_costs_no_more_than_the_largest(component):
    with override_settings(BYRON_API_MAX_COST=11), pytest.raises(GraphQLFailure) as failure:
        component.graphql("{ listBooks(first: 1000000) { id } }")

    assert failure.value.code == "BAD_USER_INPUT"


def test_fragments_in_fragments_make_no_answer_cheap_and_no_refusal_slow(component):
    fragments = [
        f"fragment f{at} on Everything {{ books {{ id }} friend {{ ...f{at + 1} ...f{at + 1} ...f{at + 1} }} }}"
        for at in range(6)
    ]
    last = "fragment f6 on Everything { books { author { fullName } } }"

    began = time.perf_counter()
    assert "5,000 is allowed" in refused(component, f"{{ everythings {{ ...f0 }} }} {' '.join(fragments)} {last}")
    assert time.perf_counter() - began < 5


def doubling(levels, root="everythings(first: 0)"):
    """Return a query of fragments each of which spreads the next one twice."""
    fragments = [f"fragment f{at} on Everything {{ ...f{at + 1} ...f{at + 1} }}" for at in range(levels)]
    return f"{{ {root} {{ ...f0 }} }} {' '.join(fragments)} fragment f{levels} on Everything {{ id }}"


@pytest.mark.parametrize("first", ["0", "-1"])
def test_no_entities_make_nothing_free(component, first):
    began = time.process_time()
    assert "costs far more" in refused(component, doubling(60, f"everythings(first: {first})"))
    assert time.process_time() - began < 2


def test_a_variable_that_is_zero_makes_nothing_free(component):
    document = doubling(60, "everythings(first: $n)")
    assert "costs far more" in refused(component, f"query ($n: Int) {document}", n=0)


def test_no_representations_make_nothing_free(component):
    fragments = " ".join(f"fragment f{at} on _Entity {{ ...f{at + 1} ...f{at + 1} }}" for at in range(60))
    document = "query ($r: [_Any!]!) { _entities(representations: $r) { ...f0 } }"
    last = "fragment f60 on _Entity { __typename }"
    assert "costs far more" in refused(component, f"{document} {fragments} {last}", r=[])


def test_a_fragment_is_looked_at_once_in_each_place(component):
    began = time.process_time()
    with override_settings(BYRON_API_MAX_COST=10**10):
        assert component.graphql(doubling(60)) == {"everythings": []}
    assert time.process_time() - began < 2


@pytest.fixture
def long_list(component):
    """An entity that refers to 200 books of one author."""
    models = {
        name: apps.get_model("library", name)._default_manager.using("library") for name in ("Book", "Everything")
    }
    books = [models["Book"].model(id=f"b{at}", title="t", genre="DRAMA", author="a", tags=[]) for at in range(200)]
    day = {"moment": "2024-02-29T12:00:00Z", "day": "2024-02-29", "hour": "12:00"}
    code = "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f"
    given = {
        "an_id": "1",
        "number": 1,
        "ratio": 1,
        "flag": True,
        "amount": 1,
        "code": code,
        "moments": [],
        "genres": [],
    }
    with acting_as(Role.SINK):
        models["Book"].bulk_create(books)
        models["Everything"].create(id="e", books=[each.id for each in books], **day, **given)
    return component


def test_lists_of_references_that_turn_out_to_be_long_are_refused_before_they_are_loaded(long_list):
    document = "{ everythings(first: 1) { books { id title } } }"
    with override_settings(BYRON_API_MAX_COST=40):
        assert len(long_list.graphql(document)["everythings"][0]["books"]) == 200
    with override_settings(BYRON_API_MAX_COST=39), CaptureQueriesContext(connections["library"]) as captured:
        message = refused(long_list, document)

    assert message.startswith("books is too long: lists of references may have 390 fields in one answer.")
    assert [query["sql"] for query in captured if "library_book" in query["sql"]] == []


def test_what_is_below_a_long_list_counts_and_so_do_several_lists_together(long_list):
    with override_settings(BYRON_API_MAX_COST=39):
        refused(long_list, "{ everythings(first: 1) { books { author { id } } } }")
        refused(long_list, "{ a: everythings(first: 1) { books { id } } b: everythings(first: 1) { books { id } } }")


def test_graphiql_can_ask_for_the_schema_under_debug(component):
    with override_settings(DEBUG=True):
        assert component.graphql(get_introspection_query())["__schema"]["queryType"]["name"] == "Query"


def test_the_limits_are_settings(component):
    with override_settings(
        BYRON_API_MAX_DEPTH=20, BYRON_API_MAX_ALIASES=30, BYRON_API_MAX_DIRECTIVES=60, BYRON_API_MAX_TOKENS=5000
    ):
        component.graphql(nested(20))
        component.graphql("{ " + " ".join(f"a{at}: howMany" for at in range(30)) + " }")
        component.graphql("{ " + " ".join(["... @include(if: true) { howMany }"] * 60) + " }")
