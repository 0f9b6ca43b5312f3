"""Handlers may be `async def`: they have the same effect, in the same transaction, and fail in the same way."""

from __future__ import annotations

import asyncio

import pytest

from byron.events.codec import decode


@pytest.fixture
def awaiting(handle):
    """An async newAuthor, which fails for the authors in the set that it gives after it has stored them."""
    refused: set[str] = set()

    async def new_author(ctx, event):
        await asyncio.sleep(0)
        await ctx.db.Author.objects.acreate(**event.payload)
        ctx.emit("author.welcomed", {"id": event.payload["id"]})
        if event.payload["id"] in refused:
            raise RuntimeError("not welcome")

    handle("newAuthor", new_author)
    return refused


def emitted(bench):
    events = [decode(message) for message in bench.broker.messages]
    return [event.key for event in events if event.name == "author.welcomed"]


def test_an_async_handler_writes_and_emits(bench, awaiting):
    for identity in "abc":
        bench.author(identity)
    bench.run()

    assert (bench.authors, bench.position, emitted(bench)) == (["a", "b", "c"], 3, ["a", "b", "c"])
    assert bench.parked == []


def test_of_an_async_handler_that_fails_nothing_is_left_and_others_go_on(bench, awaiting):
    awaiting.add("b")
    for identity in "abc":
        bench.author(identity)
    worker = bench.run()

    assert (bench.authors, emitted(bench)) == (["a", "c"], ["a", "c"])
    [row] = bench.parked
    assert (row.position, row.handler, row.error) == (2, "newAuthor", "RuntimeError: not welcome")
    assert "new_author" in row.traceback

    awaiting.clear()
    assert bench.retry(worker, "b") == (1, None)
    assert bench.authors == ["a", "b", "c"]
