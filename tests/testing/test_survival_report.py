"""What `component.survives` tells when something is found, and in how many words."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.db.models import F

from byron.testing.events import event
from byron.testing.survival import SurvivalError
from tests.processes import PATIENCE, PRINTING

ROOT = Path(__file__).parents[2]

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


# The words.


def test_the_events_are_listed_up_to_ten_and_of_more_the_first_and_the_last(component, library_handler):
    @library_handler
    def trouble(ctx, event):
        ctx.db.Shelf.objects.update(count=7)

    authors = [event("new.author", id=f"a{number}", full_name=f"Author {number}") for number in range(10)]
    shelf, ten = LOG[0], "new.author a0, new.author a1, new.author a2, new.author a3, new.author a4, new.author a5, "
    report = told(component, *authors[:8], shelf, LOG[2])
    assert f"not end the same: {ten}new.author a6, new.author a7, shelf.made s1 and trouble.made t1.\n" in report
    assert f" 1. The log has {ten}new.author a6, new.author a7, trouble.made t1 and shelf.made s1, in this" in report

    report = told(component, *authors, shelf, LOG[2])
    five = ten.removesuffix("new.author a5, ")
    assert f"{five}3 more, new.author a8, new.author a9, trouble.made t1 and shelf.made s1, in this order." in report


def test_several_events_that_are_late_enter_the_log(component, library_handler, emitting):
    @library_handler
    def shelf_filled(ctx, event):
        ctx.db.Shelf.objects.filter(pk=event.key, label="two").update(count=F("count") + 1)

    log = [LOG[0], event("shelf.changed", id="s1", label="two"), *LOG[1:]]
    report = told(component, *log)
    assert "  5. shelf.made s1 and shelf.changed s1 enter the log only now.\n" in report


def test_a_version_that_is_not_that_of_the_last_event_is_told(component, library_handler):
    @library_handler
    def trouble(ctx, event):
        ctx.db.Shelf.objects.create(id="s1", label="one", count=1)

    report = told(component, event("trouble.made", id="t1"), event("shelf.filled", id="s1", count=1))
    assert "\n      version: expected the position of the last event, found 0\n" in report


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


# How long the reports of pytest are.

#: A frame of a package.
BYRONS = r"(byron|hypothesis|django)/\S+\.py:\d+: "

#: pytest shows less of errors that come from the test's own file than of others.
HANDLER = """
import itertools

seen = itertools.count()

def trouble_made(ctx, event):
"""

TEST = """
from byron.commands.functions import load_function
from byron.testing.events import event
from handlers_of_it import trouble_made
from library.sink.handlers import trouble

LOG = [
    event("shelf.made", id="s1", label="one", count=0, above=None),
    event("new.author", id="a1", full_name="Ada"),
    event("trouble.made", id="t1", shelf="s1"),
]

def test_it(component, monkeypatch):
    load_function.cache_clear()
    monkeypatch.setattr(trouble, "trouble", trouble_made)
"""


@pytest.fixture
def report_of(tmp_path):
    """Run one test, given as the lines of a handler and what it survives; return what pytest prints of its failure."""

    def run(handler, events="*LOG"):
        (tmp_path / "handlers_of_it.py").write_text(HANDLER + "\n".join(f"    {line}" for line in handler))
        (tmp_path / "test_it.py").write_text(f"{TEST}    component.survives({events})\n")
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        own = ("DJANGO_", "PYTEST_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(own) and key not in PRINTING}
        paths = os.pathsep.join([str(ROOT), str(ROOT / "tests/components")])
        plugins = ["-p", "byron.testing.plugin", "-p", "pytest_django.plugin", "-p", "no:cacheprovider"]
        out = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", *plugins, "test_it.py"],
            cwd=tmp_path,
            env=kept
            | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        ).stdout
        assert "1 failed" in out, out
        return out.partition("FAILURES")[2].partition("short test summary")[0].splitlines()[1:-1]

    return run


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (['ctx.db.Shelf.objects.filter(pk="s1").update(count=7)'], "Library does not end the same"),
        (['ctx.db.Shelf.objects.filter(pk="s1").update(count=next(seen))'], "applied twice in the same way"),
        (['raise ValueError("no shelf")'], "ValueError: no shelf"),
        (['ctx.db.Shelf.objects.create(id="s2", label="one", count=0)'], "IntegrityError: UNIQUE"),
        (['ctx.db.Shelf.objects.get(pk="s1")'], "cannot apply these events"),
        (["raise SystemExit(1)"], "HandlerEndedError: It raised SystemExit(1)"),
        (['error = ValueError("no shelf")', "raise error from error"], "ValueError: no shelf"),
        (['ctx.emit("trouble.made", dict(event.payload))'], "An endless cascade"),
    ],
    ids=["order", "global", "raises", "database", "read", "exit", "own cause", "cascade"],
)
def test_a_report_shows_the_test_the_handler_and_the_reason_alone(report_of, handler, reason):
    lines = report_of(handler)
    text = "\n".join(lines)
    assert reason in text
    assert len(lines) <= 30, text
    assert not re.search(BYRONS, text), text
    assert ("trouble_made(ctx, event)" in text) == ("cannot apply" in text)


def test_an_error_that_a_handler_has_caught_before_is_shown(report_of):
    handler = ["try:", "    {}[1]", "except KeyError as error:", '    raise ValueError("no shelf") from error']
    text = "\n".join(report_of(handler))
    assert text.count("trouble_made(ctx, event)") == 2
    assert text.index("E           KeyError: 1") < text.index("E           ValueError: no shelf")
    assert not re.search(BYRONS, text), text


def test_a_report_of_a_generated_schedule_is_short(report_of):
    # They are of one key, so that nothing but an event that is late makes the difference.
    filled = [
        'event("shelf.made", id="s1", label="one", count=0, above=None)',
        'event("trouble.made", id="s1")',
        'event("shelf.filled", id="s1", count=1)',
    ]
    lines = report_of(['ctx.emit("shelf.filled", {"id": "s1", "count": 5})'], ", ".join(filled))
    text = "\n".join(lines)
    assert "shelf.filled s1 enters the log only now." in text
    assert len(lines) <= 30, text
    assert "exploration.py" not in text and "explore" not in text


def test_a_report_on_events_that_declared_handlers_refuse_is_short(report_of):
    lines = report_of(["pass"], '*LOG, event("shelf.made", id="s2", label="one", count=0, above=None)')
    assert any("IntegrityError" in line for line in lines)
    assert len(lines) <= 30, "\n".join(lines)
