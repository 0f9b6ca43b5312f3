"""Reading GraphQL requests: where they may be in an HTTP request, and of which types."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from django.http import HttpRequest
from django.http.request import UnreadablePostError

from byron.api.documents.limits import CODE as LIMIT_EXCEEDED
from byron.api.documents.variables import count_values
from byron.api.errors import RequestError
from byron.api.http.media_types import JSON, UTF_8
from byron.commands.bulkhead import BODIES
from byron.conf import byron_settings

#: The parameters of a GraphQL request. Others are left for whoever has a use for them.
PARAMETERS = ("query", "variables", "operationName", "extensions")

#: Parameters of a URL, at most.
_MOST_PARAMETERS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphQLRequest:
    """The parameters of a GraphQL request, each of its right type."""

    query: str
    variables: dict[str, Any] | None = None
    operation_name: str | None = None
    extensions: dict[str, Any] | None = None


def read_request(request: HttpRequest) -> GraphQLRequest:
    """Return the GraphQL request that a POST has in its body, any other request in its URL.

    Raises RequestError for everything that is not exactly one.
    """
    in_url = _url_parameters(request)
    if request.method != "POST":
        return _typed({name: _from_url(name, text) for name, text in in_url.items()})
    if misplaced := [name for name in PARAMETERS if name in in_url]:
        raise RequestError(f"A POST has its parameters in its body, not in the URL: {', '.join(misplaced)}.")
    _check_content_type(request)
    body = decode_json(_read_body(request), "The request's body")
    if isinstance(body, list):
        raise RequestError("The request's body must be one JSON object with a query; batches are not taken.")
    if not isinstance(body, dict):
        raise RequestError("The request's body must be a JSON object with a query.")
    return _typed(body)


def decode_json(data: bytes, what: str) -> Any:
    """Return JSON's value. Raises RequestError, naming what it is, unless it has exactly one meaning.

    Refused are NaN, numbers too large to be exact, text that is not Unicode, and names given twice: what reads the
    first of them in front of this server would not see what it runs. And more values than a request may have: what is
    done with each of them, here and later, takes much longer than reading it.
    """
    most = byron_settings().api_max_values
    try:
        value = msgspec.json.decode(data)
        if count_values(value, most) > most:
            raise RequestError(f"{what} holds more than {most:,} values.", code=LIMIT_EXCEEDED)
        # msgspec is the stricter one, but for this. The hook costs some microseconds for a usual request.
        json.loads(data, object_pairs_hook=_refuse_repeated)
    except RecursionError as error:
        raise RequestError(f"{what} is nested too deeply.") from error
    except _RepeatedNameError as error:
        raise RequestError(f"{what} is not usable JSON: {error}") from error
    except ValueError as error:
        raise RequestError(f"{what} is not JSON: {_reason(data, error)}.") from error
    return value


class _RepeatedNameError(ValueError):
    pass


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _RepeatedNameError("an object has the same name twice.")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _reason(data: bytes, error: ValueError) -> str:
    if not data.strip():
        return "it is empty"
    if data.startswith(BOM_UTF8):
        return "it begins with a byte order mark, which JSON has not"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    # msgspec's word for it, without a path that names no parameter.
    told = str(error).removeprefix("JSON is malformed: ").partition(" - at `")[0]
    if "out of range" not in told and _is_json_but_for_surrogates(data):
        return "it has half of a surrogate pair, which is no character"
    return told


def _is_json_but_for_surrogates(data: bytes) -> bool:
    try:
        json.loads(data.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _url_parameters(request: HttpRequest) -> dict[str, str]:
    query_string = request.META.get("QUERY_STRING", "")
    if not query_string:
        return {}
    try:
        # Django's own reading of it would put other characters in the place of malformed ones.
        query_string.encode("ascii")
        pairs = parse_qsl(query_string, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS)
    except ValueError as error:
        raise RequestError("The URL's parameters are malformed, or too many.") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise RequestError("The URL has the same parameter twice.")
    return found


def _from_url(name: str, text: str) -> Any:
    """Return a parameter of a URL as a body would have it: two of them are JSON, and empty ones are as if left out."""
    if not text and name != "query":
        return None
    return decode_json(text.encode(), f"The parameter {name}") if name in ("variables", "extensions") else text


def _check_content_type(request: HttpRequest) -> None:
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "")
    if encoding.lower() not in ("", "identity"):
        raise RequestError(
            f"Send the request's body as it is, not in the Content-Encoding {encoding[:100]}.",
            code="UNSUPPORTED_MEDIA_TYPE",
            status=415,
            headers={"Accept-Encoding": "identity"},
        )
    charset = (request.content_params or {}).get("charset", "utf-8")
    if request.content_type != JSON or charset.lower() not in UTF_8:
        given = request.META.get("CONTENT_TYPE", "")[:100]
        raise RequestError(
            f"Send the request's body as {JSON} in UTF-8, not as {given}."
            if given
            else f"Send the request's body as {JSON}, and say so in the header Content-Type.",
            code="UNSUPPORTED_MEDIA_TYPE",
            status=415,
            headers={"Accept-Post": JSON},
        )


def _read_body(request: HttpRequest) -> bytes:
    """Return the body, of which never more is read than the limit and a byte."""
    limit = byron_settings().api_max_body_bytes
    too_large = RequestError(f"The request is larger than {limit} bytes.", code="BODY_TOO_LARGE", status=413)
    length = request.META.get("CONTENT_LENGTH") or ""
    if length and not (length.isascii() and length.isdigit()):
        raise RequestError("The header Content-Length is not a number.")
    # By its digits: Python does not make a number of thousands of them.
    if len(length.lstrip("0")) > len(str(limit)) or int(length or 0) > limit:
        raise too_large
    with BODIES.place() as admitted:
        if not admitted:
            raise RequestError(
                "Too many requests are sending their bodies at once; try again.",
                code="OVERLOADED",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
                headers={"Retry-After": "1"},
            )
        try:
            data = _read(_stream(request, length), limit + 1)
        except (UnreadablePostError, OSError) as error:
            raise RequestError("The request's body could not be read to its end.") from error
    if len(data) > limit:
        raise too_large
    if length and len(data) < int(length):
        raise RequestError("The request's body ended before its Content-Length.")
    return data


def _read(stream: Any, most: int) -> bytes:
    # What servers hand over may return less than was asked for before it is at its end.
    data = bytearray()
    while len(data) < most and (chunk := stream.read(most - len(data))):
        data += chunk
    return bytes(data)


def _stream(request: HttpRequest, length: str) -> Any:
    """Return what the body can be read from: without a Content-Length, Django's WSGI requests have no body."""
    environ: Mapping[str, Any] | None = getattr(request, "environ", None)
    if length or environ is None:
        return request
    if environ.get("wsgi.input_terminated"):
        return environ["wsgi.input"]
    if "HTTP_TRANSFER_ENCODING" in environ:
        raise RequestError("Send the request with a Content-Length.", code="LENGTH_REQUIRED", status=411)
    return request


def _typed(parameters: Mapping[str, Any]) -> GraphQLRequest:
    """Check the parameters' types, before anything else is done with them. Raises RequestError."""
    query, operation_name = parameters.get("query"), parameters.get("operationName")
    if query is None:
        raise RequestError("The request has no query.")
    if not isinstance(query, str):
        raise RequestError("The query must be text.")
    if not query.strip():
        raise RequestError("The query is empty.")
    if operation_name is not None and not isinstance(operation_name, str):
        raise RequestError("The operationName must be text.")
    return GraphQLRequest(
        query=query,
        variables=_object(parameters, "variables"),
        # The specification: an empty name is none.
        operation_name=operation_name or None,
        extensions=_object(parameters, "extensions"),
    )


def _object(parameters: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = parameters.get(name)
    if value is not None and not isinstance(value, dict):
        raise RequestError(f"The {name} must be a JSON object.")
    return value
