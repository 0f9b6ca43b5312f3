"""One transaction of the Sink: what handlers may do to it, and what is left of it when it fails."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext

from byron.cache.roles import Role, acting_as


def book(ctx, identity):
    return ctx.db.Book.objects.create(id=identity, title=identity, genre="POETRY", author="a", tags=[])


def books(bench):
    return sorted(bench.model("Book").values_list("id", flat=True))


@pytest.mark.parametrize("others", [0, 2])
def test_a_handler_that_swallows_a_database_error_is_not_taken_for_applied(bench, handle, others):
    def new_author(ctx, event):
        book(ctx, event.payload["id"])
        try:
            ctx.db.Author.objects.create(id=event.payload["id"], full_name="the same")
        except IntegrityError:
            ctx.emit("author.known", {"id": event.payload["id"]})

    bench.model("Author").create(id="0", full_name="the same")
    handle("newAuthor", new_author)
    bench.author("a")
    for number in range(others):
        bench.publish("author.seen", {"id": f"s{number}", "fullName": f"s{number}"})
    bench.run()

    # Django undoes the savepoint, and so the book, when it ends after such an error.
    assert books(bench) == []
    assert [(row.position, row.state) for row in bench.parked] == [(1, "retrying")]
    assert not [m for m in bench.broker.messages if m.subject.endswith(".author.known")]


def test_a_handler_that_has_its_transaction_rolled_back_is_not_taken_for_applied(bench, handle):
    def new_author(ctx, event):
        book(ctx, event.payload["id"])
        if event.payload["id"] == "b":
            transaction.set_rollback(True, using="library")

    handle("newAuthor", new_author)
    for identity in "abc":
        bench.author(identity)
    bench.run()

    assert books(bench) == ["a", "c"]
    assert [row.position for row in bench.parked] == [2]


def test_a_handler_may_catch_a_database_error_around_a_savepoint_of_its_own(bench, handle):
    def new_author(ctx, event):
        book(ctx, event.payload["id"])
        try:
            with transaction.atomic(using="library"):
                ctx.db.Author.objects.create(id=event.payload["id"], full_name="the same")
        except IntegrityError:
            ctx.emit("author.known", {"id": event.payload["id"]})

    handle("newAuthor", new_author)
    for identity in "abc":
        bench.author(identity)
    bench.run()

    assert (books(bench), bench.authors, bench.parked) == (["a", "b", "c"], ["a"], [])
    assert [m.position for m in bench.broker.messages if m.subject.endswith(".author.known")] == [4, 5]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_row_that_is_changed_after_it_was_created_is_stored_as_it_was_created(bench, handle, count):
    def new_author(ctx, event):
        made = ctx.db.Author.objects.create(**event.payload)
        # For the emission alone, say.
        made.full_name += ", changed"

    handle("newAuthor", new_author)
    for number in range(count):
        bench.author(str(number))
    bench.run()

    assert bench.parked == []
    assert list(bench.model("Author").order_by("id").values_list("full_name", flat=True)) == [
        f"Author {number}" for number in range(count)
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_a_list_that_is_changed_after_a_row_was_created_with_it_is_stored_as_it_was(bench, handle, count):
    def new_author(ctx, event):
        tags = ["one"]
        ctx.db.Book.objects.create(id=event.payload["id"], title="t", genre="POETRY", author="a", tags=tags)
        tags.append("two")

    handle("newAuthor", new_author)
    for number in range(count):
        bench.author(str(number))
    bench.run()

    assert [each.tags for each in bench.model("Book")] == [["one"]] * count


def test_rows_that_handlers_create_are_stored_together(bench):
    for number in range(20):
        bench.author(str(number))
    with CaptureQueriesContext(connections["library"]) as captured:
        bench.run()

    inserts = [query["sql"] for query in captured if query["sql"].startswith('INSERT INTO "library_author"')]
    assert len(inserts) == 1
    assert len(bench.authors) == 20


def test_a_handler_sees_what_earlier_events_of_its_batch_stored(bench, handle):
    seen = []

    def new_author(ctx, event):
        seen.append(ctx.db.Author.objects.select_for_update().count())
        ctx.db.Author.objects.create(**event.payload)

    handle("newAuthor", new_author)
    for identity in "abc":
        bench.author(identity)
    bench.run()

    assert seen == [0, 1, 2]


def test_the_emissions_of_a_batch_that_the_database_refused_are_not_stored_by_a_retry(bench, handle, failures):
    failures.emits = True
    failures.add("parked")
    bench.author("parked")
    worker = bench.run()
    failures.clear()

    def trouble(ctx, event):
        raise OperationalError("the database went away")

    handle("trouble", trouble)
    bench.author("lost")
    bench.publish("trouble.made", {"id": "t"})
    with acting_as(Role.SINK), pytest.raises(OperationalError, match="went away"):
        worker.batches.apply(bench.broker.messages)
    assert bench.retry(worker, "parked") == (1, None)

    assert bench.authors == ["parked"]
    assert [row.cause_position for row in bench.outbox] == [1]


def test_the_database_s_trouble_stores_nothing_and_parks_nothing(bench, handle):
    def trouble(ctx, event):
        raise OperationalError("the database went away")

    handle("trouble", trouble)
    bench.author("a")
    bench.publish("trouble.made", {"id": "t"})
    with pytest.raises(OperationalError, match="went away"):
        bench.run()

    assert (bench.authors, bench.parked, bench.position) == ([], [], 0)


def test_trouble_while_events_are_applied_one_by_one_stores_nothing_and_parks_nothing(bench, handle, failures):
    failures.add("a")
    seen = []

    def trouble(ctx, event):
        seen.append(event.position)
        raise OperationalError("the database went away")

    handle("trouble", trouble)
    bench.author("a")
    bench.publish("trouble.made", {"id": "t"})
    with pytest.raises(OperationalError, match="went away"):
        bench.run()

    # The first attempt ended at the event before it.
    assert (failures.called, seen) == (["a", "a"], [2])
    assert (bench.authors, bench.parked, bench.position) == ([], [], 0)


def test_trouble_during_a_retry_leaves_all_as_it_was(bench, handle, failures):
    failures.add("k1")
    bench.author("k1", key="k")
    bench.publish("trouble.made", {"id": "t"}, key="k")
    worker = bench.run()
    before = list(bench.rows().values("state", "tries", "error", "next_try"))
    failures.clear()

    def trouble(ctx, event):
        raise OperationalError("the database went away")

    handle("trouble", trouble)
    # More often than an event may end processes: this process lives on, and the event is not to blame.
    for _ in range(7):
        with pytest.raises(OperationalError, match="went away"):
            bench.retry(worker, "k")

    after = list(bench.rows().values("state", "tries", "error", "next_try"))
    assert (bench.authors, after) == ([], before)


class Death(KeyboardInterrupt):
    """Stands for the end of the process: nothing of Byron's runs after it."""


def next_process(bench):
    worker = bench.worker(lives=False)
    with acting_as(Role.SINK):
        assert worker.take()
    return worker


def die_in_a_retry(bench, key):
    with pytest.raises(Death):
        bench.retry(next_process(bench), key)


def test_a_parked_event_that_ends_the_process_when_it_is_retried_is_found_and_parked(bench, handle, failures):
    failures.add("k1")
    for identity in ("k1", "k2"):
        bench.author(identity, key="k")
    bench.publish("trouble.made", {"id": "t"}, key="k")
    bench.author("k4", key="k")
    bench.run()
    failures.clear()

    def end(ctx, event):
        raise Death

    handle("trouble", end)
    die_in_a_retry(bench, "k")
    assert bench.authors == []
    # Which of the four it was nobody knows: the next processes try them one by one.
    survivor = next_process(bench)
    assert bench.retry(survivor, "k") == (1, None)
    assert bench.retry(survivor, "k") == (1, None)
    assert bench.authors == ["k1", "k2"]
    for _ in range(4):
        die_in_a_retry(bench, "k")

    applied, problem = bench.retry(next_process(bench), "k")

    assert applied == 0 and "5 processes ended" in problem.summary
    assert bench.states == [(3, "parked"), (4, "behind")]
    assert set(bench.rows().values_list("begun", flat=True)) == {0, 1}


def test_processes_that_end_for_other_reasons_do_not_make_a_parked_event_a_killer(bench, failures):
    failures.add("k1")
    bench.author("k1", key="k")
    bench.author("k2", key="k")
    bench.run()
    for _ in range(7):
        # Each process tries, says that it failed, and is gone.
        bench.retry(next_process(bench), "k")
        assert list(bench.rows().values_list("begun", flat=True)) == [0, 0]


def undo_after(worker, method, monkeypatch):
    """Have the transaction of a method of the worker's parking rolled back right after it, once."""
    original = getattr(worker.effects.parking, method)

    def undone(*args):
        monkeypatch.undo()
        original(*args)
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(worker.effects.parking, method, undone)


def test_a_try_whose_begin_was_rolled_back_begins_again(bench, handle):
    def end(ctx, event):
        raise Death

    def fail(ctx, event):
        raise RuntimeError

    handle("newAuthor", fail)
    bench.author("k1", key="k")
    bench.run()
    handle("newAuthor", end)
    worker = next_process(bench)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OperationalError):
        undo_after(worker, "begin", patch)
        bench.retry(worker, "k")

    with pytest.raises(Death):
        bench.retry(worker, "k")

    assert [row.begun for row in bench.parked] == [1]


def test_a_try_whose_end_was_rolled_back_is_no_death(bench, failures):
    failures.add("k1")
    bench.author("k1", key="k")
    bench.author("k2", key="k")
    bench.run()
    failures.clear()
    worker = next_process(bench)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OperationalError):
        undo_after(worker, "survive", patch)
        bench.retry(worker, "k")
    assert [row.begun for row in bench.parked] == [1, 1]

    assert bench.retry(worker, "k") == (2, None)


def test_a_batch_of_what_is_applied_already_does_nothing(bench, failures):
    for identity in "abc":
        bench.author(identity)
    worker = bench.run()
    failures.called.clear()
    with acting_as(Role.SINK):
        assert worker.batches.apply(bench.broker.messages[:2]) == 2
        assert worker.batches.apply(bench.broker.messages) == 3

    assert (failures.called, bench.position) == ([], 3)


def test_of_a_batch_that_is_partly_applied_only_the_rest_is_done(bench, failures):
    for identity in "abcd":
        bench.author(identity)
    messages = bench.broker.messages
    worker = bench.worker(lives=False)
    with acting_as(Role.SINK):
        worker.take()
        worker.batches.apply(messages[:2])
        assert worker.batches.apply(messages) == 4

    assert failures.called == ["a", "b", "c", "d"]


def test_an_event_that_nobody_handles_moves_the_checkpoint_only(bench):
    bench.publish("nobody.cares", {"id": "n"})
    worker = bench.worker(lives=False)
    with acting_as(Role.SINK):
        worker.take()
        assert worker.batches.apply(bench.broker.messages) == 1

    assert (bench.position, bench.parked) == (1, [])
