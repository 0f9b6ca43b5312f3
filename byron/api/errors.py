"""Requests that are refused before any GraphQL is looked at, and how that is said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from byron.api.http.media_types import HTML, JSON, preferred
from byron.api.http.responses import graphql_response, mark_logged, was_logged

log = logging.getLogger("byron.api")

#: What Django's own refusals come to here: their code, and words for whoever sent the request.
_BY_STATUS = {
    400: ("BAD_REQUEST", "The request was refused as malformed."),
    403: ("FORBIDDEN", "The request is not allowed."),
    404: ("NOT_FOUND", "There is nothing at this address."),
    405: ("METHOD_NOT_ALLOWED", "This address does not take that method."),
    413: ("BODY_TOO_LARGE", "The request is too large."),
    500: ("INTERNAL_ERROR", "Something went wrong; the server's log has the details."),
}

#: Headers of Django's refusals that keep their meaning.
_KEPT = ("Allow", "Retry-After", "WWW-Authenticate")


class RequestError(Exception):
    """A request that is not a GraphQL one, or not one that can be answered."""

    def __init__(
        self,
        message: str,
        *,
        code: str = "BAD_REQUEST",
        status: int = HTTPStatus.BAD_REQUEST,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.headers = dict(headers or {})


def failure(error: RequestError, media_type: str = JSON) -> HttpResponse:
    """Return a refusal as a GraphQL response with one error."""
    body = {"errors": [{"message": str(error), "extensions": {"code": error.code}}]}
    return graphql_response(body, status=error.status, media_type=media_type, headers=error.headers)


class JSONErrorMiddleware:
    """Say in JSON what Django would say with a page, to every client that does not prefer pages.

    It concerns the API's addresses, and those that nothing answers. Only the request's id and CORS are outside of it
    in MIDDLEWARE, so that it also hears of a wrong Host, which other middleware refuses.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if response.status_code < HTTPStatus.BAD_REQUEST or not _is_page(response) or not _is_ours(request):
            return response
        if preferred(request.META.get("HTTP_ACCEPT", ""), (JSON, HTML)) == HTML:
            return response
        code, message = _BY_STATUS.get(response.status_code, ("ERROR", f"{response.reason_phrase}."))
        if _has_wrong_host(request):
            # Django's own line is an error with a traceback, for every scanner that comes by.
            log.warning(
                "refused the host %r, which ALLOWED_HOSTS does not name", request.META.get("HTTP_HOST", "")[:100]
            )
            remedy = ": see ALLOWED_HOSTS" if settings.DEBUG else ""
            code, message = "BAD_HOST", f"The request's Host is not one that is served here{remedy}."
        kept = {name: response[name] for name in _KEPT if name in response}
        refused = failure(RequestError(message, code=code, status=response.status_code, headers=kept))
        # What a middleware of the project made, nobody has logged so far.
        mark_logged(refused, was_logged(response))
        # CommonMiddleware, which does so for all others, is inside.
        refused["Content-Length"] = str(len(refused.content))
        return refused


def _is_page(response: HttpResponseBase) -> bool:
    # Under DEBUG, clients that take no pages get Django's traceback as plain text.
    return response.get("Content-Type", "").startswith(("text/html", "text/plain"))


def _is_ours(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is None or match.func.__module__.startswith("byron.")


def _has_wrong_host(request: HttpRequest) -> bool:
    try:
        request.get_host()
    except DisallowedHost:
        return True
    return False
