"""What surrounds every request: ids and the access log."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import path

from byron.api.middleware import RequestIdFilter, RequestMiddleware

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture
def client(settings) -> Client:
    settings.MIDDLEWARE = ["byron.api.middleware.RequestMiddleware"]
    return Client()


@pytest.fixture
def lines(caplog) -> Iterator[list[str]]:
    class Lines(list[str]):
        def __iter__(self) -> Iterator[str]:
            return (record.getMessage() for record in caplog.records if record.name == "byron.access")

    with caplog.at_level(logging.INFO, logger="byron.access"):
        yield Lines()


def test_a_request_gets_an_id_of_its_own(client):
    first, second = client.get("/healthz"), client.get("/healthz")

    assert re.fullmatch(UUID, first["X-Request-ID"])
    assert first["X-Request-ID"] != second["X-Request-ID"]


def test_a_sane_id_of_the_client_s_is_kept(client):
    assert client.get("/healthz", headers={"X-Request-ID": "Front_7.a-b"})["X-Request-ID"] == "Front_7.a-b"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a,b", "<script>", "ü", "id\tx"])
def test_any_other_id_is_replaced(client, given):
    assert re.fullmatch(UUID, client.get("/healthz", headers={"X-Request-ID": given})["X-Request-ID"])


def test_the_access_log_says_what_was_asked_and_answered_but_not_the_query(client, lines):
    response = client.get("/healthz?token=secret", headers={"X-Request-ID": "r1"})

    [line] = lines
    assert re.fullmatch(rf"GET /healthz 200 \d+\.\dms {len(response.content)}B request=r1", line)


def test_a_path_cannot_break_a_line_of_the_log(client, lines):
    client.get("/a%0AGET /admin 200")

    [line] = lines
    assert line.startswith("GET /a%0AGET%20/admin%20200 404 ")


def test_an_exception_is_logged_as_the_answer_that_it_becomes(client, lines, settings):
    def fail(request):
        raise RuntimeError("broken")

    settings.ROOT_URLCONF = (path("healthz", fail),)
    client.raise_request_exception = False

    client.get("/healthz")

    [line] = lines
    assert line.startswith("GET /healthz 500 ")


def test_lines_of_other_loggers_can_show_the_request_while_it_is_answered():
    shown = []

    def view(request):
        record = logging.makeLogRecord({})
        RequestIdFilter().filter(record)
        shown.append((request.request_id, record.in_request))
        return HttpResponse()

    RequestMiddleware(view)(RequestFactory().get("/", headers={"X-Request-ID": "r2"}))
    after = logging.makeLogRecord({})
    RequestIdFilter().filter(after)

    assert shown == [("r2", " request=r2")]
    assert after.in_request == ""


@pytest.mark.django_db(databases=["library", "students"])
def test_an_access_line_names_commands_and_errors_of_graphql_and_no_argument(client, lines):
    def post(query):
        client.post("/graphql/", {"query": query}, content_type="application/json", headers={"X-Request-ID": "r1"})

    post("{ a: howMany b: howMany listBooks(genre: DRAMA) { id } }")
    post('{ getAuthor(id: "secret") { id } }')
    post("{ nobody }")
    post("{")

    assert [line.partition(" request=r1")[2] for line in lines] == [
        " commands=howMany,listBooks",
        " commands=getAuthor",
        " errors=GRAPHQL_VALIDATION_FAILED",
        " errors=GRAPHQL_PARSE_FAILED",
    ]


@pytest.mark.django_db(databases=["library", "students"])
def test_an_access_line_tells_why_a_command_was_refused(client, lines, component):
    component.broker.available = False
    client.post(
        "/graphql/",
        {"query": 'mutation { createAuthor(fullName: "Ada") { id } }'},
        content_type="application/json",
    )

    [line] = lines
    assert line.endswith(" commands=createAuthor errors=BROKER_UNAVAILABLE")
