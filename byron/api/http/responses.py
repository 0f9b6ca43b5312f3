"""GraphQL responses over HTTP: JSON, with the headers that every one of them has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse, HttpResponseBase

#: The body depends on the Accept header, on who asks and on the moment; and it is never anything but JSON.
_HEADERS = {"Vary": "Accept", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class GraphQLResponse(HttpResponse):
    """A GraphQL answer, which knows for the access log what was asked for and what went wrong."""

    commands: Sequence[str] = ()
    codes: Sequence[str] = ()


def graphql_response(
    body: Mapping[str, Any],
    *,
    status: int,
    media_type: str,
    headers: Mapping[str, str] | None = None,
    commands: Sequence[str] = (),
) -> GraphQLResponse:
    """Return a GraphQL response in JSON. `commands` are those that were asked for."""
    text = json.dumps(body, cls=DjangoJSONEncoder, ensure_ascii=False)
    response = GraphQLResponse(
        # A lone surrogate is no Unicode text, but a command may return one: its escape is JSON.
        text.encode("utf-8", "backslashreplace"),
        status=status,
        content_type=f"{media_type}; charset=utf-8",
        headers={**_HEADERS, **(headers or {})},
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        mark_logged(response)
    response.commands = tuple(dict.fromkeys(commands))
    codes = (error.get("extensions", {}).get("code") for error in body.get("errors", ()))
    response.codes = tuple(dict.fromkeys(code for code in codes if isinstance(code, str)))
    return response


def mark_logged(response: HttpResponseBase, logged: bool = True) -> None:
    """Have Django log nothing of a response with a status of 500 or more, which it would call an error.

    It is meant so: whoever made it has logged what there is to say, with the request's id, and the access log has its
    status. Errors that nobody caught are logged by Django where it catches them, whatever comes of the response.
    """
    response._has_been_logged = logged  # type: ignore[attr-defined]


def was_logged(response: HttpResponseBase) -> bool:
    """Whether Django has logged a response, or need not."""
    return getattr(response, "_has_been_logged", False)


def summary(response: HttpResponseBase) -> str:
    """Return what a line of the log is to say of a response besides its status; empty for what is no GraphQL."""
    if not isinstance(response, GraphQLResponse):
        return ""
    commands = f" commands={','.join(response.commands)}" if response.commands else ""
    return f"{commands} errors={','.join(response.codes)}" if response.codes else commands
