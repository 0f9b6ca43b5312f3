"""Bodies are read within bounds of time and memory before a thread has to do with them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.test import override_settings

from byron.api.bodies import Bodies, UnreadBodyError
from byron.api.errors import RequestError
from byron.api.requests import read_request

LIMIT = 20
pytestmark = pytest.mark.usefixtures("limit")


@pytest.fixture
def limit():
    with override_settings(BYRON_API_MAX_BODY_BYTES=LIMIT):
        yield


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def endless(read: list[int]) -> AsyncIterator[bytes]:
    while True:
        read.append(1)
        yield b"x"


async def silent(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    await asyncio.Event().wait()


def refusal_of(body: io.IOBase) -> tuple[str, int, str]:
    with pytest.raises(UnreadBodyError) as caught:
        body.read(1)
    refusal = caught.value.refusal
    return refusal.code, refusal.status, str(refusal)


@pytest.mark.parametrize("length", [None, "6", "0" * 50 + "6"])
def test_a_body_is_there_as_a_whole(length):
    body = asyncio.run(Bodies().read(chunks(b"abc", b"", b"def"), length))

    assert body.read() == b"abcdef"


def test_no_more_is_waited_for_than_its_length():
    assert asyncio.run(Bodies().read(silent(b"abc"), "3")).read() == b"abc"


def test_a_body_that_ends_too_early_is_there_as_it_came():
    assert asyncio.run(Bodies().read(chunks(b"abc"), "10")).read() == b"abc"


def test_a_body_that_does_not_come_to_its_end_is_given_up():
    body = asyncio.run(Bodies(seconds=0.01).read(silent(b"abc"), "10"))

    assert refusal_of(body) == (
        "REQUEST_TIMEOUT",
        408,
        "The request's body did not arrive within 0.01 seconds.",
    )


def test_no_more_than_the_limit_is_held_of_a_body_without_a_length():
    read: list[int] = []
    body = asyncio.run(Bodies().read(endless(read), None))

    assert refusal_of(body)[:2] == ("BODY_TOO_LARGE", 413)
    assert len(read) == LIMIT + 1


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 5000, "x", "٣"])
def test_a_body_that_says_it_is_too_large_is_not_read(length):
    read: list[int] = []
    body = asyncio.run(Bodies().read(endless(read), length))

    assert refusal_of(body)[:2] == ("BODY_TOO_LARGE", 413)
    assert read == []


def test_beyond_what_may_be_held_others_are_told_to_come_later():
    async def run() -> tuple[io.IOBase, io.IOBase]:
        bodies = Bodies(largest_held=1)
        first = await bodies.read(chunks(b"x" * LIMIT), None)
        second = await bodies.read(chunks(b"y"), None)
        bodies.forget(first)
        return second, await bodies.read(chunks(b"z" * LIMIT), None)

    second, third = asyncio.run(run())
    code, status, _ = refusal_of(second)
    assert (code, status) == ("OVERLOADED", 503)
    assert third.read() == b"z" * LIMIT


def test_what_was_refused_or_given_up_is_not_held():
    async def run() -> io.IOBase:
        bodies = Bodies(seconds=0.01, largest_held=1)
        for length in ("10", None):
            bodies.forget(await bodies.read(silent(b"abc"), length))
        bodies.forget(await bodies.read(endless([]), None))
        task = asyncio.create_task(bodies.read(silent(b"abc"), "10"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await bodies.read(chunks(b"z" * LIMIT), None)

    assert asyncio.run(run()).read() == b"z" * LIMIT


@pytest.mark.parametrize("length", ["10", None])
def test_a_request_whose_body_was_not_read_is_refused_as_it_says(length):
    body = asyncio.run(Bodies(seconds=0.01).read(silent(), length))
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": "application/json",
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        **({"CONTENT_LENGTH": length} if length else {}),
    }

    with pytest.raises(RequestError) as caught:
        read_request(WSGIRequest(environ))
    assert (caught.value.code, caught.value.status) == ("REQUEST_TIMEOUT", 408)
