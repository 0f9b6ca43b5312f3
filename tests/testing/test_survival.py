"""What `component.survives` finds, what it lets pass, and how it tells."""

from __future__ import annotations

import itertools
import sys
import uuid
from datetime import UTC, datetime

import pytest
from django.db import IntegrityError
from django.db.models import F

from byron.exceptions import MissingExtraError
from byron.testing.events import event
from byron.testing.survival import SurvivalError, proof
from byron.testing.survival.faults import Faults
from byron.testing.survival.sweeps import groups

pytestmark = pytest.mark.django_db(databases=["library", "students"])


def student(identity, **changes):
    """`new.student` about a student, as the handler `store` takes it."""
    return event("new.student", id=identity, **{"name": f"Student {identity}", "course": "CS", "ingress": 0} | changes)


def store(ctx, event):
    ctx.db.Student.objects.update_or_create(
        pk=event.key, defaults={name: event.payload[name] for name in ("name", "course", "ingress")}
    )


def library_log():
    return [
        *(event("new.author", id=f"a{number}", full_name=f"Author {number}") for number in range(4)),
        event("author.seen", id="a1", full_name="Ada"),
        event("new.book", id="b1", title="one", genre="DRAMA", author="a1", tags=["x"], price="1.50"),
        event("new.book", id="b2", title="two", genre="POETRY", author="a9", tags=[]),
        event("book.renamed", id="b1", title="uno"),
        event("book.gone", id="b2"),
        event("new.book", id="b1", title="eins", genre="DRAMA", author="a1", tags=["y"]),
    ]


# What is right passes.


def test_the_library_survives(component):
    component.survives(*library_log())


def test_a_counter_survives(students, handler):
    @handler
    def count(ctx, event):
        ctx.db.Student.objects.get_or_create(pk=event.key, defaults={"name": "", "course": "", "ingress": 0})
        ctx.db.Student.objects.filter(pk=event.key).update(ingress=F("ingress") + 1)

    students.survives(*(student(identity) for identity in "aabcab"))


def test_a_handler_that_emits_survives(students, handler):
    @handler
    def welcome(ctx, event):
        store(ctx, event)
        ctx.emit("student.welcomed", {"id": event.key, "name": event.payload["name"]})
        ctx.emit("course.taken", {"id": event.payload["course"], "student": event.key})

    students.survives(student("a"), student("b"), student("a", name="Ada"), student("c", course="Math"))


def test_a_saga_that_handles_what_it_emits_survives(students, handler):
    @handler
    def hop(ctx, event):
        store(ctx, event)
        if event.payload["ingress"]:
            ctx.emit("new.student", {**event.payload, "id": f"{event.key}'", "ingress": event.payload["ingress"] - 1})

    students.survives(student("a", ingress=2), student("b", ingress=1))


def test_what_commands_emitted_is_survived_before_what_is_given(students, handler):
    handler(store)
    made = students.mutate("createStudent", name="Ada", course="CS", ingress=1)

    students.survives(student(made["id"], name="Bob"))
    students.survives()


def test_order_across_keys_may_matter_in_one_lane(students, handler):
    @handler
    def rank(ctx, event):
        store(ctx, event)
        ctx.db.Student.objects.filter(pk=event.key).update(ingress=event.position)
        for other in ctx.db.Student.objects.select_for_update().exclude(pk=event.key):
            ctx.db.Student.objects.filter(pk=other.pk).update(course=f"{other.course} {event.key}")

    with pytest.raises(SurvivalError, match="across_keys=False"):
        students.survives(student("a"), student("b"), student("c"))


def test_nothing_is_left_behind(students, handler):
    handler(store)
    students.mutate("createStudent", name="Ada", course="CS", ingress=1)
    students.survives(student("x"), examples=5)

    assert len(students.events) == 1
    assert students.settle() == 1
    assert [each["name"] for each in students.query("getStudents")] == ["Ada"]


def test_a_handler_that_fails_until_another_key_is_there_survives_by_retries(students, handler):
    @handler
    def advise(ctx, event):
        if event.payload["course"] == "advice":
            ctx.db.Student.objects.select_for_update().get(pk=event.payload["name"])
        store(ctx, event)

    students.survives(student("a"), student("x", course="advice", name="a"))


# How it is used.


def test_it_tries_the_same_each_time_and_something_else_for_each_seed(students, handler):
    def stories(seed=None):
        told = []

        @handler
        def remember(ctx, event):
            told.append((event.key, event.position))
            store(ctx, event)

        students.survives(student("a"), student("b"), student("c"), examples=8, seed=seed)
        return told

    first = stories()
    assert stories() == first
    assert stories(seed=1) == stories(seed=1) != first


@pytest.fixture
def ends(monkeypatch):
    """Before what processes end, without the schedules that are generated: first in batches, then one by one."""
    told, end = [], Faults.end

    def noting(faults, what):
        told.append(what)
        end(faults, what)

    monkeypatch.setattr(Faults, "end", noting)
    monkeypatch.setattr(proof, "_explorer", lambda: lambda *args, **options: None)
    return told


@pytest.mark.parametrize("number", [1, 5, 20])
def test_a_process_ends_before_each_step(students, handler, ends, number):
    @handler
    def welcome(ctx, event):
        store(ctx, event)
        ctx.emit("student.welcomed", {"id": event.key})

    students.survives(*(student(each) for each in range(number)))

    batches = -(-number // 10)
    sizes = [10, 2, 1] if 2 < number <= 6 else [10, 1]
    for each in range(number):
        assert ends.count(f"the handler of new.student {each}") == len(sizes)
    turns = batches + number + (-(-number // 2) if 2 in sizes else 0)
    assert ends.count("it acknowledges what it has stored") == turns
    # Those of taking the lane, once for each size, and of the events.
    assert ends.count("the commit") >= len(sizes) + turns
    assert ends.count("it removes from the outbox what it has published") >= turns
    assert sum(each.endswith(("is published", "are published")) for each in ends) >= turns
    assert number == 1 or any(" and " in each and each.endswith("are published") for each in ends)
    assert ends.count("it makes the lane's checkpoint") == len(sizes)
    assert "it makes a note about the lane" in ends or number == 1


def test_of_many_events_the_first_steps_of_batches_and_each_one_by_one_are_tried(students, handler, ends):
    handler(store)
    students.survives(*(student(each) for each in range(50)))

    found = [ends.count(f"the handler of new.student {each}") for each in range(50)]
    assert found == [2] * 8 + [1] * 42


def test_what_only_ends_before_all_steps_do_is_told_by_the_single_end_that_does_it(students, handler):
    numbers = itertools.count()

    @handler
    def number(ctx, event):
        nonlocal numbers
        if event.key == "a":
            numbers = itertools.count()
        store(ctx, event)
        ctx.db.Student.objects.filter(pk=event.key).update(ingress=next(numbers))

    report = found(students, student("a"), student("b"))
    assert report.count("The process ends before") == 1
    assert "The process ends before the commit." in report


def test_an_event_that_is_not_handled_is_an_error_that_lists_the_others(students):
    with pytest.raises(LookupError, match="Student handles no event 'new.studnt'; it handles: new.student"):
        students.survives(event("new.studnt", id="1"))


@pytest.mark.parametrize("examples", [0, -1, 1.5, "30", None, True])
def test_examples_that_are_no_number_are_an_error_that_says_what_they_are(students, examples):
    wanted = rf"examples=…\) takes how many schedules to generate, from 1 on, not {examples!r}; 30 without it\.$"
    with pytest.raises(ValueError, match=wanted):
        students.survives(student("a"), examples=examples)


@pytest.mark.parametrize("seed", ["7", 1.5, [1], False])
def test_a_seed_that_is_no_number_is_an_error(students, seed):
    with pytest.raises(ValueError, match=r"seed=…\) takes a whole number, such as seed=7, not "):
        students.survives(student("a"), seed=seed)


def test_nothing_to_survive_is_an_error(students):
    with pytest.raises(LookupError, match="There are no events to survive"):
        students.survives()


def test_without_hypothesis_it_says_what_to_install(students, monkeypatch):
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, "byron.testing.survival.exploration", raising=False)

    with pytest.raises(MissingExtraError, match=r"pip install 'byron-framework\[test\]'"):
        students.survives(student("a"))


def test_handlers_that_emit_without_an_end_are_told(students, handler):
    @handler
    def echo(ctx, event):
        ctx.emit("new.student", dict(event.payload))

    told = found(students, student("a"))
    assert told.startswith("An endless cascade: new.student, emitted by Student, leads to itself, 301 times")
    assert "\n    new.student, emitted by Student\n    new.student, emitted by Student\n" in told


# What is wrong is found.


def found(component, *events, **options):
    with pytest.raises(SurvivalError) as failure:
        component.survives(*events, **options)
    return str(failure.value)


def test_the_clock_is_found(students, handler):
    @handler
    def stamp(ctx, event):
        store(ctx, event)
        ctx.db.Student.objects.filter(pk=event.key).update(course=datetime.now(UTC).isoformat())

    report = found(students, student("a"), student("b"))
    assert "applied twice in the same way" in report


def test_a_random_id_is_found(students, handler):
    @handler
    def add(ctx, event):
        ctx.db.Student.objects.create(id=str(uuid.uuid4()), name=event.key, course="", ingress=0)

    assert "applied twice in the same way" in found(students, student("a"))


def test_a_random_payload_is_found(students, handler):
    @handler
    def draw(ctx, event):
        ctx.emit("lot.drawn", {"id": event.key, "lot": str(uuid.uuid4())})

    assert "emitted about a" in found(students, student("a"))


def test_a_global_is_found(students, handler):
    numbers = itertools.count()

    @handler
    def number(ctx, event):
        store(ctx, event)
        ctx.db.Student.objects.filter(pk=event.key).update(ingress=next(numbers))

    assert "remembers in a global" in found(students, student("a"))


def test_a_global_that_remembers_only_what_is_new_is_found(students, handler):
    seen = set()

    @handler
    def once(ctx, event):
        if event.id not in seen:
            store(ctx, event)
        seen.add(event.id)

    found(students, student("a"))


def test_a_global_that_is_forgotten_with_the_first_event_is_found(students, handler):
    count = itertools.count()

    @handler
    def number(ctx, event):
        nonlocal count
        if event.key == "a":
            count = itertools.count()
        store(ctx, event)
        ctx.db.Student.objects.filter(pk=event.key).update(ingress=next(count))

    found(students, student("a"), student("b"), student("c"), across_keys=False)


def test_order_across_keys_is_found(students, handler):
    @handler
    def advise(ctx, event):
        if event.payload["course"] == "advice":
            ctx.db.Student.objects.filter(pk=event.payload["name"]).update(ingress=1)
        else:
            store(ctx, event)

    report = found(students, student("a"), student("x", course="advice", name="a"))
    # As docs/howto/testing.md shows it.
    assert report.startswith("""\
Student does not end the same: new.student a and new.student x.

What happened:
  1. The log has new.student x and new.student a, in this order.
  2. The Sink applies new.student x and new.student a in one batch.

What is not as when they are applied one by one, in this order:
  Student a:
      ingress: expected 1, found 0

The handlers of these events: newStudent (students/sink/handlers/new_student.py).
Order is kept within a key only: """)
    assert "across_keys=False" in report
    students.survives(student("a"), student("x", course="advice", name="a"), across_keys=False)


@pytest.fixture
def filled_by_an_emitted_event(library_handler):
    """A shelf is counted up because of an event of another key, by one in between."""

    @library_handler
    def trouble(ctx, event):
        ctx.emit("shelf.filled", {"id": event.payload["shelf"]})

    @library_handler
    def shelf_filled(ctx, event):
        ctx.db.Shelf.objects.filter(pk=event.key).update(count=F("count") + 1)


def filling(length):
    """A log in which the first event is lost on what the third one has emitted, when it comes late."""
    return [
        event("shelf.made", id="s1", label="one", count=0, above=None),
        event("new.author", id="a1", full_name="Ada"),
        event("trouble.made", id="t1", shelf="s1"),
        event("author.seen", id="a1", full_name="Ada L."),
        event("new.book", id="b1", title="one", genre="DRAMA", author="a1", tags=[]),
        event("book.renamed", id="b1", title="uno"),
        event("book.gone", id="b1"),
        *(event("new.author", id=f"a{number}", full_name=f"Author {number}") for number in range(7, length)),
    ][:length]


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("length", [3, 5, 8, 20])
def test_a_key_that_is_later_than_what_another_one_emitted_is_found(
    component, filled_by_an_emitted_event, length, seed
):
    report = found(component, *filling(length), seed=seed)
    assert "shelf.made s1 enters the log only now." in report
    assert "\n  Shelf s1:\n      count: expected 1, found 0\n" in report
    assert "across_keys=False" in report


def test_of_more_keys_than_there_is_time_for_each_one_is_late(component, filled_by_an_emitted_event, monkeypatch):
    monkeypatch.setattr(proof, "_explorer", lambda: lambda *args, **options: None)
    shelf, author, trouble, *others = filling(60)

    report = found(component, author, *others, trouble, shelf)
    assert "shelf.made s1 enters the log only now." in report


def test_keys_that_may_be_late_are_all_there_in_as_many_groups_as_there_is_time_for():
    log = [("s1", "made"), ("a1", "born"), ("a2", "born"), ("s2", "made"), ("t1", "troubled"), ("s1", "filled")]
    assert groups(log, 400) == [["s1"], ["a1"], ["a2"], ["s2"], ["t1"]]
    assert groups(log, 4) == [["s1"], ["a1", "a2"], ["s2"], ["t1"]]
    assert groups(log, 0) == groups(log, 2) == [["s1", "a1", "a2"], ["s2", "t1"]]
    assert groups([(f"a{number}", "born") for number in range(5)], 2) == [["a0", "a1", "a2"], ["a3", "a4"]]
    assert groups(log[:1], 5) == [["s1"]]


def test_a_handler_that_goes_on_after_a_database_error_is_found(students, handler):
    @handler
    def swallow(ctx, event):
        try:
            ctx.db.Student.objects.create(pk=event.payload["name"], name="", course="", ingress=0)
        except IntegrityError:
            ctx.log.info("known")

    report = found(students, student("a", name="1"), student("b", name="1"))
    assert "one by one and without any fault" in report
    assert "went on after a database error" in report


def test_a_failing_handler_is_told_first(students, handler):
    @handler
    def fail(ctx, event):
        if event.key == "b":
            raise ValueError("no b")
        store(ctx, event)

    report = found(students, student("a"), student("b"))
    assert "cannot apply these events" in report
    assert "ValueError: no b" in report
    assert "position 2" in report


def test_a_write_to_another_database_is_found(students, handler, library):
    @handler
    def write_elsewhere(ctx, event):
        store(ctx, event)
        author = library.get_model("Author").objects.using("library")
        number = author.select_for_update().count()
        author.create(id=f"{event.key}{number}", full_name=f"{event.key}{number}")

    assert "library.Author" in found(students, student("a"), student("b"), across_keys=False)


def test_an_order_of_what_is_emitted_and_what_is_given_is_found(students, handler):
    @handler
    def retract(ctx, event):
        if event.payload["course"] == "gone":
            ctx.db.Student.objects.filter(pk=event.key).delete()
        else:
            store(ctx, event)
        if event.payload["course"] == "first":
            ctx.emit("new.student", {**event.payload, "course": "second"})

    found(students, student("a", course="first"), student("a", course="gone"))


def test_what_its_handlers_emitted_before_is_to_come_again(students, handler):
    @handler
    def lucky(ctx, event):
        ctx.db.Student.objects.create(**event.payload)
        ctx.emit("student.noted", {"id": event.key, "luck": str(uuid.uuid4())})

    students.publish(student("a"))
    students.settle()
    assert len(students.events) == 2

    assert "student.noted" in found(students, examples=1)
