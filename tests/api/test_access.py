"""Roles of commands: who is refused, before anything else of the request is looked at."""

from __future__ import annotations

import json
import logging

import pytest
from django.test import override_settings
from graphql import parse

from byron.api.access import operation_refusal
from byron.commands.access import check_access
from byron.commands.runner import CommandRunner
from byron.commands.user import User
from byron.exceptions import CommandError
from byron.testing import GraphQLFailure
from byron.testing.component import ComponentUnderTest
from tests.api.issuer import Issuer

pytestmark = pytest.mark.django_db(databases=["library", "students"])

TEACHER = User(id="ada", roles=frozenset({"teacher"}))
PUPIL = User(id="bob", roles=frozenset({"pupil"}))
CREATE = 'mutation { createAuthor(fullName: "Ada") { id } }'


@pytest.fixture
def send(client, guarded, authentication):
    def send(document, token=None, **body):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        content = json.dumps({"query": document, **body})
        return client.post("/graphql/", content, content_type="application/json", headers=headers)

    return send


def code(response):
    return response.json()["errors"][0]["extensions"]["code"]


# Over HTTP.


def test_a_command_with_roles_takes_a_token(send):
    response = send("{ getAuthor(id: 1) { id } }")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json() == {
        "errors": [
            {
                "message": "getAuthor is only for those who are known: send a bearer token.",
                "locations": [{"line": 1, "column": 3}],
                "extensions": {"code": "UNAUTHENTICATED"},
            }
        ]
    }


def test_a_command_with_roles_takes_one_of_them(send, issuer):
    document = "{ getAuthor(id: 1) { id } }"

    assert send(document, issuer.token(roles=["teacher"])).json() == {"data": {"getAuthor": None}}
    response = send(document, issuer.token(roles=["pupil", "Teacher", "teacher "]))
    assert (response.status_code, code(response)) == (403, "FORBIDDEN")
    assert "WWW-Authenticate" not in response


@override_settings(DEBUG=False)
def test_a_refusal_does_not_tell_which_roles_there_are(send, issuer):
    assert "teacher" not in send(CREATE, issuer.token()).content.decode()


@override_settings(DEBUG=True)
def test_under_debug_a_refusal_tells_the_roles(send, issuer):
    [error] = send(CREATE, issuer.token()).json()["errors"]

    assert error["message"] == "You may not use createAuthor. It takes one of the roles teacher, admin."


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/graphql-response+json"])
def test_a_refusal_has_its_status_in_every_media_type(client, guarded, authentication, accept):
    content = json.dumps({"query": CREATE})
    response = client.post("/graphql/", content, content_type="application/json", headers={"Accept": accept})

    assert response.status_code == 401


@pytest.mark.parametrize("document", ["{ howMany }", "{ nope }", "{", CREATE])
def test_a_token_that_is_not_accepted_stops_every_request(send, issuer, caplog, document):
    caplog.set_level(logging.INFO, logger="byron.api")
    response = send(document, issuer.token(exp=1))

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert response.json() == {
        "errors": [{"message": "The token is not accepted.", "extensions": {"code": "UNAUTHENTICATED"}}]
    }
    assert "Signature has expired" in caplog.text


def test_a_reason_in_the_log_is_one_line_of_bounded_length(send, caplog):
    caplog.set_level(logging.INFO, logger="byron.api")
    stranger = Issuer()
    send("{ howMany }", stranger.token(headers={"kid": "x\nERROR forged line" + "y" * 5000}))

    [record] = [record for record in caplog.records if "refused a token" in record.message]
    assert "\n" not in record.getMessage()
    assert len(record.getMessage()) < 500


def test_a_header_of_100_kilobytes_is_refused(send):
    assert send("{ howMany }", "x" * 100_000).status_code == 401


def test_get_is_held_to_the_same(client, guarded, authentication, issuer):
    query = {"query": "{ getAuthor(id: 1) { id } }"}
    headers = {"Authorization": f"Bearer {issuer.token(roles=['teacher'])}"}

    assert client.get("/graphql/", query).status_code == 401
    assert client.get("/graphql/", query, headers=headers).status_code == 200


def test_open_commands_need_no_token_and_authenticated_ones_any(send, issuer):
    assert send("{ howMany }").json() == {"data": {"howMany": 0}}
    assert send("mutation { closeLibrary }").status_code == 401
    assert send("mutation { closeLibrary }", issuer.token()).status_code == 200
    data = '{title: "t", genre: POETRY, author: "", tags: []}'
    assert "data" in send(f"mutation {{ addBook(data: {data}) {{ id }} }}").json()


def test_keys_that_cannot_be_had_are_the_server_s_fault(send, issuer, keys_file, caplog):
    keys_file.unlink()
    response = send("{ howMany }", issuer.token())

    # Byron's own lines, with the request's id, and none of Django's besides.
    assert {record.name for record in caplog.records if record.levelno >= logging.ERROR} == {"byron.api"}

    assert (response.status_code, code(response)) == (503, "AUTHENTICATION_UNAVAILABLE")
    assert response["Retry-After"] == "5"
    assert send("{ howMany }").status_code == 200
    assert send(CREATE).status_code == 401


def test_with_authentication_off_a_command_with_roles_is_closed(client, guarded, issuer):
    headers = {"Authorization": f"Bearer {issuer.token(roles=['teacher'])}"}
    body = json.dumps({"query": CREATE})
    response = client.post("/graphql/", body, content_type="application/json", headers=headers)

    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")


def test_a_refused_command_s_arguments_are_not_looked_at(send, issuer):
    documents = [
        "mutation { createAuthor(nope: [1, {a: 2}]) { nothing } }",
        "mutation { createAuthor }",
        "mutation($x: Int!) { createAuthor(fullName: $x) { id } }",
        "mutation($x: Missing) { createAuthor(fullName: $y) { id { id } } }",
        "query { createAuthor }",
    ]
    for document in documents:
        assert code(send(document)) == "UNAUTHENTICATED"
        response = send(document, issuer.token(roles=["pupil"]), variables={"x": {}})
        assert (response.status_code, code(response), len(response.json()["errors"])) == (403, "FORBIDDEN", 1)


@pytest.mark.parametrize(
    "document",
    [
        "query a { howMany } mutation b { createAuthor(nope: 1) { id } }",
        "query a { howMany } fragment b on Mutation { createAuthor(nope: 1) { id } }",
        "query a { howMany ... on Mutation { createAuthor(fullName: 1) { id } } }",
        "query a { listBooks { id ... on Mutation { createAuthor { id } } } }",
    ],
)
def test_nor_are_they_told_when_it_is_somewhere_else_in_a_document_that_is_not_valid(send, issuer, document):
    response = send(document, operationName="a")
    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
    assert code(send(document, issuer.token(roles=["pupil"]), operationName="a")) == "FORBIDDEN"
    assert code(send(document, issuer.token(roles=["teacher"]), operationName="a")) == "GRAPHQL_VALIDATION_FAILED"


@pytest.mark.parametrize(
    "document",
    [
        "query ($x: BookInput = {}) { howMany }",
        "query ($x: [BookInput!] = [{nope: 1}]) { howMany }",
        "query ($g: Genre = NOPE) { howMany }",
        "query { howMany } fragment f on Book { nope }",
        "query { howMany ... on Author { nope } }",
    ],
)
def test_types_are_not_told_of_to_whom_no_command_is_that_uses_them(send, issuer, guarded, document):
    for name, command in guarded.commands.items():
        guarded.commands[name] = command.model_copy(update={"roles": None if name == "howMany" else ("teacher",)})
    assert code(send(document)) == "UNAUTHENTICATED"
    assert code(send(document, issuer.token(roles=["pupil"]))) == "FORBIDDEN"
    assert code(send(document, issuer.token(roles=["teacher"]))) == "GRAPHQL_VALIDATION_FAILED"


def test_a_type_of_an_open_command_is_told_of(send):
    assert code(send("query { howMany } fragment f on Book { nope }")) == "GRAPHQL_VALIDATION_FAILED"


def test_what_is_wrong_elsewhere_is_told(send):
    response = send("{ howMany(nope: 1) }")
    assert code(response) == "GRAPHQL_VALIDATION_FAILED"
    valid = 'query a { howMany } mutation b { createAuthor(fullName: "Ada") { id } }'
    assert send(valid, operationName="a").json() == {"data": {"howMany": 0}}


# Every way to name a command.


def refused(guarded, document, user=PUPIL, name=None):
    refusal = operation_refusal(parse(document), name, guarded, user)
    return [error.message.partition(" use ")[2].rstrip(".") for error in refusal.errors] if refusal else []


@pytest.mark.parametrize(
    "document",
    [
        CREATE,
        'mutation { harmless: createAuthor(fullName: "x") { id } }',
        "mutation { ...a } fragment a on Mutation { createAuthor { id } }",
        "mutation { ...a } fragment a on Mutation { ...b } fragment b on Mutation { createAuthor { id } }",
        "mutation { ...a } fragment a on Mutation { ...b } fragment b on Mutation { ...a createAuthor { id } }",
        "mutation { ... on Mutation { ... { ... on Mutation { createAuthor { id } } } } }",
        "mutation { createAuthor @skip(if: true) { id } }",
        "mutation($no: Boolean = false) { ...a @include(if: $no) } fragment a on Mutation { createAuthor { id } }",
        "mutation { ... @include(if: false) { createAuthor { id } } }",
        "mutation { ...a } fragment a on Book { createAuthor { id } }",
        "mutation { addBook { id } createAuthor { id } }",
        "subscription { createAuthor { id } }",
        "mutation { createAuthor { id } createAuthor { id } again: createAuthor { id } }",
        "mutation " + "{ ... " * 90 + "{ createAuthor }" + "}" * 90,
    ],
)
def test_nothing_hides_a_command(guarded, document):
    assert refused(guarded, document) == ["createAuthor"]
    assert refused(guarded, document, TEACHER) == []


@pytest.mark.parametrize(
    "document",
    [
        "{ howMany }",
        "{ ...missing }",
        "{ ...a } fragment a on Query { ...a }",
        "{ listBooks { createAuthor } }",
        "{ howMany } fragment a on Mutation { createAuthor { id } }",
        "{ __typename __schema { types { name } } }",
        "fragment a on Mutation { createAuthor { id } }",
    ],
)
def test_what_an_operation_does_not_name_at_its_root_is_no_reason(guarded, document):
    assert refused(guarded, document, None) == []


def test_only_the_chosen_operation_counts(guarded):
    document = "query a { howMany } mutation b { createAuthor { id } }"

    assert refused(guarded, document, name="a") == []
    assert refused(guarded, document, name="b") == ["createAuthor"]
    assert refused(guarded, document) == []  # which one to run is not told, so none is


def test_every_command_that_is_refused_is_named_once(guarded):
    document = "{ getAuthor(id: 1) { id } b: getAuthor(id: 2) { id } ...a } fragment a on Query { createAuthor { id } }"

    assert refused(guarded, document) == ["getAuthor", "createAuthor"]


def test_one_forbidden_command_stops_the_others(guarded, component):
    document = """mutation {
        addBook(data: {title: "t", genre: POETRY, author: "a", tags: []}) { id }
        createAuthor(fullName: "Ada") { id }
    }"""
    with pytest.raises(GraphQLFailure) as failure:
        component.as_user("bob", roles=["pupil"]).graphql(document)

    assert failure.value.code == "FORBIDDEN"
    assert component.events == []
    component.as_user("ada", roles=["teacher"]).graphql(document)
    assert [event.name for event in component.events] == ["new.book", "new.author"]


def test_a_document_that_was_run_before_is_not_run_for_others(guarded, component):
    document = 'mutation { createAuthor(fullName: "Ada") { id } }'
    component.as_user("ada", roles=["admin"]).graphql(document)
    for other in (component, component.as_user("bob")):
        with pytest.raises(GraphQLFailure):
            other.graphql(document)

    assert len(component.events) == 1


# The last line of defence.


@pytest.mark.parametrize(
    ("name", "user", "refusal"),
    [
        ("createAuthor", None, "UNAUTHENTICATED"),
        ("createAuthor", PUPIL, "FORBIDDEN"),
        ("createAuthor", TEACHER, None),
        ("closeLibrary", None, "UNAUTHENTICATED"),
        ("closeLibrary", PUPIL, None),
        ("addBook", None, None),
        ("howMany", None, None),
    ],
)
def test_roles_are_held_against_the_user(guarded, name, user, refusal):
    command = guarded.commands[name]
    if refusal is None:
        check_access(command, user)
        return
    with pytest.raises(CommandError) as error:
        check_access(command, user)
    assert error.value.code == refusal


def test_a_user_of_django_s_has_no_roles(guarded):
    class Superuser:
        is_authenticated = is_superuser = True
        roles = frozenset({"teacher", "admin"})

    for name in ("createAuthor", "closeLibrary"):
        with pytest.raises(CommandError) as error:
            check_access(guarded.commands[name], Superuser())
        assert error.value.code == "UNAUTHENTICATED"


def test_the_runner_refuses_before_any_hook_whatever_brought_the_command(library, guarded, component, monkeypatch):
    hooked = guarded.commands["addBook"].model_copy(update={"roles": ("teacher",)})
    monkeypatch.setattr("byron.commands.hooks.load_function", lambda *args: pytest.fail("a hook was looked for"))
    monkeypatch.setattr("byron.commands.runner.load_function", lambda *args: pytest.fail("a function was looked for"))
    for command in (hooked, guarded.commands["createAuthor"]):
        with pytest.raises(CommandError) as error:
            CommandRunner(library).run(command, {"data": {}})
        assert error.value.code == "UNAUTHENTICATED"

    assert component.events == []


def test_the_second_line_holds_when_the_first_is_gone(guarded, library, component, monkeypatch):
    monkeypatch.setattr("byron.api.execution.operation_refusal", lambda *args: None)
    under_test = ComponentUnderTest(library)
    with pytest.raises(GraphQLFailure) as failure:
        under_test.as_user("bob").mutate("createAuthor", fullName="Ada")

    assert (failure.value.code, under_test.events) == ("FORBIDDEN", [])


# The user in a command.


def test_a_command_is_given_the_user(guarded, component, monkeypatch):
    seen = []
    monkeypatch.setattr("library.api.commands.how_many.how_many", lambda ctx: seen.append(ctx.user) or 0)
    component.query("howMany")
    component.as_user("ada", roles=["teacher"], name="Ada Lovelace").query("howMany")

    assert seen == [None, User(id="ada", roles=frozenset({"teacher"}), claims={"sub": "ada", "name": "Ada Lovelace"})]


def test_claims_are_not_printed():
    assert "secret" not in repr(User(id="ada", claims={"email": "secret@example.org"}))
