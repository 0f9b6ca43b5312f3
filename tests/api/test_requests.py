"""Reading GraphQL requests: everything that is not exactly one is refused, with a clear word."""

from __future__ import annotations

import io
import json
import time
from urllib.parse import quote

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.test import RequestFactory, override_settings

from byron.api.errors import RequestError
from byron.api.http.requests import GraphQLRequest, read_request

LIMIT = 1024 * 1024


def read(body: object, content_type: str | None = "application/json", url: str = "/graphql/") -> GraphQLRequest:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_request(RequestFactory().generic("POST", url, content, content_type=content_type or ""))


def read_url(query_string: str) -> GraphQLRequest:
    return read_request(RequestFactory().get(f"/graphql/?{query_string}"))


class Stream(io.RawIOBase):
    """A body that goes on for ever, a little at a time, and counts what is read of it."""

    def __init__(self, end: int | None = None, text: bytes = b" ") -> None:
        self.given = 0
        self._end, self._text = end, text

    def read(self, size: int = -1) -> bytes:
        assert size >= 0, "the whole body is asked for"
        size = min(size, 4096)
        if self._end is not None:
            size = min(size, self._end - self.given)
        part = (self._text * (size // len(self._text) + 1))[:size]
        self.given += size
        return part


def wsgi(stream: object, **environ: object) -> WSGIRequest:
    factory = RequestFactory().generic("POST", "/graphql/", b"", content_type="application/json").environ
    factory.pop("CONTENT_LENGTH", None)
    return WSGIRequest({**factory, "CONTENT_TYPE": "application/json", "wsgi.input": stream, **environ})


def test_a_request_has_its_four_parameters():
    body = {"query": "q", "variables": {"a": 1}, "operationName": "o", "extensions": {"b": 2}, "other": 5}
    wanted = GraphQLRequest(query="q", variables={"a": 1}, operation_name="o", extensions={"b": 2})

    assert read(body) == wanted
    assert read_url("query=q&variables=%7B%22a%22:1%7D&operationName=o&extensions=%7B%22b%22:2%7D&other=5") == wanted


def test_null_is_as_if_left_out_and_an_empty_name_is_none():
    body = {"query": "q", "variables": None, "operationName": "", "extensions": None}

    assert read(body) == GraphQLRequest(query="q")
    assert read_url("query=q&variables=null&operationName=&extensions=") == GraphQLRequest(query="q")


@pytest.mark.parametrize("number", [2**63, -(2**200), 10**4000])
def test_integers_are_exact(number):
    assert read({"query": "q", "variables": {"n": number}}).variables == {"n": number}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b" \n", "The request's body is not JSON: it is empty."),
        (b"{", "The request's body is not JSON: Input data was truncated."),
        (b"[" * 100_000, "The request's body is nested too deeply."),
        (b'{"a":' * 100_000, "The request's body is nested too deeply."),
        (b'{"query": "q", "variables": {"x": NaN}}', "The request's body is not JSON: invalid character"),
        (b'{"query": "q", "variables": {"x": -Infinity}}', "The request's body is not JSON: invalid character"),
        (b'{"query": "q", "variables": {"x": 1e999}}', "The request's body is not JSON: Number out of range."),
        (b'{"query": "q", "variables": {"x": %s}}' % (b"1" * 5000), "is not JSON: Integer value out of range"),
        (b'{"query": "q", "query": "r"}', "The request's body is not usable JSON: an object has the same name twice."),
        (b'{"query": "q", "variables": {"a": {"b": 1, "b": 1}}}', "an object has the same name twice."),
        (b'{"query": "\xff"}', "The request's body is not JSON: it is not UTF-8."),
        (b'{"query": "\xed\xa0\x80"}', "The request's body is not JSON: it is not UTF-8."),
        (
            b'{"query": "q", "variables": {"x": "\\ud800"}}',
            "JSON: it has half of a surrogate pair, which is no character.",
        ),
        (b'{"query": "q", "variables": {"x": "\\udc00 and more"}}', "JSON: it has half of a surrogate pair"),
        (b'\xef\xbb\xbf{"query": "q"}', "The request's body is not JSON: it begins with a byte order mark, which"),
        ('{"query": "q"}'.encode("utf-16"), "The request's body is not JSON: "),
        (b'{"query": "q"} x', "The request's body is not JSON: trailing characters"),
        ([{"query": "q"}], "The request's body must be one JSON object with a query; batches are not taken."),
        ("q", "The request's body must be a JSON object with a query."),
        (None, "The request's body must be a JSON object with a query."),
        ({}, "The request has no query."),
        ({"query": None}, "The request has no query."),
        ({"query": 5}, "The query must be text."),
        ({"query": ["q"]}, "The query must be text."),
        ({"query": " "}, "The query is empty."),
        ({"query": "q", "variables": []}, "The variables must be a JSON object."),
        ({"query": "q", "variables": "{}"}, "The variables must be a JSON object."),
        ({"query": "q", "variables": False}, "The variables must be a JSON object."),
        ({"query": "q", "operationName": 3}, "The operationName must be text."),
        ({"query": "q", "operationName": False}, "The operationName must be text."),
        ({"query": "q", "extensions": []}, "The extensions must be a JSON object."),
        ({"query": "q", "extensions": 0}, "The extensions must be a JSON object."),
        ({"query": "q", "extensions": "{}"}, "The extensions must be a JSON object."),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_body_that_is_no_request_is_refused(body, message):
    with pytest.raises(RequestError) as caught:
        read(body)

    assert message in str(caught.value)
    assert (caught.value.code, caught.value.status) == ("BAD_REQUEST", 400)


@pytest.mark.parametrize("value", [[0] * 14, {str(at): 0 for at in range(14)}, [[[], {"a": "x"}], *"0123456789"]])
def test_a_request_has_so_many_values_and_no_more(value):
    """Itself, the query, the variables, and what is in them."""
    with override_settings(BYRON_API_MAX_VALUES=18):
        assert read({"query": "q", "variables": {"v": value}}).variables == {"v": value}
    with override_settings(BYRON_API_MAX_VALUES=17), pytest.raises(RequestError) as caught:
        read({"query": "q", "variables": {"v": value}})

    assert str(caught.value) == "The request's body holds more than 17 values."
    assert (caught.value.code, caught.value.status) == ("LIMIT_EXCEEDED", 400)
    with override_settings(BYRON_API_MAX_VALUES=3), pytest.raises(RequestError, match="variables holds more than 3"):
        read_url("query=q&variables=" + quote('{"a":[1,2,3]}'))


def test_too_many_values_are_refused_before_they_are_looked_at():
    text = json.dumps({"query": "q", "variables": {"v": [0] * 300_000}}, separators=(",", ":")).encode()
    began = time.process_time()
    with pytest.raises(RequestError, match="20,000 values"):
        read(text)
    assert time.process_time() - began < 0.2


@pytest.mark.parametrize(
    ("query_string", "message"),
    [
        ("", "The request has no query."),
        ("query=", "The query is empty."),
        ("query=q&variables=%5B%5D", "The variables must be a JSON object."),
        ("query=q&variables=5", "The variables must be a JSON object."),
        ("query=q&variables=%7B", "The parameter variables is not JSON: Input data was truncated."),
        ("query=q&variables=" + quote('{"a":1,"a":2}'), "The parameter variables is not usable JSON"),
        ("query=q&variables=" + quote("[" * 9000), "The parameter variables is nested too deeply."),
        ("query=q&extensions=no", "The parameter extensions is not JSON: Input data was truncated."),
        ("query=q&extensions=%22no%22", "The extensions must be a JSON object."),
        ("query=q&query=r", "The URL has the same parameter twice."),
        ("query=%FF", "The URL's parameters are malformed, or too many."),
        ("query=%ED%A0%80", "The URL's parameters are malformed, or too many."),
        ("query=q" + "&a" * 2000, "The URL's parameters are malformed, or too many."),
    ],
    ids=lambda value: value[:40],
)
def test_a_url_that_is_no_request_is_refused(query_string, message):
    with pytest.raises(RequestError) as caught:
        read_url(query_string)

    assert message in str(caught.value)
    assert (caught.value.code, caught.value.status) == ("BAD_REQUEST", 400)


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_an_encoded_body_is_refused_by_its_encoding(encoding):
    request = RequestFactory().generic(
        "POST", "/", b"\x1f\x8b", content_type="application/json", headers={"Content-Encoding": encoding}
    )
    with pytest.raises(RequestError, match=f"not in the Content-Encoding {encoding}") as caught:
        read_request(request)

    assert (caught.value.code, caught.value.status) == ("UNSUPPORTED_MEDIA_TYPE", 415)
    assert caught.value.headers == {"Accept-Encoding": "identity"}


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/graphql-response+json",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-16",
        "application/json5",
        "json",
    ],
)
def test_only_json_in_utf_8_is_taken(content_type):
    with pytest.raises(RequestError, match="Send the request's body as application/json") as caught:
        read({"query": "q"}, content_type)

    assert (caught.value.code, caught.value.status) == ("UNSUPPORTED_MEDIA_TYPE", 415)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf-8; a=b",
    ],
)
def test_json_may_name_its_encoding(content_type):
    assert read({"query": "ü"}, content_type).query == "ü"


# The body's size.


def refusal_of(request) -> tuple[str, str, int]:
    with pytest.raises(RequestError) as caught:
        read_request(request)
    return str(caught.value), caught.value.code, caught.value.status


TOO_LARGE = (f"The request is larger than {LIMIT} bytes.", "BODY_TOO_LARGE", 413)


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 5000, "0" * 50 + str(LIMIT + 1)])
def test_a_body_that_says_it_is_too_large_is_not_read(length):
    stream = Stream()

    assert refusal_of(wsgi(stream, CONTENT_LENGTH=length)) == TOO_LARGE
    assert stream.given == 0


@pytest.mark.parametrize("length", ["abc", "-5", "1.5", "٣", " 7"])
def test_a_length_that_is_no_number_is_refused(length):
    stream = Stream()

    assert refusal_of(wsgi(stream, CONTENT_LENGTH=length))[0] == "The header Content-Length is not a number."
    assert stream.given == 0


def test_a_body_of_the_largest_size_is_taken():
    body = b'{"query": "q"}'
    request = RequestFactory().generic("POST", "/", body + b" " * (LIMIT - len(body)), content_type="application/json")

    assert read_request(request).query == "q"


def test_no_more_than_the_limit_is_read_of_an_endless_body():
    stream = Stream()

    assert refusal_of(wsgi(stream, **{"wsgi.input_terminated": True})) == TOO_LARGE
    assert stream.given == LIMIT + 1


def test_no_more_than_its_length_is_read_of_a_body_that_is_longer():
    stream = Stream()

    assert refusal_of(wsgi(stream, CONTENT_LENGTH="20"))[0] == "The request's body is not JSON: it is empty."
    assert stream.given == 20


def test_a_body_that_is_shorter_than_its_length_is_refused():
    message = "The request's body ended before its Content-Length."
    assert refusal_of(wsgi(Stream(end=20), CONTENT_LENGTH="30"))[0] == message


def test_a_body_in_chunks_is_read_where_the_server_tells_its_end():
    stream = io.BytesIO(b'{"query": "q"}')
    request = wsgi(stream, HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True})

    assert read_request(request).query == "q"


def test_a_body_in_chunks_needs_a_length_elsewhere():
    stream = Stream()
    refusal = refusal_of(wsgi(stream, HTTP_TRANSFER_ENCODING="chunked"))

    assert refusal == ("Send the request with a Content-Length.", "LENGTH_REQUIRED", 411)
    assert stream.given == 0


def test_a_post_without_a_body_is_empty():
    assert refusal_of(wsgi(Stream()))[0] == "The request's body is not JSON: it is empty."


def test_a_connection_that_breaks_is_not_this_server_s_fault():
    class Broken(Stream):
        def read(self, size=-1):
            raise ConnectionResetError

    assert refusal_of(wsgi(Broken(), CONTENT_LENGTH="10")) == (
        "The request's body could not be read to its end.",
        "BAD_REQUEST",
        400,
    )


@override_settings(BYRON_API_MAX_BODY_BYTES=20)
def test_the_limit_is_a_setting_and_holds_under_asgi_too():
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/graphql/", "headers": headers, "query_string": b""}

    assert read_request(ASGIRequest(scope, io.BytesIO(b'{"query": "123456"}'))).query == "123456"
    assert refusal_of(ASGIRequest(scope, io.BytesIO(b'{"query": "12345678"}')))[1] == "BODY_TOO_LARGE"
