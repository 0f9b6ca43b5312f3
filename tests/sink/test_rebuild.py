"""Rebuilding the Cache beside the live one."""

from __future__ import annotations

import sqlite3

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connections

from byron.broker.memory import MemoryConsumer
from byron.cache.checkpoint import last_position, owners_of, take_slots
from byron.cache.roles import Role, acting_as
from byron.cache.workspace import workspace_for
from byron.commands import functions
from byron.events.subjects import SLOTS
from byron.exceptions import BrokerPermissionError, CacheError
from byron.models import OutboxMessage, ParkedEvent, SinkMember
from byron.sink.membership import Membership
from byron.sink.parking import Problem, make_due
from byron.sink.rebuild import NewlyParkedError, rebuild
from byron.sink.replay import Replayer
from tests.conftest import add_books
from tests.processes import wait_for

pytestmark = pytest.mark.django_db(transaction=True, databases=["library", "students"])


class _Connections:
    """Django's connections, as its tests see them: what is redirected meanwhile counts as made by hand."""

    def __contains__(self, alias):
        return alias != "library__live" and alias in connections

    def __getitem__(self, alias):
        return connections[alias]

    def __iter__(self):
        return iter(connections)

    def __getattr__(self, name):
        return getattr(connections, name)


@pytest.fixture(autouse=True)
def _allow_the_redirected_alias(transactional_db, monkeypatch):
    monkeypatch.setattr("django.test.testcases.connections", _Connections())


def books():
    return apps.get_model("library", "Book").objects.using("library")


def titles():
    return sorted(books().values_list("title", flat=True))


def difference(built, table):
    [found] = [each for each in built.differences if each.table == table]
    return found.rows, found.removed, found.added


def test_a_rebuild_mends_what_the_live_cache_has_wrong(component, library):
    add_books(component, "one", "two", "three")
    component.settle()
    books().filter(title="one").delete()
    books().filter(title="two").update(title="wrong")

    built = rebuild(library, lambda: component.broker)

    assert titles() == ["one", "three", "two"]
    assert (built.applied, built.position, built.parked) == (3, 3, 0)
    assert difference(built, "library_book") == (3, 1, 2)
    assert difference(built, "library_author") == (0, 0, 0)


def test_a_rebuild_has_the_versions_that_the_live_cache_has(component, library):
    shelves = apps.get_model("library", "Shelf").objects.using("library")
    for label in ("one", "two"):
        component.mutate("makeShelf", label=label, count=0)
    component.settle()
    [one, two] = shelves.order_by("label")
    component.mutate("fillShelf", id=one.pk, by=1, version="1")
    component.settle()
    before = dict(shelves.values_list("label", "version"))
    assert before == {"one": 3, "two": 2}
    shelves.filter(pk=two.pk).update(version=0)

    built = rebuild(library, lambda: component.broker)

    assert dict(shelves.values_list("label", "version")) == before
    assert difference(built, "library_shelf") == (2, 1, 1)


def test_a_rebuild_of_a_cache_that_is_right_writes_nothing(component, library):
    add_books(component, "one", "two")
    component.settle()

    built = rebuild(library, lambda: component.broker)

    assert {(each.removed, each.added) for each in built.differences} == {(0, 0)}


def test_the_sink_goes_on_after_the_rebuild_where_that_ended(component, library):
    add_books(component, "one")
    component.settle()
    add_books(component, "two")
    rebuild(library, lambda: component.broker)
    add_books(component, "three")

    assert component.settle() == 1
    assert titles() == ["one", "three", "two"]
    assert last_position("library", library.consumer_name) == 3


def test_nothing_of_the_workspace_is_left(component, library):
    add_books(component, "one")
    workspace = workspace_for("library")
    rebuild(library, lambda: component.broker)

    assert not workspace.path.exists()
    assert "library__live" not in connections.settings


def test_a_rebuild_that_fails_leaves_the_live_cache_and_can_be_resumed(component, library):
    add_books(component, "one", "two")
    component.settle()
    books().filter(title="one").delete()
    seen = []

    def interrupt(replay):
        seen.append(replay.applied)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(library, lambda: component.broker, watch=interrupt)

    assert titles() == ["two"]
    assert rebuild(library, lambda: component.broker, resume=True).applied == 0
    assert titles() == ["one", "two"]


def test_an_interrupted_rebuild_starts_over_unless_it_is_resumed(component, library):
    add_books(component, "one", "two")

    def interrupt(replay):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(library, lambda: component.broker, watch=interrupt)

    assert rebuild(library, lambda: component.broker).applied == 2


def test_two_rebuilds_at_once_are_refused(component, library):
    workspace = workspace_for("library")
    with workspace._locked(), pytest.raises(CacheError, match="Another rebuild of the Cache library is at work"):
        rebuild(library, lambda: component.broker)


def when_frozen(monkeypatch, action):
    """Do something when a rebuild has applied its last events and is about to switch."""
    original = Replayer.run

    def run(replayer, enough):
        original(replayer, enough)
        if replayer.replay.phase == "switching":
            action()

    monkeypatch.setattr(Replayer, "run", run)


def test_a_rebuild_that_lost_its_lanes_switches_nothing_and_can_be_resumed(component, library, monkeypatch):
    add_books(component, "one", "two")
    component.settle()
    books().filter(title="one").delete()
    consumer = library.consumer_name

    def take_back():
        add_books(component, "three")
        take_slots("library__live", consumer, range(SLOTS), "a Sink", lambda owner: False)

    with monkeypatch.context() as patch:
        when_frozen(patch, take_back)
        with pytest.raises(CacheError, match=r"A Sink took this rebuild .* nothing was switched. Go on with --resume"):
            rebuild(library, lambda: component.broker)

    assert titles() == ["two"]
    assert last_position("library", consumer) == 2
    # What is the Sink's by now is not let go of.
    assert owners_of("library", consumer, range(SLOTS)) == {"a Sink"}
    assert rebuild(library, lambda: component.broker, resume=True).applied == 1
    assert titles() == ["one", "three", "two"]


def test_a_rebuild_gives_signs_of_life_while_the_sinks_are_paused(component, library, monkeypatch):
    add_books(component, "one")
    monkeypatch.setattr("byron.sink.rebuild._BEAT", 0.01)

    def see():
        rows = SinkMember.objects.using("library__live").filter(consumer=f"{library.consumer_name}-rebuild")
        first = rows.get().seen
        wait_for(lambda: rows.get().seen > first, "a further sign of life")

    when_frozen(monkeypatch, see)
    rebuild(library, lambda: component.broker)

    assert not SinkMember.objects.using("library").exists()


def test_events_that_only_the_rebuild_cannot_apply_keep_it_from_being_switched_to(component, library, monkeypatch):
    monkeypatch.setattr("byron.sink.parking.byron_settings", quick_retries)
    add_books(component, "one", "two")
    component.settle()
    break_hook(monkeypatch)

    with pytest.raises(
        NewlyParkedError, match=r"(?s)2 events .*position 1, new\.book: RuntimeError: broken now"
    ) as error:
        rebuild(library, lambda: component.broker)
    assert "--accept-parked" in str(error.value)
    assert titles() == ["one", "two"]

    built = rebuild(library, lambda: component.broker, accept_parked=True)
    assert (titles(), built.parked) == ([], 2)
    assert ParkedEvent.objects.using("library").filter(state="parked").count() == 2


def test_an_event_that_fails_among_the_last_ones_keeps_a_rebuild_from_being_switched_to(bench, failures, monkeypatch):
    monkeypatch.setattr("byron.sink.parking.byron_settings", quick_retries)
    for module in ("rebuild", "replay"):
        monkeypatch.setattr(f"byron.sink.{module}.byron_settings", two_at_a_time)
    for identity in "abcd":
        bench.author(identity)
    bench.run().release()
    failures.add("d")
    phases = []

    with pytest.raises(NewlyParkedError, match="1 events .*"):
        rebuild(bench.config, lambda: bench.broker, watch=lambda replay: phases.append(replay.phase))

    assert "switching" in phases
    assert (bench.authors, bench.states) == (["a", "b", "c", "d"], [])
    assert rebuild(bench.config, lambda: bench.broker, accept_parked=True).parked == 1
    assert (bench.authors, bench.states) == (["a", "b", "c"], [(4, "parked")])


def discard_head(bench, alias="library__live"):
    """Discard the event at position 1 as `parked discard` does."""
    rows = ParkedEvent.objects.using(alias).filter(consumer=bench.consumer)
    head = rows.get(position=1)
    rows.filter(position=1).update(state="discarded")
    make_due(alias, bench.consumer, head.key_digest)


def park_with_a_follower(bench, failures):
    failures.add("a")
    bench.author("a", key="k")
    bench.author("b", key="k")
    bench.author("c")
    bench.run().release()
    assert [position for position, _ in bench.states] == [1, 2]


def test_what_is_behind_an_event_discarded_during_a_rebuild_is_applied_by_it(bench, failures, monkeypatch):
    monkeypatch.setattr("byron.sink.parking.byron_settings", quick_retries)
    park_with_a_follower(bench, failures)
    discarded = []

    def discard(replay):
        if not discarded:
            discarded.append(replay.phase)
            discard_head(bench)
            # The Sink has done its part already.
            ParkedEvent.objects.using("library__live").filter(position=2).delete()

    rebuild(bench.config, lambda: bench.broker, watch=discard)

    assert discarded == ["replaying"]
    assert (bench.authors, bench.states) == (["b", "c"], [(1, "discarded")])


def test_what_is_behind_an_event_discarded_in_the_last_moment_of_a_rebuild_is_due(bench, failures, monkeypatch):
    monkeypatch.setattr("byron.sink.parking.byron_settings", quick_retries)
    park_with_a_follower(bench, failures)
    when_frozen(monkeypatch, lambda: discard_head(bench))

    rebuild(bench.config, lambda: bench.broker, accept_parked=True)

    assert bench.states == [(1, "discarded"), (2, "retrying")]
    worker = bench.run()
    assert bench.retry(worker, key=ParkedEvent.objects.using("library").get(position=2).key) == (1, None)
    assert bench.authors == ["b", "c"]


def test_a_discarded_event_does_not_count_as_newly_parked(bench, failures, monkeypatch):
    monkeypatch.setattr("byron.sink.parking.byron_settings", quick_retries)
    failures.add("a")
    bench.author("a")
    bench.run().release()

    def discard(replay):
        if replay.phase == "replaying":
            discard_head(bench)

    rebuild(bench.config, lambda: bench.broker, watch=discard)

    assert bench.states == [(1, "discarded")]


def names_of_readers(broker, monkeypatch, *, only=""):
    """Return the list into which the readers' names come; with `only`, no other name may be used."""
    names = []
    original = broker.consumer

    def consumer(name, *args, **kwargs):
        if only and name != only:
            raise BrokerPermissionError(f"not by {name}")
        names.append(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(broker, "consumer", consumer)
    return names


def test_each_rebuild_reads_by_a_name_of_its_own(component, library, monkeypatch):
    add_books(component, "one")
    names = names_of_readers(component.broker, monkeypatch)

    for _ in range(2):
        rebuild(library, lambda: component.broker)

    assert len(set(names)) == 2
    assert all(name.startswith(f"{library.consumer_name}-rebuild-") for name in names)


def test_where_there_is_one_reader_a_second_rebuild_is_refused(component, library, monkeypatch, tmp_path):
    add_books(component, "one")
    prepared = f"{library.consumer_name}-rebuild"
    names_of_readers(component.broker, monkeypatch, only=prepared)
    another = Membership("library", prepared)
    another.beat()

    with pytest.raises(CacheError, match=f"Another rebuild of library is at work .* by the consumer {prepared}"):
        rebuild(library, lambda: component.broker)
    with pytest.raises(CommandError, match="Another rebuild of library is at work"):
        call_command("rebuildcache", "library", "--until", "1", "--into", f"sqlite:///{tmp_path}/then.sqlite3")
    another.leave()

    assert rebuild(library, lambda: component.broker).applied == 1


def test_a_rebuild_whose_reader_says_too_soon_that_nothing_is_left_reads_on(bench, failures, monkeypatch, tmp_path):
    for identity in "abc":
        bench.author(identity)
    monkeypatch.setattr("byron.sink.replay.byron_settings", one_at_a_time)
    monkeypatch.setattr(MemoryConsumer, "pending", lambda consumer: 0)

    call_command("rebuildcache", "library", "--until", "2", "--into", f"sqlite:///{tmp_path}/then.sqlite3")

    assert failures.called == ["a", "b"]


def test_what_was_set_aside_before_the_moment_of_until_is_tried_again(bench, handle, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("byron.sink.parking.byron_settings", quick_retries)
    called = []

    def passing_trouble(ctx, event):
        identity = event.payload["id"]
        called.append(identity)
        # Once together with the others, and once alone.
        if identity == "a" and called.count("a") <= 2:
            raise RuntimeError("not yet")
        ctx.db.Author.objects.create(**event.payload)

    handle("newAuthor", passing_trouble)
    for identity in "abc":
        bench.author(identity)
    file = tmp_path / "then.sqlite3"

    call_command("rebuildcache", "library", "--until", "2", "--into", f"sqlite:///{file}")

    assert "0 parked" in capsys.readouterr().out
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT id FROM library_author ORDER BY id").fetchall() == [("a",), ("b",)]


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("yesterday", "'yesterday' is neither a position nor an ISO 8601 time"),
        ("0001-01-01", "'0001-01-01' cannot be told in UTC"),
        ("9" * 5000, "is neither a position nor an ISO 8601 time"),
    ],
)
def test_a_moment_that_is_none_is_refused(component, library, tmp_path, moment, message):
    with pytest.raises(CommandError, match=message):
        call_command("rebuildcache", "library", "--until", moment, "--into", f"sqlite:///{tmp_path}/then.sqlite3")


@pytest.mark.parametrize("url", ["then.sqlite3", "nosuch://host/name", "postgres://host:port/name"])
def test_a_database_that_is_none_is_refused(component, library, url):
    with pytest.raises(CommandError, match="--into .* is no database URL"):
        call_command("rebuildcache", "library", "--until", "1", "--into", url)


def test_a_rebuild_emits_only_for_events_that_the_live_cache_has_not_applied(component, library, monkeypatch):
    emit_from_hook(monkeypatch)
    add_books(component, "one")
    component.settle()
    assert [event.name for event in component.events] == ["new.book", "book.seen"]
    add_books(component, "two")

    rebuild(library, lambda: component.broker)

    assert [row.cause_position for row in OutboxMessage.objects.using("library")] == [3]
    component.settle()
    assert [event.name for event in component.events] == ["new.book", "book.seen", "new.book", "book.seen"]


def test_a_rebuild_emits_for_an_event_that_the_live_cache_had_set_aside(bench, failures):
    failures.emits = True
    failures.add("a")
    bench.author("a")
    bench.author("b")
    bench.run().release()
    assert bench.states == [(1, "retrying")]
    before = [message.subject for message in bench.broker.messages[2:]]
    failures.clear()

    rebuild(bench.config, lambda: bench.broker)
    bench.run().release()

    after = [message.subject for message in bench.broker.messages[2:]]
    assert (bench.states, bench.authors) == ([], ["a", "b"])
    assert len(before) == 1 and len(after) == 2
    # What was emitted already is not emitted again.
    rebuild(bench.config, lambda: bench.broker)
    bench.run().release()
    assert [message.subject for message in bench.broker.messages[2:]] == after


def test_a_rebuild_does_not_try_what_ended_processes_and_keeps_it_parked(bench, failures):
    for identity, key in (("a", "a"), ("killer", "k"), ("behind", "k"), ("z", "z")):
        bench.author(identity, key=key)
    worker = bench.worker()
    first, killer, *rest = bench.broker.messages
    with acting_as(Role.SINK):
        worker.take()
        worker.batches.apply([first])
        worker.batches.park(killer, Problem.of_deaths(5))
        worker.batches.apply(rest)
    worker.release()
    before = bench.authors, bench.states
    failures.called.clear()

    built = rebuild(bench.config, lambda: bench.broker)

    assert failures.called == ["a", "z"]
    assert (bench.authors, bench.states) == before == (["a", "z"], [(2, "parked"), (3, "behind")])
    assert built.parked == 2
    assert "5 processes ended" in bench.parked[0].error


def test_discarded_events_stay_discarded(component, library, monkeypatch):
    monkeypatch.setattr("byron.sink.parking.byron_settings", quick_retries)
    [good, _] = add_books(component, "good", "unwanted")
    component.settle()
    message = component.broker.messages[1]
    ParkedEvent.objects.using("library").create(
        consumer=library.consumer_name,
        slot=0,
        position=message.position,
        event_id="x",
        name="new.book",
        key="k",
        key_digest="d",
        state="discarded",
        subject=message.subject,
        headers="{}",
        body=b"",
    )

    rebuild(library, lambda: component.broker)

    assert titles() == ["good"]


def test_notes_of_discarded_events_count_for_their_own_log_only(component, library):
    add_books(component, "of the old log")
    component.settle()
    row = component.broker.messages[0]
    ParkedEvent.objects.using("library").create(
        consumer=library.consumer_name,
        slot=0,
        position=1,
        event_id="x",
        name="new.book",
        key="k",
        key_digest="d",
        state="discarded",
        subject=row.subject,
        headers="{}",
        body=b"",
    )
    component.broker.messages.clear()
    component.broker._positions.clear()
    add_books(component, "of the new log")

    rebuild(library, lambda: component.broker)

    assert titles() == ["of the new log"]
    assert not ParkedEvent.objects.using("library").exists()


def test_from_a_new_log_without_events_a_cache_begins_at_its_start(component, library):
    add_books(component, "of the old log")
    component.settle()
    component.broker.messages.clear()
    component.broker._positions.clear()

    rebuild(library, lambda: component.broker)
    assert (titles(), last_position("library", library.consumer_name)) == ([], 0)
    add_books(component, "of the new log")

    assert component.settle() == 1
    assert titles() == ["of the new log"]


def test_a_cache_as_of_a_position_or_a_time_is_built_into_another_database(component, library, tmp_path, capsys):
    add_books(component, "one", "two")
    component.settle()
    then = component.broker.messages[0].logged
    url = f"sqlite:///{tmp_path}/then.sqlite3"

    call_command("rebuildcache", "library", "--until", "1", "--into", url)

    assert "library: 1 events applied" in capsys.readouterr().out
    assert titles() == ["one", "two"]
    with sqlite3.connect(tmp_path / "then.sqlite3") as database:
        assert database.execute("SELECT title FROM library_book").fetchall() == [("one",)]
        assert database.execute("SELECT DISTINCT position FROM byron_checkpoint").fetchall() == [(1,)]

    with pytest.raises(CommandError, match="is not empty"):
        call_command("rebuildcache", "library", "--until", "1", "--into", url)
    with pytest.raises(CommandError, match="neither a position nor an ISO 8601 time"):
        call_command("rebuildcache", "library", "--until", "yesterday", "--into", url)
    assert then


class quick_retries:
    sink_tries = 2
    sink_retry_delay = 0.0
    sink_retry_limit = 0.0


class one_at_a_time:
    sink_batch_size = 1


class two_at_a_time:
    sink_batch_size = 2


def break_hook(monkeypatch):
    def broken(context, event):
        raise RuntimeError("broken now")

    replace_function(monkeypatch, "refuseCursed", broken)


def emit_from_hook(monkeypatch):
    def emit(context, event):
        context.emit("book.seen", {"id": event.key})

    replace_function(monkeypatch, "refuseCursed", emit)


def replace_function(monkeypatch, name, function):
    original = functions.load_function

    def load(config, folder, wanted):
        return function if wanted == name else original(config, folder, wanted)

    monkeypatch.setattr("byron.sink.apply.load_function", load)
