"""The bulkhead: who is let in to wait, and who is turned away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

import pytest
from django.test import override_settings

from byron.broker.patience import patience
from byron.commands import bulkhead as module
from byron.commands.bulkhead import BrokerBulkhead, Bulkhead, limit_waits
from byron.exceptions import BrokerUnavailableError, CommandError, OutcomeUnknownError


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
    bulkhead = Bulkhead(patience=0.1)
    bulkhead.limit(1)
    with waiters(bulkhead, 1), bulkhead.place() as admitted:
        assert not admitted
        began = monotonic()
        with bulkhead.place() as again:
            assert not again
        assert monotonic() - began < 0.1


def test_a_thread_that_has_a_place_needs_no_second_one():
    bulkhead = Bulkhead(patience=0)
    bulkhead.limit(1)
    with bulkhead.place(), bulkhead.place() as admitted:
        assert admitted
    with bulkhead.place() as admitted:
        assert admitted


def test_a_limit_below_none_is_refused():
    with pytest.raises(ValueError, match="fewer than none"):
        Bulkhead().limit(-1)


def test_with_no_place_at_all_nobody_waits():
    bulkhead = Bulkhead(patience=30)
    bulkhead.limit(0)
    with bulkhead.place() as admitted:
        assert not admitted


class Clock:
    """The bulkhead's clock, which moves by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def is_turned_away(broker: BrokerBulkhead) -> bool:
    try:
        with broker.broker_wait():
            return False
    except BrokerUnavailableError as error:
        assert str(error) == "The broker keeps too many others waiting; nothing was sent."
        return True


def crowded(count: int = 1) -> BrokerBulkhead:
    broker = BrokerBulkhead()
    broker.limit(count)
    return broker


def test_a_process_that_is_slow_at_first_has_half_of_the_publish_timeout(clock):
    broker = crowded()
    with override_settings(BYRON_PUBLISH_TIMEOUT=4.0), waiters(broker, 1) as leave:
        clock.now += 1.9
        threading.Timer(0.05, leave.set).start()
        assert not is_turned_away(broker)


def test_a_broker_that_answers_nobody_for_that_long_hangs(clock):
    broker = crowded()
    with override_settings(BYRON_PUBLISH_TIMEOUT=4.0), waiters(broker, 1):
        clock.now += 2.0
        assert is_turned_away(broker)


def test_as_long_as_it_answers_others_it_does_not_hang(clock):
    broker = crowded(2)
    with override_settings(BYRON_PUBLISH_TIMEOUT=4.0), waiters(broker, 1):
        clock.now += 1.9
        with broker.broker_wait():
            pass
        with waiters(broker, 1) as leave:
            clock.now += 1.9
            threading.Timer(0.05, leave.set).start()
            assert not is_turned_away(broker)


@pytest.mark.parametrize("error", [BrokerUnavailableError, OutcomeUnknownError])
def test_after_a_wait_in_vain_nobody_waits_for_a_place_until_it_answers(clock, error):
    broker = crowded()
    with pytest.raises(error), broker.broker_wait():
        raise error("no answer")
    with waiters(broker, 1):
        assert is_turned_away(broker)
    with broker.broker_wait():
        pass
    with waiters(broker, 1) as leave:
        threading.Timer(0.05, leave.set).start()
        assert not is_turned_away(broker)


def test_what_a_mutation_is_refused_for_says_nothing_of_the_broker(clock):
    broker = crowded()
    for error in (BrokerUnavailableError("no answer"), CommandError("Taken.")):
        with pytest.raises(type(error)), broker.broker_wait():
            raise error
    with waiters(broker, 1):
        assert is_turned_away(broker)


def test_who_waits_for_the_broker_does_so_for_as_long_as_publishing_may_take():
    with override_settings(BYRON_PUBLISH_TIMEOUT=4.0), crowded().broker_wait():
        left = patience()
    assert left is not None
    assert 0 < left <= 4.0


@pytest.mark.parametrize(("threads", "broker", "waits"), [(1, None, None), (2, 1, 0), (3, 1, 1), (4, 2, 1), (16, 8, 7)])
def test_one_thread_stays_free_and_most_of_the_others_are_for_the_broker(monkeypatch, threads, broker, waits):
    limited = {name: Bulkhead() for name in ("BULKHEAD", "WAITS")}
    for name, each in limited.items():
        monkeypatch.setattr(f"byron.commands.bulkhead.{name}", each)
    limit_waits(threads)
    assert [each.places for each in limited.values()] == [broker, waits]
