"""GraphQL over HTTP, and GraphiQL."""

from __future__ import annotations

import json
import re

import pytest
from django.test import override_settings

from byron.api.http.responses import graphql_response

pytestmark = pytest.mark.django_db(databases=["library", "students"])
URL = "/graphql/"


def post(client, body, **headers):
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(URL, content, content_type="application/json", headers=headers)


def test_a_query_is_answered_in_json(client):
    response = post(client, {"query": "{ howMany }"})

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json; charset=utf-8"
    assert response.json() == {"data": {"howMany": 0}}


def test_a_setting_may_be_a_list(client, settings):
    settings.BYRON_JWT_ALGORITHMS = ["RS256"]
    assert post(client, {"query": "{ howMany }"}).json() == {"data": {"howMany": 0}}


def test_variables_and_operation_name_are_used(client):
    document = "query a($g: Genre) { listBooks(genre: $g) { id } } query b { howMany }"

    assert post(client, {"query": document, "operationName": "b"}).json() == {"data": {"howMany": 0}}
    answer = post(client, {"query": document, "operationName": "a", "variables": {"g": "DRAMA"}}).json()
    assert answer == {"data": {"listBooks": []}}


def error_of(response):
    """Return the message, the code and the status of an answer that is one error."""
    [error] = response.json()["errors"]
    return error["message"], error["extensions"]["code"], response.status_code


def test_get_answers_queries(client):
    assert client.get(URL, {"query": "{ howMany }"}).json() == {"data": {"howMany": 0}}
    document = "query a($g: Genre) { listBooks(genre: $g) { id } } query b { howMany }"
    given = {"query": document, "operationName": "a", "variables": '{"g": "DRAMA"}', "extensions": ""}
    assert client.get(URL, given).json() == {"data": {"listBooks": []}}
    assert client.get(URL, given | {"variables": "", "operationName": "b"}).json() == {"data": {"howMany": 0}}


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
@pytest.mark.parametrize("method", ["get", "head"])
def test_a_mutation_is_not_run_by_get(client, component, accept, method):
    response = getattr(client, method)(URL, {"query": "mutation { closeLibrary }"}, headers={"Accept": accept})

    assert response.headers["Allow"] == "POST"
    assert response.status_code == 405
    assert component.events == []
    if method == "get":
        assert error_of(response) == ("Only queries can be sent with GET; use POST.", "METHOD_NOT_ALLOWED", 405)


def test_the_parameters_in_the_url_of_a_post_are_never_run(client, component):
    address = f"{URL}?query=mutation%20%7BcloseLibrary%7D"
    for body in ("{}", json.dumps({"query": "{ howMany }"}), ""):
        response = client.post(address, body, content_type="application/json")
        assert error_of(response) == (
            "A POST has its parameters in its body, not in the URL: query.",
            "BAD_REQUEST",
            400,
        )
    assert component.events == []


def test_other_parameters_in_a_url_are_not_looked_at(client):
    response = client.post(f"{URL}?trace=1", json.dumps({"query": "{ howMany }"}), content_type="application/json")
    assert response.json() == {"data": {"howMany": 0}}


def test_head_answers_like_get_without_a_body(client):
    response = client.head(URL, {"query": "{ howMany }"})

    assert (response.status_code, response.content) == (200, b"")
    assert response["Content-Type"] == "application/json; charset=utf-8"


def test_options_tells_what_can_be_done(client):
    response = client.options(URL)

    assert (response.status_code, response.content) == (204, b"")
    assert (response["Allow"], response["Accept-Post"]) == ("GET, HEAD, POST, OPTIONS", "application/json")


def test_other_methods_are_refused(client):
    response = client.put(URL, "{}", content_type="application/json")

    assert error_of(response) == ("PUT is not answered here.", "METHOD_NOT_ALLOWED", 405)
    assert response["Allow"] == "GET, HEAD, POST, OPTIONS"


def test_every_answer_has_the_headers_of_one(client):
    for response in (post(client, {"query": "{ howMany }"}), post(client, "{"), post(client, {"query": "{ nope }"})):
        assert response["Vary"] == "Accept"
        assert response["Cache-Control"] == "no-store"
        assert response["X-Content-Type-Options"] == "nosniff"


def test_a_client_that_takes_no_json_is_told_so(client):
    response = post(client, {"query": "mutation { closeLibrary }"}, Accept="text/plain, application/json;q=0")

    message = (
        "The answer would be application/graphql-response+json or application/json; the header Accept takes neither."
    )
    assert error_of(response) == (message, "NOT_ACCEPTABLE", 406)
    assert response["Content-Type"] == "application/json; charset=utf-8"


def test_a_bad_request_is_told_in_the_media_type_asked_for(client):
    accept = "application/graphql-response+json"
    response = post(client, "{", Accept=accept)

    assert (response.status_code, response["Content-Type"]) == (400, f"{accept}; charset=utf-8")


@pytest.mark.parametrize("document", ["{", "{ nope }", "query($n: Genre!) { listBooks(genre: $n) { id } }"])
def test_a_refused_document_has_no_data(client, document):
    for accept, status in (("application/json", 200), ("application/graphql-response+json", 400)):
        response = post(client, {"query": document}, Accept=accept)
        assert response.status_code == status
        assert list(response.json()) == ["errors"]


def test_a_command_s_error_is_not_the_request_s(client):
    response = post(client, {"query": "{ getAuthor(id: 1) { id } }"}, Accept="application/graphql-response+json")
    assert response.status_code == 200


def test_a_lone_surrogate_of_a_command_is_written_as_json():
    body = {"data": {"text": "a\ud800"}}
    response = graphql_response(body, status=200, media_type="application/json")
    assert json.loads(response.content) == body


def test_the_graphql_media_type_tells_a_refused_document_by_its_status(client):
    accept = "application/graphql-response+json"
    response = post(client, {"query": "{ nope }"}, Accept=accept)

    assert (response.status_code, response["Content-Type"]) == (400, f"{accept}; charset=utf-8")
    assert post(client, {"query": "{ nope }"}).status_code == 200


def test_too_many_tokens_are_refused(client):
    response = post(client, {"query": "{ " + "howMany " * 2000 + "}"})

    assert "more that 1000 tokens" in response.json()["errors"][0]["message"].replace("than", "that")


def test_each_component_answers_at_its_own_address(client):
    assert client.get("/students/graphql/", {"query": "{ getStudents { id } }"}).json() == {"data": {"getStudents": []}}
    assert client.get("/library/graphql/", {"query": "{ howMany }"}).json() == {"data": {"howMany": 0}}


@override_settings(DEBUG=True)
def test_graphiql_is_a_page_of_local_files(client):
    page = client.get(URL, headers={"Accept": "text/html"}).content.decode()

    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert any(address.endswith("graphiql.min.js") for address in addresses)
    assert all(address.startswith(("/static/", "data:")) for address in addresses)


@override_settings(DEBUG=False)
def test_graphiql_and_the_schema_are_for_debug_only(client):
    assert client.get(URL, headers={"Accept": "text/html,*/*;q=0.8"}).status_code == 400
    assert client.get("/schema.graphql").status_code == 404


@override_settings(DEBUG=True)
def test_the_schema_is_served(client):
    assert "type Book {" in client.get("/schema.graphql").content.decode()
