"""The bulkhead: who is let in to wait, and who is turned away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
from django.test import override_settings

from byron.commands import bulkhead as module
from byron.commands.bulkhead import Bulkhead, limit_waits
from byron.commands.time_limit import TimeIsUpError


@contextmanager
def waiters(bulkhead: Bulkhead, count: int) -> Iterator[threading.Event]:
    """Have so many threads wait until the event, which is set at the end, too."""
    leave, inside = threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        with bulkhead.place() as admitted:
            assert admitted
            inside.release()
            leave.wait(30)

    threads = [threading.Thread(target=wait) for _ in range(count)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert inside.acquire(timeout=30)
    try:
        yield leave
    finally:
        leave.set()
        for thread in threads:
            thread.join()


def test_without_a_limit_everybody_waits():
    bulkhead = Bulkhead(patience=0)
    with waiters(bulkhead, 20), bulkhead.place() as admitted:
        assert admitted


def test_when_the_places_are_taken_for_longer_than_usual_nobody_else_waits():
    bulkhead = Bulkhead(patience=0)
    bulkhead.limit(3)
    with waiters(bulkhead, 3), bulkhead.place() as admitted:
        assert not admitted
    with bulkhead.place() as admitted:
        assert admitted


def test_who_comes_while_a_place_is_soon_free_gets_it():
    bulkhead = Bulkhead(patience=30)
    bulkhead.limit(2)
    with waiters(bulkhead, 2) as leave:
        began = monotonic()
        threading.Timer(0.05, leave.set).start()
        with bulkhead.place() as admitted:
            assert admitted
        assert monotonic() - began < 30


def test_who_came_in_vain_was_kept_for_no_longer_than_the_patience():
    bulkhead = Bulkhead(patience=0.5)
    bulkhead.limit(1)
    with waiters(bulkhead, 1), bulkhead.place() as admitted:
        assert not admitted
        began = monotonic()
        with bulkhead.place() as again:
            assert not again
        assert monotonic() - began < 0.5


def test_a_thread_that_has_a_place_needs_no_second_one():
    bulkhead = Bulkhead(patience=0)
    bulkhead.limit(1)
    with bulkhead.place(), bulkhead.place() as admitted:
        assert admitted
    with bulkhead.place() as admitted:
        assert admitted


def test_a_cold_process_has_half_of_the_publish_timeout(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    bulkhead = Bulkhead(cold=5)
    bulkhead.limit(1)
    with override_settings(BYRON_PUBLISH_TIMEOUT=4.0):
        with waiters(bulkhead, 1) as leave:
            clock[0] += 1.9
            threading.Timer(0.05, leave.set).start()
            with bulkhead.place() as admitted:
                assert admitted
        with waiters(bulkhead, 1):
            clock[0] += 2.0
            with bulkhead.place() as admitted:
                assert not admitted
        clock[0] += 5
        with waiters(bulkhead, 1):
            clock[0] += 0.3
            with bulkhead.place() as admitted:
                assert not admitted


def test_a_limit_below_none_is_refused():
    with pytest.raises(ValueError, match="fewer than none"):
        Bulkhead().limit(-1)


def test_with_no_place_at_all_nobody_waits():
    bulkhead = Bulkhead(patience=30)
    bulkhead.limit(0)
    with bulkhead.place() as admitted:
        assert not admitted


@pytest.mark.parametrize(
    ("threads", "broker", "waits", "bodies"),
    [(1, None, None, None), (2, 1, 0, 1), (3, 1, 1, 2), (4, 2, 1, 3), (16, 8, 7, 15)],
)
def test_one_thread_stays_free_and_most_of_the_others_are_for_the_broker(monkeypatch, threads, broker, waits, bodies):
    limited = {name: Bulkhead() for name in ("BULKHEAD", "WAITS", "BODIES")}
    for name, each in limited.items():
        monkeypatch.setattr(f"byron.commands.bulkhead.{name}", each)
    limit_waits(threads)
    assert [each.places for each in limited.values()] == [broker, waits, bodies]


def test_a_thread_that_is_interrupted_as_it_takes_its_place_gives_it_back(monkeypatch):
    bulkhead = Bulkhead()
    bulkhead.limit(1)
    enter = bulkhead._enter

    def interrupted(thread):
        enter(thread)
        raise TimeIsUpError

    monkeypatch.setattr(bulkhead, "_enter", interrupted)
    with pytest.raises(TimeIsUpError), bulkhead.place():
        pass
    monkeypatch.undo()
    with bulkhead.place() as admitted:
        assert admitted
