"""The log is another one than the Cache was built from: the lanes stop, loudly, until it is the right one again."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.broker.conftest import RealServer
from tests.faults.ledger import STREAM, Book, Ledger, jetstream
from tests.processes import Running, wait_for

pytestmark = pytest.mark.broker


def save_log(server: RealServer, name: str) -> Path:
    """Return a copy of the store, made while the server is down for a moment."""
    copy = server.directory / name
    server.end(signal.SIGTERM)
    shutil.copytree(server.directory / "data", copy)
    server.start()
    return copy


def restore_log(server: RealServer, copy: Path) -> None:
    """Put a copy of the store in place of what the server has."""
    server.end(signal.SIGKILL)
    shutil.rmtree(server.directory / "data")
    shutil.copytree(copy, server.directory / "data")
    server.start()


def publish_to_the_wrong_log(ledger: Ledger, count: int) -> None:
    """Publish entries that must never be applied, since the Cache does not belong to their log."""
    book, ledger.book = ledger.book, Book()
    ledger.broker.ensure_log()
    ledger.publish(count, ["impostor"])
    ledger.book = book


def wait_for_refusals(sink: Running, lanes: int = 1) -> None:
    """Wait until each lane has said once more that this is not its log."""
    before = sink.output.count("stopped component=ledger")
    wait_for(lambda: sink.output.count("stopped component=ledger") >= before + lanes, "a refusal by each lane")
    assert "Nothing was skipped" in sink.output
    assert "`manage.py rebuildcache ledger`" in sink.output


def test_a_lane_stops_when_its_log_was_deleted_and_goes_on_when_it_is_back(ledger):
    ledger.publish(500)
    sink = ledger.sink()
    ledger.wait_applied(500)
    right = save_log(ledger.server, "right")

    jetstream(ledger.server, f"STREAM.DELETE.{STREAM}")
    sink.says("rebuildcache")
    publish_to_the_wrong_log(ledger, 800)
    wait_for_refusals(sink)
    assert ledger.cache.applied() == 500

    restore_log(ledger.server, right)
    ledger.publish(300)
    ledger.finish(sink)


def test_a_lane_stops_when_its_log_was_rolled_back_and_goes_on_when_it_is_back(postgres_ledger):
    ledger = postgres_ledger
    ledger.publish(500)
    sink = ledger.sink()
    ledger.wait_applied(500)
    older = save_log(ledger.server, "older")
    ledger.publish(500)
    ledger.wait_applied(1000)
    right = save_log(ledger.server, "right")

    restore_log(ledger.server, older)
    sink.says("rebuildcache")
    publish_to_the_wrong_log(ledger, 800)
    wait_for_refusals(sink)
    assert ledger.cache.applied() == 1000

    restore_log(ledger.server, right)
    ledger.publish(300)
    ledger.finish(sink)


def test_all_lanes_stop_when_their_log_was_rolled_back_while_no_sink_ran(postgres_ledger):
    ledger = postgres_ledger
    ledger.configure(SINK_LANES=4)
    ledger.publish(500, 50)
    older = save_log(ledger.server, "older")
    ledger.publish(500, 50)
    first = ledger.sink()
    ledger.wait_applied(1000)
    assert first.stop() == 0
    right = save_log(ledger.server, "right")

    restore_log(ledger.server, older)
    publish_to_the_wrong_log(ledger, 800)
    sink = ledger.start()
    wait_for_refusals(sink, lanes=4)
    wait_for_refusals(sink, lanes=4)
    assert ledger.cache.applied() == 1000

    restore_log(ledger.server, right)
    ledger.publish(300, 50)
    ledger.finish(sink)


def test_rebuildcache_makes_the_cache_that_of_a_log_that_was_rolled_back_for_good(any_ledger):
    ledger = any_ledger
    ledger.publish(500)
    sink = ledger.sink()
    ledger.wait_applied(500)
    older = save_log(ledger.server, "older")
    book, ledger.book = ledger.book, Book()
    ledger.publish(500, ["lost"])
    ledger.wait_applied(1000)

    restore_log(ledger.server, older)
    sink.says("rebuildcache")
    ledger.book = book
    ledger.publish(500)
    ledger.system.manage("rebuildcache", "ledger")

    wait_for(lambda: "lost" not in ledger.cache.names("ledger_account"), "the lost to be gone")
    ledger.publish(300)
    ledger.finish(sink)
