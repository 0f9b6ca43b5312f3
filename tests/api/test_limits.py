"""Documents that are too large, too deep or too dear are refused before a command runs."""

from __future__ import annotations

import time

import pytest
from django.test.utils import override_settings
from graphql import get_introspection_query

from byron.testing import GraphQLFailure


def refused(component, document, **variables):
    with pytest.raises(GraphQLFailure) as failure:
        component.graphql(document, **variables)
    assert failure.value.code == "LIMIT_EXCEEDED"
    return str(failure.value)


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


def test_fields_that_are_repeated_are_limited(component):
    assert component.graphql("{ " + "howMany " * 50 + "}") == {"howMany": 0}
    assert "51 times the same field in one place" in refused(component, "{ listBooks { " + "id " * 51 + "} }")


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
    assert message.startswith(f"LIMIT_EXCEEDED: The operation costs {cost}; {cost - 1} is allowed.")


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
