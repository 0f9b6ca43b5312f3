"""What `component.survives` tells when something is found, and in how many words."""

from __future__ import annotations

import itertools

import pytest

from byron.testing.events import event
from byron.testing.survival import SurvivalError

pytestmark = pytest.mark.django_db(databases=["library", "students"])

#: A shelf, an author, and what the handler `trouble` takes.
LOG = [
    event("shelf.made", id="s1", label="one", count=0, above=None),
    event("new.author", id="a1", full_name="Ada"),
    event("trouble.made", id="t1", shelf="s1"),
    event("trouble.made", id="t2", shelf="s1"),
]


@pytest.fixture
def emitting(library_handler):
    """The handler of trouble.made emits shelf.filled."""

    @library_handler
    def trouble(ctx, event):
        ctx.emit("shelf.filled", {"id": event.payload["shelf"]})


def told(component, *events, **options):
    with pytest.raises(SurvivalError) as failure:
        component.survives(*events, **options)
    return str(failure.value)


# The handlers.

FILLED = "shelfFilled (library/sink/handlers/shelf_filled.py)"
TROUBLE = "trouble (library/sink/handlers/trouble.py)"
AUTHOR = "newAuthor (library/sink/handlers/new_author.py)"


def test_the_handler_of_an_emitted_event_is_named_first_when_its_key_differs(component, library_handler, emitting):
    seen = itertools.count()

    @library_handler
    def shelf_filled(ctx, event):
        ctx.db.Shelf.objects.filter(pk=event.key).update(count=next(seen))

    report = told(component, *LOG)
    assert f"\nThe handlers of the events of s1: {FILLED} and shelfMade.\n" in report
    assert f"\nThose of the others: {AUTHOR} and {TROUBLE}.\n" in report


def test_the_handler_that_emits_something_else_is_named_first(component, library_handler):
    seen = itertools.count()

    @library_handler
    def trouble(ctx, event):
        ctx.emit("shelf.filled", {"id": event.payload["shelf"], "count": 1, "noted": next(seen)})

    report = told(component, *LOG)
    assert "emitted about s1, because of t1:" in report
    assert f"\nThe handlers of the events of t1 and t2: {TROUBLE}.\nThose of the others: {AUTHOR}, " in report


def test_without_an_event_of_what_differs_all_handlers_are_named_at_once(component, library_handler):
    seen = itertools.count()

    @library_handler
    def trouble(ctx, event):
        ctx.db.Shelf.objects.create(id=f"x{next(seen)}", label="x", count=0)

    report = told(component, *LOG[:3])
    assert f"\nThe handlers of these events: {AUTHOR}, {TROUBLE} and shelfMade.\n" in report


# What does not come to an end.


@pytest.mark.parametrize("number", [1, 2, 5])
def test_an_endless_cascade_names_its_events_and_their_handlers(component, library_handler, emitting, number):
    @library_handler
    def shelf_filled(ctx, event):
        ctx.emit("shelf.filled", dict(event.payload))

    report = told(component, *(event("trouble.made", id=f"t{each}", shelf="s1") for each in range(number)))
    assert report.startswith("An endless cascade: shelf.filled, emitted by Library, leads to itself, ")
    assert report.endswith(f"\nThe handlers of these events: {FILLED}.")


def test_several_events_that_lead_to_one_another_are_all_named(component, library_handler, emitting):
    @library_handler
    def shelf_filled(ctx, event):
        for number in range(2):
            ctx.emit("trouble.made", {"id": f"t{number}", "shelf": "s1"})

    report = told(component, *LOG)
    first, second = (f"    {name}, emitted by Library\n" for name in ("trouble.made", "shelf.filled"))
    assert first + second + first in report or second + first + second in report
    assert FILLED in report.splitlines()[-1] and TROUBLE in report.splitlines()[-1]


def test_very_many_emitted_events_that_lead_to_none_are_told_by_name(component, library_handler):
    @library_handler
    def trouble(ctx, event):
        for number in range(500):
            ctx.emit("lot.drawn", {"id": f"l{number}"})

    report = told(component, event("trouble.made", id="t1"))
    assert report.startswith("Library did not come to an end: its handlers emitted 500 events, most often lot.drawn")
    assert report.endswith(f"\nThe handlers of these events: {TROUBLE}.")
