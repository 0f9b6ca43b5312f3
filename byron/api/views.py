"""GraphQL over HTTP: requests to operations, answers to responses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.csrf import csrf_exempt
from graphql import print_schema

from byron.api.access import identify
from byron.api.execution import Answer, GraphQLService
from byron.conf import byron_settings

_JSON = "application/json"
_GRAPHQL_JSON = "application/graphql-response+json"


class BadRequestError(Exception):
    """A request that is not a GraphQL one."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLRequest:
    """The parameters of a GraphQL request, each of its right type."""

    query: str
    variables: dict[str, Any] | None
    operation_name: str | None


# A token in a form is for browsers that send cookies; this view takes JSON only, which forms cannot send.
@method_decorator(csrf_exempt, name="dispatch")
class GraphQLView(View):
    """Answer one component's GraphQL requests, and serve GraphiQL to browsers under DEBUG."""

    http_method_names = ["get", "post", "options"]
    service: GraphQLService | None = None

    def get(self, request: HttpRequest) -> HttpResponseBase:
        if "query" not in request.GET and byron_settings().graphiql_enabled and request.accepts("text/html"):
            return render(request, "byron/graphiql.html", {"title": self._service.config.component.name})
        return self._answer(request, dict(request.GET.items()), queries_only=True)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        try:
            return self._answer(request, _body(request), queries_only=False)
        except BadRequestError as error:
            return _failure(error)

    def _answer(self, request: HttpRequest, parameters: dict[str, Any], *, queries_only: bool) -> HttpResponseBase:
        refusal = identify(request)
        if refusal is not None:
            return _response(request, Answer(body=refusal.body, executed=False, refusal=refusal))
        try:
            wanted = _graphql_request(parameters, texts=queries_only)
        except BadRequestError as error:
            return _failure(error)
        answer = self._service.execute(
            wanted.query, wanted.variables, wanted.operation_name, request=request, queries_only=queries_only
        )
        return _response(request, answer)

    @property
    def _service(self) -> GraphQLService:
        if self.service is None:
            raise TypeError("GraphQLView.as_view takes service=")
        return self.service


def schema_view(request: HttpRequest, *, service: GraphQLService) -> HttpResponse:
    """Serve the GraphQL schema in its own language, where introspection is allowed."""
    if not byron_settings().introspection_enabled:
        return HttpResponse("The schema is not public here.\n", status=404, content_type="text/plain")
    return HttpResponse(print_schema(service.schema) + "\n", content_type="text/plain; charset=utf-8")


def unusable_view(request: HttpRequest) -> JsonResponse:
    """Answer for a component whose schema.yaml has problems."""
    return _failure(BadRequestError("This component's schema has problems; see the log.", status=503))


def _body(request: HttpRequest) -> dict[str, Any]:
    if request.content_type != _JSON:
        raise BadRequestError(f"Send the request as {_JSON}.", status=415)
    limit = byron_settings().api_max_body_bytes
    if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
        raise BadRequestError(f"The request is larger than {limit} bytes.", status=413)
    try:
        body = _from_json(request.body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("The request's body is not JSON.") from error
    if not isinstance(body, dict):
        raise BadRequestError("The request's body must be a JSON object with a query; batches are not taken.")
    return body


def _from_json(text: str | bytes) -> Any:
    """Return JSON's value. Raises ValueError, for NaN and infinities too, and RecursionError."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _graphql_request(parameters: dict[str, Any], *, texts: bool) -> GraphQLRequest:
    query, variables = parameters.get("query"), parameters.get("variables")
    operation_name = parameters.get("operationName") or None
    if not isinstance(query, str) or not query:
        raise BadRequestError("The request has no query, or one that is not text.")
    if texts and variables:
        try:
            variables = _from_json(variables)
        except (ValueError, RecursionError) as error:
            raise BadRequestError("The variables are not JSON.") from error
    if variables is not None and not isinstance(variables, dict):
        raise BadRequestError("The variables must be a JSON object.")
    if operation_name is not None and not isinstance(operation_name, str):
        raise BadRequestError("The operationName must be text.")
    if not isinstance(parameters.get("extensions", {}) or {}, dict | str):
        raise BadRequestError("The extensions must be a JSON object.")
    return GraphQLRequest(query=query, variables=variables, operation_name=operation_name)


def _response(request: HttpRequest, answer: Answer) -> HttpResponse:
    wants_graphql = _GRAPHQL_JSON in request.headers.get("Accept", "")
    # Plain application/json says 200 to whatever is well-formed; the GraphQL media type tells more.
    status = 200 if answer.executed or not wants_graphql else 400
    if answer.refusal is not None:
        status = answer.refusal.status
    return JsonResponse(
        answer.body,
        status=status,
        headers=answer.refusal.headers if answer.refusal is not None else None,
        content_type=f"{_GRAPHQL_JSON if wants_graphql else _JSON}; charset=utf-8",
        json_dumps_params={"ensure_ascii": False},
    )


def _failure(error: BadRequestError) -> JsonResponse:
    return JsonResponse({"errors": [{"message": str(error)}]}, status=error.status)
