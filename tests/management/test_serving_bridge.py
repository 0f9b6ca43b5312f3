"""What a WSGI application is told of a request, and what becomes of its answer."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse, StreamingHttpResponse

from byron.management.serving_bridge import Bridge, environ_of


class Headers:
    def __init__(self, *items: tuple[str, str]) -> None:
        self._items = list(items)

    def items(self) -> list[tuple[str, str]]:
        return self._items


@dataclass
class Scope:
    headers: Headers = field(default_factory=Headers)
    method: str = "POST"
    path: str = "/graphql/"
    query_string: str = "a=1"
    http_version: str = "1.1"
    scheme: str = "http"
    server: str = "127.0.0.1:8000"
    client: str = "192.0.2.7:4711"
    authority: str | None = None


class Transport:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def send_bytes(self, data: bytes) -> None:
        self.sent.append(data)


class Protocol:
    """As granian's: an asynchronous iterator of the body, and what answers."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self.transport = Transport()

    def __aiter__(self) -> Protocol:
        return self

    async def __anext__(self) -> bytes:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = (status, dict(headers), body)

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.answer = (status, dict(headers), b"")

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Transport:
        self.answer = (status, dict(headers), b"")
        return self.transport


def ask(application: Any, *chunks: bytes, scope: Scope | None = None, leaving: bool = False) -> Protocol:
    protocol = Protocol(*chunks)
    bridge = Bridge(application, 1)
    bridge.leaving = leaving
    asyncio.run(bridge.__rsgi__(scope or Scope(), protocol))
    return protocol


def echo(environ: dict[str, Any], start: Any) -> list[bytes]:
    start("201 Created", [("X", "1")])
    return [b"got ", environ["wsgi.input"].read()]


def test_a_header_with_underscores_is_not_taken_for_one_with_hyphens():
    headers = Headers(("x_forwarded_proto", "https"), ("x-request_id", "theirs"), ("x-request-id", "ours"))
    environ = environ_of(Scope(headers))

    assert "HTTP_X_FORWARDED_PROTO" not in environ
    assert environ["HTTP_X_REQUEST_ID"] == "ours"


def test_neither_is_a_length_or_a_type():
    environ = environ_of(Scope(Headers(("content_length", "5"), ("content_type", "text/html"))))

    assert not environ.keys() & {"CONTENT_LENGTH", "CONTENT_TYPE"}


def test_the_environ_is_wsgi_s():
    headers = Headers(
        ("host", "a.example"), ("content-type", "text/plain"), ("content-length", "3"), ("via", "a"), ("via", "b")
    )
    environ = environ_of(Scope(headers, path="/é", server="[::1]:8000", client="[fe80::1]:99"))

    expected = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/\xc3\xa9",
        "QUERY_STRING": "a=1",
        "SERVER_NAME": "::1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "fe80::1",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "3",
        "HTTP_HOST": "a.example",
        "HTTP_VIA": "a,b",
        "wsgi.url_scheme": "http",
    }
    assert environ | expected == environ
    assert "HTTP_CONTENT_TYPE" not in environ


def test_the_process_environment_is_no_part_of_it(monkeypatch):
    monkeypatch.setenv("HTTP_X_FORWARDED_PROTO", "https")

    assert "HTTP_X_FORWARDED_PROTO" not in environ_of(Scope())


def test_a_host_in_the_request_line_counts_when_there_is_no_other():
    assert environ_of(Scope(authority="a.example"))["HTTP_HOST"] == "a.example"
    assert environ_of(Scope(Headers(("host", "b.example")), authority="a.example"))["HTTP_HOST"] == "b.example"


@pytest.mark.parametrize("header", [("content-length", "4"), ("transfer-encoding", "chunked")])
def test_the_application_finds_the_body_and_its_answer_is_sent(header):
    assert ask(echo, b"bo", b"dy", scope=Scope(Headers(header))).answer == (201, {"X": "1"}, b"got body")


def test_what_is_no_body_is_not_read():
    assert ask(echo, b"body").answer == (201, {"X": "1"}, b"got ")


def test_the_application_runs_in_a_thread_and_is_told_when_its_answer_is_sent():
    seen: list[Any] = []

    class Parts(list[bytes]):
        def close(self) -> None:
            seen.append(protocol.answer)

    def application(environ: dict[str, Any], start: Any) -> Parts:
        seen.append(threading.current_thread())
        start("200 OK", [])
        return Parts([b"x"])

    protocol = Protocol()
    asyncio.run(Bridge(application, 1).__rsgi__(Scope(), protocol))

    assert seen[0] is not threading.main_thread()
    assert seen[1:] == [(200, {}, b"x")]


def test_once_it_leaves_each_answer_closes_its_connection():
    assert ask(echo, leaving=True).answer == (201, {"X": "1", "Connection": "close"}, b"got ")


def test_a_request_under_way_when_it_is_to_leave_closes_its_connection_too():
    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        bridge.leaving = True
        start("200 OK", [])
        return []

    bridge, protocol = Bridge(application, 1), Protocol()
    asyncio.run(bridge.__rsgi__(Scope(), protocol))

    assert protocol.answer == (200, {"Connection": "close"}, b"")


def test_a_streaming_answer_is_sent_part_by_part():
    def application(environ: dict[str, Any], start: Any) -> Any:
        start("200 OK", [])
        return StreamingHttpResponse(iter([b"a", b"b"]))

    protocol = ask(application)

    assert protocol.answer == (200, {}, b"")
    assert protocol.transport.sent == [b"a", b"b"]


def test_django_s_answers_are_sent_whole():
    def application(environ: dict[str, Any], start: Any) -> Any:
        start("200 OK", [])
        return HttpResponse(b"whole")

    assert ask(application).answer == (200, {}, b"whole")


@pytest.mark.parametrize("error", [ValueError("lost"), SystemExit(3)])
def test_what_the_application_lets_through_is_logged_and_answered_with_500(error, caplog):
    def application(environ: dict[str, Any], start: Any) -> Any:
        raise error

    assert ask(application).answer == (500, {"Connection": "close"}, b"")
    assert caplog.messages == ["request failed path=/graphql/"]
    assert caplog.records[0].exc_info[1] is error


def test_a_body_that_cannot_be_read_is_the_application_s_to_answer():
    def application(environ: dict[str, Any], start: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read(1)
        except OSError as error:
            start("413 Content Too Large", [])
            return [str(error).encode()]
        raise AssertionError

    protocol = ask(application, scope=Scope(Headers(("content-length", "9" * 12))))

    assert protocol.answer == (413, {}, b"The request is larger than 1048576 bytes.")
