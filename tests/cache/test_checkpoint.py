"""The checkpoint of each slot: who may move it, and that it only ever goes forward."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from byron.cache.checkpoint import (
    Applied,
    Attempt,
    last_position,
    lock_checkpoints,
    note_attempt,
    owners_of,
    read_checkpoints,
    release_slots,
    store_checkpoint,
    take_slots,
    unfinished_attempts,
)
from byron.exceptions import LaneLostError
from byron.models import Checkpoint

pytestmark = pytest.mark.django_db(databases=["library"])

ALIAS, CONSUMER = "library", "library"
ALL = range(16)


def take(owner, slots=ALL, *, living=(), consumer=CONSUMER):
    return take_slots(ALIAS, consumer, list(slots), owner, lambda each: each in living)


def store(position, slots=ALL, *, event_id="e", consumer=CONSUMER):
    store_checkpoint(ALIAS, consumer, slots, Applied(position=position, event_id=event_id))


def positions(consumer=CONSUMER):
    return {slot: applied.position for slot, applied in read_checkpoints(ALIAS, consumer).items()}


def test_a_cache_that_has_applied_nothing_has_no_checkpoints():
    assert (read_checkpoints(ALIAS, CONSUMER), last_position(ALIAS, CONSUMER)) == ({}, 0)
    assert take("a") is False
    assert (read_checkpoints(ALIAS, CONSUMER), last_position(ALIAS, CONSUMER)) == ({}, 0)


def test_what_was_stored_is_read():
    take("a")
    applied = Applied(position=7, event_id="e7", log_created=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))
    store_checkpoint(ALIAS, CONSUMER, [0, 5], applied)

    assert read_checkpoints(ALIAS, CONSUMER) == {0: applied, 5: applied}


def test_the_last_position_is_the_newest_of_all_slots():
    take("a")
    store(3, [0, 1])
    store(9, [4])
    store(5, [7])

    assert last_position(ALIAS, CONSUMER) == 9


def test_a_checkpoint_never_goes_back():
    take("a")
    store(9, [1], event_id="nine")
    store(5, [0, 1], event_id="five")

    assert {slot: each.event_id for slot, each in read_checkpoints(ALIAS, CONSUMER).items()} == {0: "five", 1: "nine"}
    assert positions() == {0: 5, 1: 9}


def test_consumers_of_one_cache_have_checkpoints_of_their_own():
    take("a")
    take("b", consumer="other")
    store(5)
    store(7, [1], consumer="other")
    release_slots(ALIAS, "other", ALL, "b")

    assert (positions(), positions("other")) == (dict.fromkeys(ALL, 5), {1: 7})
    assert (owners_of(ALIAS, CONSUMER, ALL), owners_of(ALIAS, "other", ALL)) == ({"a"}, set())


def test_the_owner_of_slots_gets_their_positions():
    take("a")
    store(5, [2, 3])

    assert lock_checkpoints(ALIAS, CONSUMER, [1, 2, 3], "a") == {1: 0, 2: 5, 3: 5}
    assert lock_checkpoints(ALIAS, CONSUMER, ALL, "a").keys() == set(ALL)


@pytest.mark.parametrize("slots", [[3], [2, 3], ALL])
def test_who_lost_a_single_slot_gets_none(slots):
    take("a")
    take("b", [3])

    with pytest.raises(LaneLostError, match=r"Slot 3 of library was taken by another Sink\."):
        lock_checkpoints(ALIAS, CONSUMER, slots, "a")
    assert lock_checkpoints(ALIAS, CONSUMER, [1, 2], "a") == {1: 0, 2: 0}


def test_who_let_go_of_a_slot_gets_none():
    take("a")
    release_slots(ALIAS, CONSUMER, [0], "a")

    with pytest.raises(LaneLostError, match="Slot 0 of library"):
        lock_checkpoints(ALIAS, CONSUMER, [0], "a")


def test_whoever_does_not_say_who_it_is_locks_any_owner_s_slots():
    take("a", [0])
    take("b", [1])

    assert lock_checkpoints(ALIAS, CONSUMER, ALL, None) == dict.fromkeys(ALL, 0)


@pytest.mark.parametrize("slots", [[3, 4], ALL])
@pytest.mark.parametrize("owner", ["a", None])
def test_checkpoints_that_were_removed_end_the_lane(slots, owner):
    take("a")
    Checkpoint.objects.using(ALIAS).filter(slot=4).delete()

    with pytest.raises(LaneLostError, match=r"The checkpoint of library was removed meanwhile\."):
        lock_checkpoints(ALIAS, CONSUMER, slots, owner)


def test_slots_of_a_living_owner_are_not_taken():
    take("a", [3])
    take("b", [4])

    assert take("c", [2, 3], living={"a"}) is None
    assert take("c", ALL, living={"b"}) is None
    assert owners_of(ALIAS, CONSUMER, ALL) == {"a", "b"}
    assert owners_of(ALIAS, CONSUMER, [2]) == set()


def test_slots_of_an_owner_that_is_gone_are_taken_and_it_is_told():
    take("a", [3])

    assert take("b", [2, 3]) is True
    assert owners_of(ALIAS, CONSUMER, [2, 3]) == {"b"}


def test_slots_that_were_let_go_of_are_taken_without_suspicion():
    take("a", [2, 3])
    release_slots(ALIAS, CONSUMER, [2, 3], "a")

    assert take("b", [2, 3]) is False


def test_taking_again_what_one_has_is_no_takeover():
    take("a")

    assert take("a", living={"a"}) is False


def test_nobody_lets_go_of_another_s_slots():
    take("a", [2])
    take("b", [3])
    release_slots(ALIAS, CONSUMER, ALL, "b")

    assert owners_of(ALIAS, CONSUMER, ALL) == {"a"}


def test_taking_keeps_the_positions():
    take("a")
    store(5, [0])
    take("b")

    assert positions() == {0: 5}


def test_an_attempt_is_unfinished_until_the_checkpoint_reaches_it():
    take("a")
    note_attempt(ALIAS, CONSUMER, 3, 7, 2)
    assert unfinished_attempts(ALIAS, CONSUMER, ALL) == [Attempt(position=7, tries=2)]
    assert unfinished_attempts(ALIAS, CONSUMER, [3]) == [Attempt(position=7, tries=2)]
    assert unfinished_attempts(ALIAS, CONSUMER, [2, 4]) == []

    store(7)
    assert unfinished_attempts(ALIAS, CONSUMER, ALL) == []
    assert set(Checkpoint.objects.using(ALIAS).values_list("trying", "tries")) == {(None, 0)}


def test_an_attempt_outlives_its_owner():
    take("a")
    note_attempt(ALIAS, CONSUMER, 3, 7, 2)
    take("b")

    assert unfinished_attempts(ALIAS, CONSUMER, ALL) == [Attempt(position=7, tries=2)]


def test_checkpoints_hold_any_position_and_id():
    take("a")
    store(2**63 - 1, event_id="ü" * 255)

    assert read_checkpoints(ALIAS, CONSUMER)[0] == Applied(position=2**63 - 1, event_id="ü" * 255)


def test_a_checkpoint_that_comes_up_to_an_attempt_ends_it_and_an_earlier_one_does_not():
    take("a")
    note_attempt(ALIAS, CONSUMER, 1, 8, 3, owner="a")
    store(7)
    assert unfinished_attempts(ALIAS, CONSUMER, ALL) == [Attempt(position=8, tries=3)]
    store(8)
    assert unfinished_attempts(ALIAS, CONSUMER, ALL) == []


def test_what_is_applied_already_is_not_attempted():
    take("a")
    store(7, [1])

    assert note_attempt(ALIAS, CONSUMER, 1, 7, 2, owner="a") is False
    assert note_attempt(ALIAS, CONSUMER, 1, 8, 2, owner="a") is True
    with pytest.raises(LaneLostError):
        note_attempt(ALIAS, CONSUMER, 1, 7, 2, owner="b")
