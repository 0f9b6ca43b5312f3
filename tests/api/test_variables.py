"""Variables that are used several times are not multiplied beyond what a request may hold."""

from __future__ import annotations

import pytest
from django.test.utils import override_settings

from byron.testing import GraphQLFailure

BOOK = 'title: "t", genre: DRAMA, author: "a"'


def add_book(tags, declared="$s: String!"):
    return f"mutation ({declared}) {{ addBook(data: {{{BOOK}, tags: [{tags}]}}) {{ id }} }}"


def refused(component, document, **variables):
    with pytest.raises(GraphQLFailure) as failure:
        component.graphql(document, **variables)
    assert failure.value.code == "LIMIT_EXCEEDED"
    assert component.events == []
    return str(failure.value).removeprefix("LIMIT_EXCEEDED: ")


def test_a_large_text_is_not_multiplied(component):
    assert refused(component, add_book("$s " * 470), s="x" * 1_000_000) == (
        "Variables that are used several times come to more than 1,048,576 bytes in this operation. "
        "Use them less often, or send less in them."
    )


@pytest.mark.parametrize(
    ("document", "uses"),
    [
        (add_book("$s $s $s"), 3),
        (
            "query ($s: String) { " + " ".join(f"a{at}: authorByName(fullName: $s) {{ id }}" for at in range(4)) + " }",
            4,
        ),
        (
            "query ($s: String) { ...a ...b } fragment a on Query { x: authorByName(fullName: $s) { id } ...b } "
            "fragment b on Query { y: authorByName(fullName: $s) { id } }",
            3,
        ),
        ("query ($s: String!) { x: books(where: {title: {in: [$s, $s]}}) { totalCount } howMany }", 2),
    ],
    ids=["in a list", "in aliases", "in fragments", "in an input"],
)
def test_each_use_counts(component, document, uses):
    document = document.replace("String)", "String!)")
    with override_settings(BYRON_API_MAX_BODY_BYTES=12 * uses):
        component.graphql(document, s="x" * 10)
    with (
        override_settings(BYRON_API_MAX_BODY_BYTES=12 * uses - 1),
        pytest.raises(GraphQLFailure, match="several times"),
    ):
        component.graphql(document, s="x" * 10)


def in_twice(declared):
    condition = "books(where: {title: {in: $v}}) { totalCount }"
    return f"query ({declared}) {{ a: {condition} b: {condition} }}"


def test_values_are_not_multiplied_either(component):
    with override_settings(BYRON_API_MAX_VALUES=22):
        component.graphql(in_twice("$v: [String!]"), v=["x"] * 10)
    with override_settings(BYRON_API_MAX_VALUES=21):
        assert "more than 21 values" in refused(component, in_twice("$v: [String!]"), v=["x"] * 10)


def test_a_default_counts_as_if_it_were_given(component):
    document = add_book("$s $s", '$s: String! = "' + "x" * 10 + '"')
    with override_settings(BYRON_API_MAX_BODY_BYTES=23):
        refused(component, document)
        refused(component, add_book("$s $s", '$s: String! = ""'), s="x" * 10)
    with override_settings(BYRON_API_MAX_BODY_BYTES=24):
        component.graphql(document)


def test_each_value_of_a_default_counts(component):
    document = in_twice("$v: [String!] = [" + '"x" ' * 10 + "]")
    with override_settings(BYRON_API_MAX_VALUES=21):
        assert "more than 21 values" in refused(component, document)
    with override_settings(BYRON_API_MAX_VALUES=22):
        component.graphql(document)


def test_a_variable_that_is_used_once_may_be_as_large_as_the_request(component):
    with override_settings(BYRON_API_MAX_BODY_BYTES=100):
        component.graphql(add_book("$s"), s="x" * 1000)


def test_fragments_in_fragments_are_added_up_once(component):
    fragments = " ".join(f"fragment f{at} on Query {{ ...f{at + 1} ...f{at + 1} }}" for at in range(60))
    last = "fragment f60 on Query { authorByName(fullName: $s) { id } }"
    refused(component, f"query ($s: String!) {{ ...f0 }} {fragments} {last}", s="x")


def test_a_text_that_is_no_unicode_is_refused_as_ever(component):
    with pytest.raises(GraphQLFailure, match="half of a surrogate pair"):
        component.graphql(add_book("$s $s"), s="\ud800")
