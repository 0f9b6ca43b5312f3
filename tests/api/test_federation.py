"""A component as a subgraph of Apollo Federation 2: its SDL, its entities, and who gets them."""

from __future__ import annotations

import pytest
import yaml
from django.apps import apps
from django.db import connections
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from graphql import ObjectTypeDefinitionNode, ScalarTypeDefinitionNode, parse, print_ast, print_schema

from byron.api.execution import GraphQLService
from byron.api.graphql import build_schema
from byron.cache.roles import Role, acting_as
from byron.codegen.graphql import graphql_source
from byron.schema.federation import entity_reads
from byron.schema.installed import ComponentConfig
from byron.schema.model import Component
from byron.schema.subgraph import subgraph_source
from byron.testing import GraphQLFailure
from byron.testing.component import ComponentUnderTest

pytestmark = pytest.mark.django_db(databases=["library", "students"])

BOOKS = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Book { title } } }"
WITH_AUTHORS = """query($r: [_Any!]!) {
  _entities(representations: $r) { __typename ...book ... on Author { bornOn } }
}
fragment book on Book { id genre author { fullName } }"""
READERS = {"getAuthor": {"read": {"get": "Author"}, "parameters": []}}


def changed(library: ComponentConfig, *added, **changes):
    """Return the library with other keys in some of its commands, and with more of those."""
    data = yaml.safe_load(library.schema_path.read_text())
    for command in data["content"]["commands"]:
        command.update(changes.get(command["name"], {}))
    data["content"]["commands"] += added
    return Component.model_validate(data)


@pytest.fixture
def shelf(library, monkeypatch, settings):
    """The library, with a declared getAuthor, and what it has to do with this module."""
    made = changed(library, **READERS)
    settings.BYRON_API_INTROSPECTION = True
    monkeypatch.setitem(library.__dict__, "component", made)
    store()
    with ComponentUnderTest(library).connected() as component:
        yield component


def store(number=3):
    author, book = apps.get_model("library", "Author"), apps.get_model("library", "Book")
    with acting_as(Role.SINK):
        author.objects.using("library").bulk_create(
            [author(id=f"a{at}", full_name=f"Author {at}") for at in range(number)]
        )
        book.objects.using("library").bulk_create(
            [book(id=f"b{at}", title=f"Book {at}", genre="DRAMA", author=f"a{at}", tags=[]) for at in range(number)]
        )


def of(kind, *ids):
    return [{"__typename": kind, "id": each} for each in ids]


def columns(statement):
    selected = statement.removeprefix("SELECT ").split(" FROM ")[0]
    return {column.split(".")[-1].strip('"') for column in selected.split(", ")}


# What the subgraph says.


def definitions(text):
    """Return what a schema defines, in any order; only those served describe scalars."""
    nodes = parse(text, no_location=True).definitions
    return {print_ast(node) for node in nodes if not isinstance(node, ScalarTypeDefinitionNode)}


def sdl(component):
    return component.graphql("{ _service { sdl } }")["_service"]["sdl"]


def objects(text):
    return {node.name.value: node for node in parse(text).definitions if isinstance(node, ObjectTypeDefinitionNode)}


def directives(node):
    return [print_ast(directive) for directive in node.directives]


def test_the_sdl_links_the_specification_and_marks_entities_and_what_is_shared(shelf):
    text = sdl(shelf)
    kinds = objects(text)

    assert text.startswith('extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: [')
    assert directives(kinds["Book"]) == ['@key(fields: "id")', "@shareable"]
    # Nobody can ask for one of them by its id.
    assert directives(kinds["Everything"]) == ['@key(fields: "id", resolvable: false)', "@shareable"]
    assert directives(kinds["PageInfo"]) == directives(kinds["BookConnection"]) == ["@shareable"]
    assert directives(kinds["Query"]) == directives(kinds["Mutation"]) == []
    assert "_entities" not in text


def test_the_sdl_made_of_files_is_the_one_that_is_served(library):
    served = subgraph_source(library.component, print_schema(build_schema(library).graphql_schema))
    made = subgraph_source(library.component, graphql_source(library.component))

    assert len(objects(made)) > 5
    assert definitions(made) == definitions(served)


def test_inputs_that_only_events_use_are_left_out(library):
    data = yaml.safe_load(library.schema_path.read_text())
    data["content"]["inputs"].append({"name": "BookGone", "attributes": [{"name": "id", "type": "ID!"}]})
    data["content"]["events"].append({"name": "book.lost", "payload": "BookGone"})
    component = Component.model_validate(data)

    source = graphql_source(component)
    assert "input BookGone" in source
    assert "BookGone" not in subgraph_source(component, source)


def test_a_component_without_queries_gives_a_supergraph_none(library):
    data = yaml.safe_load(library.schema_path.read_text())
    data["content"]["commands"] = [each for each in data["content"]["commands"] if each["name"] == "addBook"]
    component = Component.model_validate(data)

    source = graphql_source(component)
    assert "component: String!" in source
    assert "Query" not in objects(subgraph_source(component, source))


def test_the_sdl_is_no_more_public_than_the_schema(component):
    with override_settings(BYRON_API_INTROSPECTION=False), pytest.raises(GraphQLFailure, match="not public here"):
        sdl(component)


def test_federation_can_be_off(library):
    with override_settings(BYRON_FEDERATION=False):
        service = GraphQLService(library)

    for query in ("{ _service { sdl } }", BOOKS):
        messages = [error["message"] for error in service.execute(query, {"r": []}).body["errors"]]
        assert any(message.startswith("Cannot query field '_") for message in messages)


# What may be asked for by id.


def test_a_declared_get_by_id_makes_a_type_an_entity_that_can_be_asked_for(library):
    # getAuthor is a function, authorByName is by another attribute.
    assert list(entity_reads(library.component)) == ["Book", "Shelf"]
    assert list(entity_reads(changed(library, **READERS))) == ["Book", "Author", "Shelf"]


@pytest.mark.parametrize("hooks", [{"before": ["check"]}, {"after": ["check"]}])
def test_a_get_with_hooks_does_not_for_nobody_would_run_them(library, hooks):
    assert entity_reads(changed(library, getBook={"hooks": hooks})).keys() == {"Shelf"}


def test_entities_come_in_the_order_asked_for_with_null_for_what_is_not_known(shelf):
    data = shelf.graphql(BOOKS, r=of("Book", "b2", "none", "b0", "b2"))

    assert data["_entities"] == [{"title": "Book 2"}, None, {"title": "Book 0"}, {"title": "Book 2"}]


def test_entities_of_several_types_come_with_their_references(shelf):
    data = shelf.graphql(WITH_AUTHORS, r=[*of("Author", "a1"), *of("Book", "b1")])

    assert data["_entities"] == [
        {"__typename": "Author", "bornOn": None},
        {"__typename": "Book", "id": "b1", "genre": "DRAMA", "author": {"fullName": "Author 1"}},
    ]


def test_a_hundred_entities_cost_one_statement_a_type_and_only_the_columns_asked_for(shelf):
    wanted = [*of("Book", *(f"b{at}" for at in range(50))), *of("Author", *(f"a{at}" for at in range(50)))]

    with CaptureQueriesContext(connections["library"]) as captured:
        shelf.graphql(WITH_AUTHORS, r=wanted)
    books, *authors = [query["sql"] for query in captured]
    assert columns(books) == {"id", "genre", "author_id"}
    assert [columns(each) for each in authors] == [{"id", "full_name", "born_on"}]

    with CaptureQueriesContext(connections["library"]) as captured:
        shelf.graphql(BOOKS, r=of("Book", *(f"b{at}" for at in range(100))))
    [statement] = captured
    assert columns(statement["sql"]) == {"id", "title"}


def test_an_id_may_be_an_integer(shelf):
    assert shelf.graphql(BOOKS, r=of("Book", 7)) == {"_entities": [None]}


@pytest.mark.parametrize(
    ("representation", "message"),
    [
        ({}, "is a type and an id"),
        ({"__typename": "Book"}, "is a type and an id"),
        ({"__typename": "Book", "id": None}, "is a type and an id"),
        ({"__typename": "Book", "id": True}, "is a type and an id"),
        ({"__typename": ["Book"], "id": "b1"}, "is a type and an id"),
        ("Book", "is a type and an id"),
        ({"__typename": "Everything", "id": "1"}, "cannot be had by its id"),
        ({"__typename": "Query", "id": "1"}, "cannot be had by its id"),
        ({"__typename": "None", "id": "1"}, "cannot be had by its id"),
    ],
)
def test_what_is_no_representation_is_refused(shelf, representation, message):
    with pytest.raises(GraphQLFailure, match=message) as failure:
        shelf.graphql(BOOKS, r=[representation])
    assert failure.value.code == "BAD_USER_INPUT"


def test_representations_cost_as_entities_do(shelf):
    def number(document, **variables):
        with override_settings(BYRON_API_MAX_COST=10), pytest.raises(GraphQLFailure) as failure:
            shelf.graphql(document, **variables)
        assert failure.value.code == "LIMIT_EXCEEDED"
        return str(failure.value).split("costs ")[1].split(";")[0]

    assert number(BOOKS, r=of("Book", *"0123456789")) == "11"
    # In the one `fullName` is below another field, and `__typename` is a field too.
    assert number(WITH_AUTHORS, r=of("Book", *"0123456789")) == "61"
    assert number("query($r: [_Any!]!) { _entities(representations: $r) { ...n } } fragment n on Book { __typename }",
                  r=of("Book", *"0123456789")) == "11"  # fmt: skip
    literal = ", ".join('{__typename: "Book", id: 1}' for _ in range(12))
    assert number(f"{{ _entities(representations: [{literal}]) {{ __typename }} }}") == "13"
    by_default = f"query($r: [_Any!]! = [{literal}]) {{ _entities(representations: $r) {{ __typename }} }}"
    assert number(by_default) == "13"


# Who gets them.


@pytest.fixture
def guarded_shelf(library, monkeypatch, shelf):
    made = changed(library, getBook={"roles": ["teacher"]}, getAuthor={**READERS["getAuthor"], "roles": ["anyone"]})
    monkeypatch.setitem(library.__dict__, "component", made)
    with ComponentUnderTest(library).connected() as component:
        yield component


def test_an_entity_is_only_for_who_may_use_the_command_that_gets_it(guarded_shelf):
    wanted = of("Book", "b1")

    assert guarded_shelf.as_user("ada", roles=["teacher"]).graphql(BOOKS, r=wanted) == {
        "_entities": [{"title": "Book 1"}]
    }
    with pytest.raises(GraphQLFailure) as failure:
        guarded_shelf.as_user("bob", roles=["pupil"]).graphql(BOOKS, r=wanted)
    assert failure.value.code == "FORBIDDEN"
    with pytest.raises(GraphQLFailure) as failure:
        guarded_shelf.graphql(BOOKS, r=wanted)
    assert failure.value.code == "UNAUTHENTICATED"
    authors = "query($r: [_Any!]!) { _entities(representations: $r) { ... on Author { fullName } } }"
    assert guarded_shelf.graphql(authors, r=of("Author", "a1")) == {"_entities": [{"fullName": "Author 1"}]}


@pytest.mark.parametrize(
    "selected",
    ["__typename", "... on _Entity { __typename }", "... on Author { id }"],
)
def test_it_is_not_even_told_to_others_whether_there_is_one(guarded_shelf, selected):
    document = f"query($r: [_Any!]!) {{ _entities(representations: $r) {{ {selected} }} }}"

    for identity in ("b1", "none"):
        with CaptureQueriesContext(connections["library"]) as captured, pytest.raises(GraphQLFailure) as failure:
            guarded_shelf.graphql(document, r=of("Book", identity))
        assert failure.value.code == "UNAUTHENTICATED"
        assert not captured


@pytest.mark.parametrize(
    "document",
    [
        "{ _entities(wrong: 1) { ... on Book { nothing } } }",
        "{ _entities(wrong: 1) { ...f } } fragment f on _Entity { ... { ...g } } fragment g on Book { nothing ...f }",
    ],
)
def test_roles_are_held_against_the_types_named_before_validation(guarded_shelf, document):
    with pytest.raises(GraphQLFailure) as failure:
        guarded_shelf.graphql(document)
    assert failure.value.code == "UNAUTHENTICATED"
    assert "nothing" not in str(failure.value)


def test_any_of_several_commands_that_get_it_will_do(library, monkeypatch, guarded_shelf):
    peek = {"name": "peek", "type": "query", "returnType": "Book", "read": {"get": "Book"}, "roles": ["pupil"]}
    monkeypatch.setitem(library.__dict__, "component", changed(library, peek, getBook={"roles": ["teacher"]}))

    with ComponentUnderTest(library).connected() as component:
        for role in ("pupil", "teacher"):
            assert component.as_user("x", roles=[role]).graphql(BOOKS, r=of("Book", "b1"))["_entities"][0]
        with pytest.raises(GraphQLFailure, match="You may not use peek"):
            component.as_user("x", roles=["other"]).graphql(BOOKS, r=of("Book", "b1"))
