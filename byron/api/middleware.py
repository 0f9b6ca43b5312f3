"""What surrounds every request: its id, and its line in the access log.

The id is the client's `X-Request-ID` when that is a sane token, so that one id leads through several
services, or else a new one. It is on the response, on `request.request_id`, in the log, and it becomes the
correlation id of the events that the request causes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from time import perf_counter

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.encoding import escape_uri_path

from byron.api.http.responses import summary
from byron.events.ids import new_id

HEADER = "X-Request-ID"

access_log = logging.getLogger("byron.access")

_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")
_current: ContextVar[str] = ContextVar("byron_request_id", default="")


class RequestMiddleware:
    """Give each request an id, and log it; to be the first of MIDDLEWARE, so that nothing escapes it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = perf_counter()
        given = request.headers.get(HEADER, "")
        request_id = given if _SANE.fullmatch(given) else new_id()
        request.request_id = request_id  # type: ignore[attr-defined]
        token = _current.set(request_id)
        try:
            response = self._get_response(request)
        finally:
            _current.reset(token)
        response[HEADER] = request_id
        if access_log.isEnabledFor(logging.INFO):
            access_log.info(
                "%s %s %d %.1fms %sB request=%s%s",
                request.method,
                # Without the query, which may hold what is nobody's business, and without line breaks.
                escape_uri_path(request.path),
                response.status_code,
                1000 * (perf_counter() - started),
                len(response.content) if isinstance(response, HttpResponse) else "?",
                request_id,
                summary(response),
            )
        return response


class RequestIdFilter(logging.Filter):
    """Give every log record an `in_request`: ` request=<id>` while one is answered, else nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        request_id = _current.get()
        record.in_request = f" request={request_id}" if request_id else ""
        return True
