"""Who is a component's Sink at the moment, and who applies what."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from hypothesis import given
from hypothesis import strategies as st

from byron.cache.members import Member, living_members, this_machine
from byron.models import SinkMember
from byron.sink.lanes import Lane, split
from byron.sink.membership import Membership

ALIAS, CONSUMER = "library", "library"

database = pytest.mark.django_db(databases=["library"])


def rows(**conditions):
    return SinkMember.objects.using(ALIAS).filter(**conditions)


def age(member, seconds):
    """Let a member's last sign of life be so many seconds ago."""
    rows(id=member.id).update(seen=F("seen") - timedelta(seconds=seconds))


def ids(members):
    return [member.id for member in members]


@pytest.fixture
def ended_pid():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def members_of(memberships, lanes):
    """Return what these tell of themselves, told to make so many lanes each, the oldest first."""
    members = [Member(id=each.id, place="", lanes=count) for each, count in zip(memberships, lanes, strict=True)]
    return sorted(members, key=lambda member: member.id)


@given(st.lists(st.integers(1, 16), min_size=1, max_size=5), st.randoms())
def test_the_shares_are_complete_and_even_also_when_processes_are_told_different_numbers_of_lanes(counts, random):
    memberships = [Membership(ALIAS, CONSUMER) for _ in counts]
    members = members_of(memberships, counts)
    random.shuffle(memberships)
    shares = [each.share(members) for each in memberships]

    lanes = sorted((lane for share in shares for lane in share), key=lambda lane: lane.number)
    assert lanes == split(CONSUMER, members[0].lanes)
    assert sorted(slot for lane in lanes for slot in lane.slots) == list(range(16))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 16), st.integers(0, 5))
def test_who_is_no_member_has_no_share(lane_count, others):
    members = members_of([Membership(ALIAS, CONSUMER) for _ in range(others)], [lane_count] * others)

    assert Membership(ALIAS, CONSUMER).share(members) == []


def test_the_only_lane_stays_with_the_oldest():
    memberships = [Membership(ALIAS, CONSUMER) for _ in range(3)]
    members = members_of(memberships, [1, 1, 1])

    assert [each.share(members) for each in memberships] == [[Lane(consumer=CONSUMER)], [], []]


@database
def test_the_oldest_process_tells_the_number_of_lanes_until_it_leaves():
    old, new = Membership(ALIAS, CONSUMER), Membership(ALIAS, CONSUMER)
    old.lanes, new.lanes = 1, 4
    old.beat()
    members = new.beat()
    assert [old.share(members), new.share(members)] == [split(CONSUMER, 1), []]

    old.leave()
    assert new.share(new.beat()) == split(CONSUMER, 4)
    new.lanes = 2
    assert new.share(new.beat()) == split(CONSUMER, 2)


@database
def test_members_are_told_the_oldest_first():
    memberships = [Membership(ALIAS, CONSUMER) for _ in range(3)]
    for each in reversed(memberships):
        found = each.beat()

    assert ids(found) == [each.id for each in memberships]


@database
def test_the_members_of_another_component_are_none_of_this():
    mine, other = Membership(ALIAS, CONSUMER), Membership(ALIAS, "other")
    mine.beat()
    other.beat()

    assert ids(mine.members()) == [mine.id]
    assert ids(living_members(ALIAS)) == [mine.id, other.id]
    # A rebuild, say, that holds the lanes for a moment.
    assert mine.is_alive(other.id)


@database
def test_who_has_not_beaten_yet_is_not_alive():
    mine = Membership(ALIAS, CONSUMER)

    assert not mine.is_alive(mine.id)
    assert not mine.is_alive("")


@database
@pytest.mark.parametrize(("seconds", "alive"), [(0, True), (5, True), (7, False), (3600, False)])
def test_a_process_without_a_fresh_sign_of_life_is_gone(seconds, alive):
    mine, other = Membership(ALIAS, CONSUMER), Membership(ALIAS, CONSUMER)
    other.beat()
    age(other, seconds)
    mine.beat()

    assert mine.is_alive(other.id) == alive
    assert ids(mine.members()) == [mine.id, other.id][: 1 + alive]


@database
def test_a_sign_of_life_brings_a_process_back():
    mine, other = Membership(ALIAS, CONSUMER), Membership(ALIAS, CONSUMER)
    other.beat()
    age(other, 60)
    assert not mine.is_alive(other.id)
    other.beat()
    assert mine.is_alive(other.id)
    rows(id=other.id).delete()
    other.beat()
    assert mine.is_alive(other.id)


@database
def test_a_process_of_this_machine_that_has_ended_is_gone_at_once(ended_pid):
    mine, other = Membership(ALIAS, CONSUMER), Membership(ALIAS, CONSUMER)
    other.beat()
    assert mine.is_alive(other.id)
    rows(id=other.id).update(pid=ended_pid)

    assert not mine.is_alive(other.id)
    assert mine.members() == []


@database
def test_a_process_of_another_machine_is_not_judged_by_its_number(ended_pid):
    mine, other = Membership(ALIAS, CONSUMER), Membership(ALIAS, CONSUMER)
    other.beat()
    rows(id=other.id).update(pid=ended_pid, machine="another boot")

    assert mine.is_alive(other.id)


@database
def test_a_process_that_this_one_may_not_signal_lives(monkeypatch):
    def kill(pid, number):
        raise PermissionError

    mine, other = Membership(ALIAS, CONSUMER), Membership(ALIAS, CONSUMER)
    other.beat()
    monkeypatch.setattr("os.kill", kill)

    assert mine.is_alive(other.id)


@database
def test_who_leaves_is_gone_and_those_long_gone_are_forgotten():
    mine, gone, quiet, living = (Membership(ALIAS, CONSUMER) for _ in range(4))
    other = Membership(ALIAS, "other")
    for each in (mine, gone, quiet, living, other):
        each.beat()
    age(gone, 120)
    age(quiet, 30)
    age(other, 120)
    mine.leave()

    assert set(rows().values_list("id", flat=True)) == {quiet.id, living.id, other.id}


@database
def test_what_a_member_tells_of_itself_fits_its_table():
    Membership(ALIAS, CONSUMER).beat()
    [row] = rows().annotate(now=Now())
    row.full_clean(exclude=["seen"])

    assert len(this_machine()) <= 100
    assert abs(row.now - row.seen) < timedelta(seconds=5)
