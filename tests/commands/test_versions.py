"""Commands that take a version: they change what their client has seen, or nothing."""

from __future__ import annotations

from unittest import mock

import pytest

from byron.cache.roles import Role, acting_as
from byron.events.subjects import slot_of
from byron.models import ParkedEvent
from byron.sink.triage import Selection, discard_parked, parked_events
from byron.testing import GraphQLFailure, event
from tests.conftest import publish_foreign


@pytest.fixture
def shelf(component):
    """A component with one shelf, which the Cache has."""
    component.choose_ids("s1", "s2", "s3")
    component.mutate("makeShelf", label="top", count=0)
    component.settle()
    return component


def version(component, identity="s1"):
    return component.query("getShelf", id=identity)["version"]


def refused(component, name, **arguments):
    """Return the code and the message of a refusal, having made sure that nothing was emitted."""
    before = len(component.broker.messages)
    with pytest.raises(GraphQLFailure) as failure:
        component.mutate(name, **arguments)
    assert len(component.broker.messages) == before
    return failure.value.code, str(failure.value)


# What is returned.


def test_a_new_entity_s_version_is_that_which_the_cache_will_have(component):
    made = component.mutate("makeShelf", label="top", count=0)
    assert made["version"] == "1"
    component.settle()
    assert component.query("getShelf", id=made["id"]) == made


def test_each_change_returns_the_version_for_the_next(shelf):
    changed = shelf.mutate("changeShelf", id="s1", count=1, version=version(shelf))
    shelf.settle()
    assert shelf.query("getShelf", id="s1") == changed
    filled = shelf.mutate("fillShelf", id="s1", by=2, version=changed["version"])
    assert (filled["count"], filled["version"]) == (3, "3")
    shelf.settle()
    assert shelf.query("getShelf", id="s1") == filled
    gone = shelf.mutate("dropShelf", id="s1", version=filled["version"])
    shelf.settle()
    assert (gone["version"], shelf.query("getShelf", id="s1")) == ("4", None)


def test_lists_pages_and_references_have_versions(shelf):
    shelf.mutate("makeShelf", label="low", count=1, above="s1")
    shelf.settle()
    data = shelf.graphql('{ shelves { nodes { version above { version } } } getShelf(id: "s2") { above { version } } }')
    assert data == {
        "shelves": {"nodes": [{"version": "2", "above": {"version": "1"}}, {"version": "1", "above": None}]},
        "getShelf": {"above": {"version": "1"}},
    }


def test_the_version_is_read_when_it_is_asked_for_and_not_otherwise(shelf, django_assert_num_queries):
    with django_assert_num_queries(1, using="library") as asked:
        shelf.graphql('{ getShelf(id: "s1") { version } }')
    with django_assert_num_queries(1, using="library") as spared:
        shelf.graphql('{ getShelf(id: "s1") { label } }')
    assert '"version"' in asked.captured_queries[0]["sql"]
    assert '"version"' not in spared.captured_queries[0]["sql"]


def test_under_an_idempotency_key_the_versions_come_again(shelf):
    seen, keyed = version(shelf), shelf.with_idempotency_key("first")
    changed = keyed.mutate("changeShelf", id="s1", count=1, version=seen)
    made = shelf.with_idempotency_key("second").mutate("makeShelf", label="new", count=0)
    shelf.settle()

    assert keyed.mutate("changeShelf", id="s1", count=1, version=seen) == changed
    assert (changed["version"], version(shelf)) == ("2", "2")
    assert shelf.with_idempotency_key("second").mutate("makeShelf", label="new", count=0) == made
    assert version(shelf, made["id"]) == made["version"] == "3"


def test_a_refused_version_frees_the_idempotency_key(shelf):
    seen = version(shelf)
    shelf.mutate("changeShelf", id="s1", count=1, version=seen)
    keyed = shelf.with_idempotency_key("key")
    for _ in range(2):
        # The Cache has the old version still: it is the broker that refuses.
        with pytest.raises(GraphQLFailure) as refused:
            keyed.mutate("changeShelf", id="s1", count=2, version=seen)
        assert refused.value.code == "CONFLICT"
    shelf.settle()

    assert keyed.mutate("changeShelf", id="s1", count=2, version=version(shelf))["count"] == 2


def test_a_command_that_emits_nothing_returns_the_version_that_stands(shelf):
    assert shelf.mutate("fillShelf", id="s1", by=0, version="1")["version"] == "1"


def test_an_entity_changed_without_a_version_keeps_the_one_that_was_read(shelf):
    # Somebody else may have changed it in between: a new version would let its client overwrite that unseen.
    shelf.mutate("overwriteShelf", id="s1", count=5)
    blind = shelf.mutate("overwriteShelf", id="s1", count=6)
    assert blind["version"] == "1"
    shelf.settle()
    assert refused(shelf, "changeShelf", id="s1", label="x", version=blind["version"])[0] == "CONFLICT"


def test_payloads_have_no_version(shelf):
    shelf.mutate("changeShelf", id="s1", count=1, version="1")
    assert all("version" not in message.body.decode() for message in shelf.broker.messages)


# What is refused.


def test_a_version_that_was_overtaken_is_a_conflict(shelf):
    shelf.mutate("changeShelf", id="s1", count=1, version="1")
    told = 'CONFLICT: Shelf "s1" has changed since version 1; read it again. Nothing was changed.'
    # By the broker, while the Cache does not know; by the Cache, once it does.
    assert refused(shelf, "changeShelf", id="s1", count=2, version="1") == ("CONFLICT", told)
    assert refused(shelf, "fillShelf", id="s1", by=1, version="1")[0] == "CONFLICT"
    shelf.settle()
    assert refused(shelf, "changeShelf", id="s1", count=2, version="1") == ("CONFLICT", told)
    assert refused(shelf, "dropShelf", id="s1", version="1")[0] == "CONFLICT"


def test_a_version_of_another_entity_is_a_conflict_once_the_cache_is_past_it(shelf):
    neighbour = next(name for name in map(str, range(100_000)) if slot_of(name) == slot_of("s1"))
    shelf.publish(event("shelf.made", id=neighbour, label="below", count=0))
    shelf.settle()
    assert refused(shelf, "fillShelf", id="s1", by=1, version=version(shelf, neighbour))[0] == "CONFLICT"


def test_a_version_that_the_cache_does_not_have_yet_is_refused(shelf):
    changed = shelf.mutate("changeShelf", id="s1", count=1, version="1")
    code, told = refused(shelf, "fillShelf", id="s1", by=1, version=changed["version"])
    assert code == "CACHE_BEHIND"
    assert "Byron-After" in told
    shelf.settle()
    assert shelf.mutate("fillShelf", id="s1", by=1, version=changed["version"])["count"] == 2


@pytest.mark.parametrize("given", ["", "x", "-1", "1.0", "+1", "٣", "1" * 19])
def test_what_cannot_be_a_version_is_refused(shelf, given):
    code, told = refused(shelf, "changeShelf", id="s1", count=1, version=given)
    assert (code, "send one that you got" in told) == ("BAD_USER_INPUT", True)


def test_an_unknown_entity_is_not_found_where_the_command_is_declared(shelf):
    assert refused(shelf, "changeShelf", id="s9", count=1, version="0")[0] == "NOT_FOUND"


@pytest.mark.parametrize("given", ["1", "7"])
def test_a_written_command_may_make_an_entity_that_was_never_there(shelf, given):
    def make(ctx, id, by):
        ctx.emit("shelf.made", {"id": id, "label": "new", "count": by, "above": None})
        return ctx.db.Shelf(id=id, label="new", count=by)

    with mock.patch("library.api.commands.fill_shelf.fill_shelf", make):
        assert refused(shelf, "fillShelf", id="s9", by=1, version=given)[0] == "CONFLICT"
        assert shelf.mutate("fillShelf", id="s9", by=1, version="0")["version"] == "2"
        # It is not in the Cache yet, so the broker alone knows.
        assert refused(shelf, "fillShelf", id="s9", by=1, version="0")[0] == "CONFLICT"


def test_a_refused_change_gives_its_claims_back(shelf):
    shelf.mutate("overwriteShelf", id="s1", count=1)
    assert refused(shelf, "changeShelf", id="s1", label="low", version="1")[0] == "CONFLICT"
    assert shelf.mutate("makeShelf", label="low", count=0)["label"] == "low"


def test_a_command_whose_events_are_about_something_else_is_a_mistake(shelf, caplog):
    def fill(ctx, id, by):
        ctx.emit("shelf.filled", {"id": "s2", "count": by})
        return ctx.db.Shelf.objects.get(pk=id)

    with mock.patch("library.api.commands.fill_shelf.fill_shelf", fill):
        assert refused(shelf, "fillShelf", id="s1", by=1, version="1")[0] == "INTERNAL_ERROR"
    assert "one of the events that it emits must have that id as its key; it emitted shelf.filled of key 's2'" in (
        caplog.text
    )


def test_the_function_and_hooks_are_not_given_the_version(shelf):
    given = {}

    def fill(ctx, **arguments):
        given.update(arguments)

    with mock.patch("library.api.commands.fill_shelf.fill_shelf", fill):
        shelf.mutate("fillShelf", id="s1", by=1, version="1")
    assert given == {"id": "s1", "by": 1}


# Events that this component does not handle.


def test_events_that_are_not_handled_change_no_version(shelf):
    publish_foreign(shelf, event("shelf.painted", id="s1"), event("shelf.dusted", id="s1"))
    shelf.settle()
    assert version(shelf) == "1"
    changed = shelf.mutate("changeShelf", id="s1", count=1, version="1")
    assert changed["version"] == "4"
    assert refused(shelf, "changeShelf", id="s1", count=2, version="1")[0] == "CONFLICT"
    shelf.settle()
    assert version(shelf) == "4"


def test_an_event_that_is_handled_among_those_that_are_not_is_a_conflict(shelf):
    events = event("shelf.painted", id="s1"), event("shelf.filled", id="s1", count=3), event("x.y", id="s1")
    publish_foreign(shelf, *events)
    assert refused(shelf, "changeShelf", id="s1", count=1, version="1")[0] == "CONFLICT"


def test_an_event_that_comes_between_the_questions_is_a_conflict(shelf):
    publish_foreign(shelf, event("shelf.painted", id="s1"))
    broker, ask = shelf.broker, shelf.broker.first_of

    def late(key, events, after):
        found = ask(key, events, after)
        if len(broker.messages) == 2:
            shelf.publish(event("shelf.filled", id="s1", count=3))
        return found

    with mock.patch.object(broker, "first_of", late), pytest.raises(GraphQLFailure) as failure:
        shelf.mutate("changeShelf", id="s1", count=1, version="1")
    assert failure.value.code == "CONFLICT"
    assert len(broker.messages) == 3


def test_without_a_refusal_nothing_else_is_asked_of_the_broker(shelf):
    with (
        mock.patch.object(shelf.broker, "last_of", side_effect=AssertionError),
        mock.patch.object(shelf.broker, "first_of", side_effect=AssertionError),
    ):
        shelf.mutate("changeShelf", id="s1", count=1, version="1")


def test_an_event_that_was_discarded_is_none_that_is_handled(shelf):
    # Without a count: the handler fails.
    shelf.publish(event("shelf.filled", id="s1"))
    with pytest.raises(KeyError):
        shelf.settle()
    assert refused(shelf, "changeShelf", id="s1", count=1, version="1")[0] == "CONFLICT"
    config, message = shelf.config, shelf.broker.messages[-1]
    with acting_as(Role.MAINTENANCE):
        ParkedEvent.objects.using(config.alias).create(
            consumer=config.consumer_name,
            position=message.position,
            slot=int(message.subject.split(".")[1]),
            name="shelf.filled",
            key="s1",
            state=ParkedEvent.State.PARKED,
            subject=message.subject,
            headers="{}",
            body=b"",
        )
        discard_parked(config, [row.pk for row in parked_events(config, Selection())])
    assert shelf.mutate("changeShelf", id="s1", count=1, version="1")["version"] == "3"


def test_an_aliased_mutation_twice_in_one_request_is_refused_the_second_time(shelf):
    with pytest.raises(GraphQLFailure) as failure:
        shelf.graphql(
            'mutation { a: fillShelf(id: "s1", by: 1, version: 1) { version } '
            'b: fillShelf(id: "s1", by: 1, version: 1) { version } }'
        )
    assert failure.value.code == "CONFLICT"
    assert len(shelf.broker.messages) == 2


def test_examples_are_given_the_version_that_stands(component):
    component.examples(skip=["closeLibrary", "trouble.made", "shelf.dropped", "dropShelf", "new.author"])
    # Nothing tells the shape of this event, so it is that of the command, which was not refused.
    assert "shelf.filled" in [each.name for each in component.events]
