"""GraphQL over HTTP: requests to operations, answers to responses."""

from __future__ import annotations

import logging
from functools import cache
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from graphql import print_schema

from byron.api.access import Refusal, identify
from byron.api.errors import RequestError, failure
from byron.api.execution import Answer, GraphQLService
from byron.api.http.media_types import GRAPHQL_JSON, HTML, JSON, preferred
from byron.api.http.requests import PARAMETERS, read_request
from byron.api.http.responses import graphql_response
from byron.api.idempotency import REPLAYED_HEADER
from byron.api.masking import METHOD_NOT_ALLOWED
from byron.api.receipts import give, sealed
from byron.conf import byron_settings

log = logging.getLogger("byron.api")

_METHODS = "GET, HEAD, POST, OPTIONS"


# A token in a form is for browsers that send cookies; this view takes JSON only, which forms cannot send.
@method_decorator(csrf_exempt, name="dispatch")
class GraphQLView(View):
    """Answer one component's GraphQL requests, and serve GraphiQL to browsers where it is on."""

    http_method_names = ["get", "head", "post", "options"]
    service: GraphQLService | None = None

    def get(self, request: HttpRequest) -> HttpResponse:
        if _wants_page(request):
            page = render(request, "byron/graphiql.html", {"title": self._service.config.component.name})
            patch_vary_headers(page, ["Accept"])
            return page
        return self._answer(request)

    def post(self, request: HttpRequest) -> HttpResponse:
        return self._answer(request)

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        response = HttpResponse(status=HTTPStatus.NO_CONTENT, headers={"Allow": _METHODS, "Accept-Post": JSON})
        del response["Content-Type"]
        return response

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return failure(
            RequestError(
                f"{request.method} is not answered here.",
                code=METHOD_NOT_ALLOWED,
                status=HTTPStatus.METHOD_NOT_ALLOWED,
                headers={"Allow": _METHODS},
            )
        )

    def _answer(self, request: HttpRequest) -> HttpResponse:
        media_type = preferred(request.META.get("HTTP_ACCEPT", ""), (JSON, GRAPHQL_JSON))
        if media_type is None:
            return failure(
                RequestError(
                    f"The answer would be {GRAPHQL_JSON} or {JSON}; the header Accept takes neither.",
                    code="NOT_ACCEPTABLE",
                    status=HTTPStatus.NOT_ACCEPTABLE,
                )
            )
        try:
            wanted = read_request(request)
        except RequestError as error:
            return failure(error, media_type)
        refusal = identify(request)
        if refusal is not None:
            return _refused(refusal, media_type)
        waited = self._service.receipts.wait(request)
        if waited.refusal is not None:
            return _refused(waited.refusal, media_type)
        answer = self._service.execute(
            wanted.query,
            wanted.variables,
            wanted.operation_name,
            request=request,
            queries_only=request.method != "POST",
        )
        receipt = self._service.receipts.issue(answer.events)
        said = {**waited.extensions, **({"receipt": sealed(receipt)} if receipt is not None else {})}
        if said:
            answer.body["extensions"] = {"byron": said}
        response = _response(answer, media_type)
        if answer.replayed:
            response[REPLAYED_HEADER] = "true"
        if receipt is not None:
            give(receipt, request, response)
        return response

    @property
    def _service(self) -> GraphQLService:
        if self.service is None:
            raise TypeError("GraphQLView.as_view takes service=")
        return self.service


def schema_view(request: HttpRequest, *, service: GraphQLService) -> HttpResponse:
    """Serve the GraphQL schema in its own language, where introspection is allowed."""
    if not byron_settings().introspection_enabled:
        return failure(RequestError("The schema is not public here.", code="NOT_FOUND", status=HTTPStatus.NOT_FOUND))
    return HttpResponse(print_schema(service.schema) + "\n", content_type="text/plain; charset=utf-8")


@csrf_exempt
def unusable_view(request: HttpRequest, label: str, problems: str) -> HttpResponse:
    """Answer for a component whose schema.yaml has problems."""
    _log_problems(label, problems)
    problem = "This component's schema has problems; see the log."
    return failure(RequestError(problem, code="UNAVAILABLE", status=HTTPStatus.SERVICE_UNAVAILABLE))


@cache
def _log_problems(label: str, problems: str) -> None:
    """Log, once, what a server does not know that was started without system checks."""
    log.error("component=%s cannot be served:\n%s", label, problems)


def _wants_page(request: HttpRequest) -> bool:
    if not byron_settings().graphiql_enabled or any(name in request.GET for name in PARAMETERS):
        return False
    return preferred(request.META.get("HTTP_ACCEPT", ""), (JSON, HTML)) == HTML


def _refused(refusal: Refusal, media_type: str) -> HttpResponse:
    return graphql_response(refusal.body, status=refusal.status, media_type=media_type, headers=refusal.headers)


def _response(answer: Answer, media_type: str) -> HttpResponse:
    if answer.refusal is not None:
        return _refused(answer.refusal, media_type)
    if answer.executed:
        return graphql_response(answer.body, status=HTTPStatus.OK, media_type=media_type, commands=answer.commands)
    # Plain application/json says 200 to whatever is well-formed; the GraphQL media type tells more.
    status = HTTPStatus.BAD_REQUEST if media_type == GRAPHQL_JSON else HTTPStatus.OK
    return graphql_response(answer.body, status=status, media_type=media_type)
