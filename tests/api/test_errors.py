"""What Django refuses is said in JSON, to every client but those that prefer pages."""

from __future__ import annotations

import pytest
from django.http import HttpResponse, HttpResponseNotFound
from django.test import override_settings
from django.urls import include, path

from byron.api.errors import JSONErrorMiddleware
from byron.commands.bulkhead import Bulkhead

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def broken(request):
    raise RuntimeError("the secret of the developer")


def of_the_project(request):
    return HttpResponseNotFound("a page of theirs")


def maintenance(get_response):
    return lambda request: HttpResponse("<p>Back at noon.", status=503)


broken.__module__ = "byron.api.views"
urlpatterns = [path("broken", broken), path("theirs", of_the_project), path("", include("byron.api.urls"))]


def refusal_of(response):
    assert response["Content-Type"] == "application/json; charset=utf-8"
    [error] = response.json()["errors"]
    return response.status_code, error["extensions"]["code"], error["message"]


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "application/graphql-response+json"])
def test_a_wrong_host_is_refused_in_json(client, debug, accept):
    headers = {"Host": "evil.example"} | ({"Accept": accept} if accept else {})
    with override_settings(DEBUG=debug):
        response = client.post("/graphql/", "{}", content_type="application/json", headers=headers)

    message = f"The request's Host is not one that is served here{': see ALLOWED_HOSTS' if debug else ''}."
    assert refusal_of(response) == (400, "BAD_HOST", message)
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("debug", [False, True])
def test_an_unknown_address_is_told_in_json(client, debug):
    with override_settings(DEBUG=debug):
        assert refusal_of(client.get("/nope")) == (404, "NOT_FOUND", "There is nothing at this address.")


@pytest.mark.parametrize("debug", [False, True])
@override_settings(ROOT_URLCONF=__name__)
def test_a_failure_of_the_api_is_told_in_json_and_without_its_details(client, debug, caplog):
    client.raise_request_exception = False
    with override_settings(DEBUG=debug):
        response = client.get("/broken")

    message = "Something went wrong; the server's log has the details."
    assert refusal_of(response) == (500, "INTERNAL_ERROR", message)
    [line] = [record for record in caplog.records if record.name == "django.request"]
    assert line.levelname == "ERROR"
    assert str(line.exc_info[1]) == "the secret of the developer"


def test_a_refusal_that_is_meant_so_is_no_error_of_django_s_log(client, monkeypatch, caplog):
    none = Bulkhead(patience=0)
    none.limit(0)
    monkeypatch.setattr("byron.api.http.requests.BODIES", none)

    response = client.post("/graphql/", {"query": "{ howMany }"}, content_type="application/json")

    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (503, "OVERLOADED")
    assert caplog.records == []


@override_settings(
    ROOT_URLCONF=__name__, MIDDLEWARE=["byron.api.errors.JSONErrorMiddleware", f"{__name__}.maintenance"]
)
def test_a_page_of_the_project_s_middleware_is_logged_as_django_does(client, caplog):
    response = client.get("/healthz")

    assert refusal_of(response) == (503, "ERROR", "Service Unavailable.")
    assert [(record.name, record.levelname) for record in caplog.records] == [("django.request", "ERROR")]


def test_browsers_get_django_s_pages(client):
    response = client.get("/nope", headers={"Accept": BROWSER})

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")


@override_settings(ROOT_URLCONF=__name__)
def test_the_project_s_own_answers_are_left_alone(client):
    response = client.get("/theirs", headers={"Accept": "application/json"})
    assert (response.status_code, response.content) == (404, b"a page of theirs")


def test_an_answer_that_is_no_refusal_is_left_alone():
    answer = HttpResponse("text", content_type="text/plain")
    assert JSONErrorMiddleware(lambda request: answer)(object()) is answer
