"""GraphQL over HTTP, health, GraphiQL."""

from __future__ import annotations

import json
import re

import pytest
from django.test import override_settings

from byron.broker.connection import use_broker
from byron.broker.memory import MemoryBroker

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


def test_variables_and_operation_name_are_used(client):
    document = "query a($g: Genre) { listBooks(genre: $g) { id } } query b { howMany }"

    assert post(client, {"query": document, "operationName": "b"}).json() == {"data": {"howMany": 0}}
    answer = post(client, {"query": document, "operationName": "a", "variables": {"g": "DRAMA"}}).json()
    assert answer == {"data": {"listBooks": []}}


def test_get_answers_queries_only(client):
    assert client.get(URL, {"query": "{ howMany }"}).json() == {"data": {"howMany": 0}}
    response = client.get(URL, {"query": "mutation { closeLibrary }"})
    assert response.json() == {"errors": [{"message": "Only queries can be sent with GET; use POST."}]}


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("{", 400, "The request's body is not JSON."),
        ("[" * 100_000, 400, "The request's body is not JSON."),
        ('{"query": "{ howMany }", "variables": {"x": NaN}}', 400, "The request's body is not JSON."),
        ([], 400, "must be a JSON object with a query"),
        ({}, 400, "The request has no query, or one that is not text."),
        ({"query": 5}, 400, "The request has no query, or one that is not text."),
        ({"query": "{ howMany }", "variables": []}, 400, "The variables must be a JSON object."),
        ({"query": "{ howMany }", "operationName": 3}, 400, "The operationName must be text."),
        ({"query": "x" * 2_000_000}, 413, "The request is larger than 1048576 bytes."),
        (b'{"query": "\xff"}', 400, "The request's body is not JSON."),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client, body, status, message):
    response = post(client, body)

    assert response.status_code == status
    assert message in response.json()["errors"][0]["message"]


def test_forms_are_not_taken(client):
    response = client.post(URL, {"query": "{ howMany }"})

    assert response.status_code == 415
    assert response.json() == {"errors": [{"message": "Send the request as application/json."}]}


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
    assert client.get(URL, headers={"Accept": "text/html"}).status_code == 400
    assert client.get("/schema.graphql").status_code == 404


@override_settings(DEBUG=True)
def test_the_schema_is_served(client):
    assert "type Book {" in client.get("/schema.graphql").content.decode()


@override_settings(DEBUG=False)
def test_health_tells_the_process_and_its_caches(client):
    broker, calisto = MemoryBroker("Perses"), MemoryBroker("Calisto")
    with use_broker("Perses", broker), use_broker("Calisto", calisto):
        broker.available = False
        calisto.ensure_log()
        response = client.get("/readyz")

    assert client.get("/healthz").json() == {"status": "ok"}
    assert response.status_code == 200
    assert response.json()["components"]["library"] == {
        "cache": "ok",
        "broker": "unreachable",
        "position": 0,
        "parked": 0,
    }
    assert response.json()["components"]["students"] == {
        "cache": "ok",
        "broker": "ok",
        "position": 0,
        "parked": 0,
    }
