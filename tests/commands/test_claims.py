"""Values that must be unique, in one process: what is claimed, when it is free again, and when it cannot be told."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest

from byron.commands.claims import Claims, digest
from byron.commands.runner import CommandRunner
from byron.exceptions import BrokerUnavailableError, CommandError, OutcomeUnknownError
from byron.testing import GraphQLFailure, event
from tests.conftest import publish_foreign

TAKEN = 'Author with fullName "Ada" already exists.'


@pytest.fixture
def runner(component, library):
    """What runs commands written in place."""
    return CommandRunner(library)


@pytest.fixture
def written(runner, monkeypatch):
    """Run a function as the mutation createAuthor."""

    def run(function):
        monkeypatch.setattr("byron.commands.runner.load_function", lambda *names: lambda ctx, **given: function(ctx))
        return runner.run(runner.config.component.commands["createAuthor"], {})

    return run


def refuse(component, command, code="CONFLICT", /, **arguments):
    """Run a command that is to be refused, and return the message."""
    with pytest.raises(GraphQLFailure) as failure:
        component.mutate(command, **arguments)
    assert failure.value.code == code
    return failure.value.errors[0]["message"]


def pass_time(monkeypatch, seconds):
    """Let the claims of the log in memory get older."""
    monkeypatch.setattr("byron.broker.memory.monotonic", lambda: time.monotonic() + seconds)


# What is taken.


def test_a_value_that_the_cache_does_not_know_yet_is_taken(component):
    component.mutate("createAuthor", fullName="Ada")

    assert refuse(component, "createAuthor", fullName="Ada") == TAKEN
    assert component.mutate("createAuthor", fullName="ada")
    assert len(component.events) == 2


def test_a_declared_mutation_s_values_are_taken_too(component, everything):
    component.mutate("makeEverything", **everything)

    again = everything | {"amount": everything["amount"] + "00"}
    assert "Everything with amount" in refuse(component, "makeEverything", **again)
    assert component.mutate("makeEverything", **everything | {"amount": "1.5"})


def test_declared_and_written_mutations_claim_the_same(component):
    component.given(event("new.author", id="a1", full_name="Jane", born_on=None))
    component.mutate("createAuthor", fullName="Ada")

    assert refuse(component, "renameAuthor", id="a1", data={"fullName": "Ada"}) == TAKEN


def test_a_rename_takes_the_new_name_at_once(component):
    component.given(event("new.author", id="a1", full_name="Jane", born_on=None))
    component.mutate("renameAuthor", id="a1", data={"fullName": "Ada"})

    assert refuse(component, "createAuthor", fullName="Ada") == TAKEN


def test_an_entity_may_be_given_its_own_value_again_and_again(component):
    component.given(event("new.author", id="a1", full_name="Jane", born_on=None))
    for _ in range(3):
        component.mutate("renameAuthor", id="a1", data={"fullName": "Jane"})
    component.mutate("renameAuthor", id="a1", data={"fullName": "Ada"})
    component.mutate("renameAuthor", id="a1", data={"fullName": "Ada"})
    component.settle()
    component.mutate("renameAuthor", id="a1", data={"fullName": "Ada"})
    assert len(component.events) == 7


def test_what_arrives_between_the_look_and_the_claim_is_a_conflict(component, runner, library):
    claims = Claims(library, lambda: component.broker, runner._lag)
    component.broker.ensure_log()
    looks = iter([False, True])
    with pytest.raises(CommandError, match="taken"):
        claims.take("x", 1, None, lambda: next(looks), "taken")
    claims.release()

    Claims(library, lambda: component.broker, runner._lag).take("x", 1, None, lambda: False, "taken")


def test_one_mutation_cannot_give_a_value_to_two(written):
    def two(ctx):
        ctx.claim("Author.fullName", "Ada", id="1")
        ctx.claim("Author.fullName", "Ada", id="1")
        ctx.claim("Author.fullName", "Ada", id="2")

    with pytest.raises(CommandError, match="Ada"):
        written(two)


def test_without_an_id_a_second_claim_in_one_mutation_is_a_conflict(component, written):
    def two(ctx):
        ctx.claim("Author.fullName", "Ada")
        ctx.claim("Author.fullName", "Ada")

    with pytest.raises(CommandError, match="Ada") as refusal:
        written(two)
    assert refusal.value.code == "CONFLICT"


# When it is free again.


def test_a_renamed_entity_s_old_value_is_free_when_the_cache_has_applied_it(component):
    made = component.mutate("createAuthor", fullName="Ada")
    component.settle()
    component.mutate("renameAuthor", id=made["id"], data={"fullName": "Jane"})
    assert refuse(component, "createAuthor", fullName="Ada") == TAKEN
    component.settle()

    assert component.mutate("createAuthor", fullName="Ada")
    assert 'fullName "Jane"' in refuse(component, "createAuthor", fullName="Jane")


def test_values_can_go_round(component):
    """Each claim that another entity takes over is one that the Cache has applied."""
    one, two = (component.mutate("createAuthor", fullName=name)["id"] for name in ("Ada", "Jane"))
    for first, second in [(one, two), (two, one), (one, two)]:
        for author, name in [(first, "Zoë"), (second, "Ada"), (first, "Jane")]:
            component.settle()
            component.mutate("renameAuthor", id=author, data={"fullName": name})
    component.settle()
    assert component.query("getAuthor", id=two)["fullName"] == "Ada"


def test_a_refused_mutation_gives_back_what_it_claimed(component, written):
    def fail(ctx):
        ctx.claim("Author.fullName", "Ada")
        raise CommandError("no", code="NO")

    for _ in range(2):
        with pytest.raises(CommandError, match="no"):
            written(fail)


def test_a_mutation_that_emits_nothing_gives_back_what_it_claimed(written):
    def nothing(ctx):
        ctx.claim("Author.fullName", "Ada")
        return {"id": "1", "full_name": "Ada", "born_on": None}

    assert written(nothing).events == written(nothing).events == ()


def test_a_mutation_that_certainly_was_not_published_gives_back_what_it_claimed(component, monkeypatch):
    def away(messages, timeout, **options):
        raise BrokerUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(component.broker, "publish", away)
        refuse(component, "createAuthor", "BROKER_UNAVAILABLE", fullName="Ada")

    assert component.mutate("createAuthor", fullName="Ada")


def test_a_mutation_of_unknown_outcome_keeps_its_claim_until_its_time_is_up(component, monkeypatch):
    def unknown(messages, timeout, **options):
        raise OutcomeUnknownError("who knows")

    with monkeypatch.context() as patch:
        patch.setattr(component.broker, "publish", unknown)
        refuse(component, "createAuthor", "OUTCOME_UNKNOWN", fullName="Ada")

    assert refuse(component, "createAuthor", fullName="Ada") == TAKEN
    pass_time(monkeypatch, 59)
    assert refuse(component, "createAuthor", fullName="Ada") == TAKEN
    pass_time(monkeypatch, 61)
    assert component.mutate("createAuthor", fullName="Ada")


def test_an_ended_claim_is_no_matter_when_the_cache_knows(component, monkeypatch):
    component.mutate("createAuthor", fullName="Ada")
    component.settle()
    pass_time(monkeypatch, 3600)

    assert refuse(component, "createAuthor", fullName="Ada") == TAKEN


def test_a_failed_mutation_does_not_free_what_another_of_that_entity_relies_on(component, monkeypatch):
    component.given(event("new.author", id="a1", full_name="Jane", born_on=None))
    component.mutate("renameAuthor", id="a1", data={"fullName": "Ada"})

    def away(messages, timeout, **options):
        raise BrokerUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(component.broker, "publish", away)
        refuse(component, "renameAuthor", "BROKER_UNAVAILABLE", id="a1", data={"fullName": "Ada"})

    assert refuse(component, "createAuthor", fullName="Ada") == TAKEN


def test_a_claim_that_two_mutations_of_an_entity_relied_on_stands_for_its_time(component, monkeypatch):
    """The second cannot know where the first one's events are, so nobody takes its claim over."""
    component.given(event("new.author", id="a1", full_name="Jane", born_on=None))
    for name in ("Ada", "Ada", "Zoë"):
        component.mutate("renameAuthor", id="a1", data={"fullName": name})
    component.settle()

    assert refuse(component, "createAuthor", fullName="Ada") == TAKEN
    pass_time(monkeypatch, 61)
    assert component.mutate("createAuthor", fullName="Ada")


# When it cannot be told.


def grow_old(component, seconds):
    """Let the newest message be so old."""
    log = component.broker.messages
    log[-1] = replace(log[-1], logged=time.time() - seconds)


def test_a_mutation_is_refused_while_the_cache_is_too_far_behind(component, monkeypatch):
    component.publish(event("new.book", id="b1", title="t", genre="DRAMA", price=None, author="a", tags=[]))
    grow_old(component, 31)

    told = refuse(component, "createAuthor", "CACHE_BEHIND", fullName="Ada")
    assert told.startswith(
        "This component is over 30 seconds behind its events, so it cannot tell whether Author.fullN"
    )
    assert len(component.events) == 1
    monkeypatch.setattr("byron.cache.lag._PAUSE", 0.0)
    component.settle()
    assert component.mutate("createAuthor", fullName="Ada")


def test_a_lag_within_bounds_is_fine(component):
    component.publish(event("new.book", id="b1", title="t", genre="DRAMA", price=None, author="a", tags=[]))
    grow_old(component, 29)
    assert component.mutate("createAuthor", fullName="Ada")


def test_events_that_others_handle_are_no_lag(component):
    component.broker.ensure_log()
    publish_foreign(component, event("something.else", id="1"))
    grow_old(component, 3600)
    assert component.mutate("createAuthor", fullName="Ada")


def test_old_events_that_are_applied_are_no_lag(component):
    component.given(event("new.author", id="a1", full_name="Jane", born_on=None))
    grow_old(component, 3600)
    assert component.mutate("createAuthor", fullName="Ada")


def test_mutations_without_unique_values_do_not_mind_a_lag(component):
    component.publish(event("new.author", id="a1", full_name="Jane", born_on=None))
    grow_old(component, 3600)
    assert component.mutate("addBook", data={"title": "t", "genre": "DRAMA", "author": "a", "tags": []})


def test_another_log_than_the_cache_s_cannot_tell(component):
    component.given(event("new.author", id="a1", full_name="Jane", born_on=None))
    log = component.broker.messages
    log[-1] = replace(log[-1], headers={**log[-1].headers, "ce-id": "another", "Nats-Msg-Id": "another"})
    refuse(component, "createAuthor", "CACHE_BEHIND", fullName="Ada")


def test_the_bounds_follow_the_setting(component, settings):
    settings.BYRON_CLAIM_SECONDS = 8.0
    component.publish(event("new.author", id="a1", full_name="Jane", born_on=None))
    grow_old(component, 5)
    assert "over 4 seconds behind" in refuse(component, "createAuthor", "CACHE_BEHIND", fullName="Ada")


def test_a_mutation_that_takes_too_long_after_its_claim_publishes_nothing(component, written, monkeypatch):
    def slow(ctx):
        ctx.claim("Author.fullName", "Ada")
        monkeypatch.setattr("byron.commands.claims.monotonic", lambda: time.monotonic() + 16)
        ctx.emit("new.author", {"id": "1", "full_name": "Ada", "born_on": None})
        return {"id": "1", "full_name": "Ada", "born_on": None}

    with pytest.raises(CommandError, match="longer than 15 seconds after its first claim") as refusal:
        written(slow)
    assert (refusal.value.code, component.events) == ("TIME_LIMIT", [])


# What can be claimed.


def test_any_text_can_be_claimed_and_nothing_is_free_for_all(written):
    def claim(ctx):
        ctx.claim("seat", None)
        ctx.claim("seat", "12A")
        ctx.emit("new.author", {"id": ctx.uuid(), "full_name": ctx.uuid(), "born_on": None})
        return {"id": "1", "full_name": "Ada", "born_on": None}

    written(claim)
    with pytest.raises(CommandError, match='seat "12A" is taken.'):
        written(claim)


def test_a_claim_that_is_refused_says_what_the_command_wants_said(written):
    def claim(ctx):
        ctx.claim("seat", "hall/12A", message="Somebody sits there.")
        ctx.emit("new.author", {"id": ctx.uuid(), "full_name": ctx.uuid(), "born_on": None})
        return {"id": "1", "full_name": "Ada", "born_on": None}

    written(claim)
    with pytest.raises(CommandError, match="^Somebody sits there.$") as refusal:
        written(claim)
    assert refusal.value.code == "CONFLICT"


def test_an_attribute_that_is_not_there_is_a_mistake(written):
    with pytest.raises(LookupError, match="Author has no attribute 'name'; schema.yaml declares fullName, bornOn"):
        written(lambda ctx: ctx.claim("Author.name", "Ada"))


@pytest.mark.parametrize("value", [["a"], {"a": 1}, Decimal("NaN"), float("inf"), object()])
def test_only_values_with_a_plain_equality_can_be_claimed(value):
    with pytest.raises((TypeError, ValueError, OverflowError), match="cannot be claimed|NaN|infinity|Infinity"):
        digest("Library", "x", value)


MOMENT = datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "equal",
    [
        [Decimal("1"), Decimal("1.0"), Decimal("1.00"), 1, 1.0, Decimal("0.1E1")],
        [Decimal("0"), Decimal("-0.00"), 0, -0.0, Decimal("0E9")],
        [Decimal("100"), Decimal("1E2"), 100],
        [Decimal("123456789012345678901234567890.1"), Decimal("123456789012345678901234567890.10")],
        [Decimal("1E+999999"), Decimal("10E+999998")],
        [UUID("0191d3c47a2b7c3d8e4f5a6b7c8d9e0f"), UUID("0191D3C4-7A2B-7C3D-8E4F-5A6B7C8D9E0F")],
        [MOMENT, MOMENT.astimezone(timezone(timedelta(hours=5, minutes=30)))],
    ],
)
def test_equal_values_are_equal_claims(equal):
    assert len({digest("Library", "Everything.amount", value) for value in equal}) == 1


def test_other_values_are_other_claims():
    values = ["Ada", "ada", "Ada ", "Ada\u0301", "", "1", "é", "e\u0301", 1, 2, -1, 10, 1.5, True, False, MOMENT]
    values += [MOMENT + timedelta(microseconds=1), date(2024, 2, 29), Decimal("123456789012345678901234567890.11")]
    values += [Decimal("123456789012345678901234567890.12"), UUID(int=1)]
    assert len({digest("Library", "Author.fullName", value) for value in values}) == len(values)
    assert len({digest(*names, "Ada") for names in [("a", "b"), ("a", "c"), ("ab", ""), ("", "ab")]}) == 4


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (datetime(2024, 2, 29, 10, 30, tzinfo=UTC), "2024-02-29T10:30:00Z"),
        (date(2024, 2, 29), "2024-02-29"),
        (Decimal("1.50"), "1.50"),
        (7, "7"),
    ],
)
def test_what_is_taken_is_told_as_clients_write_it(written, value, shown):
    def take(ctx):
        ctx.claim("seat", value)
        ctx.emit("seat.taken", {"id": "1"})
        return {"id": "1", "full_name": "Ada"}

    written(take)
    with pytest.raises(CommandError, match=f'^seat "{shown}" is taken\\.$'):
        written(take)
