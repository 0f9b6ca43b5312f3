"""What pytest shows of a test that fails: the test, the function at fault, the reason, and little else."""

from __future__ import annotations

import re

import pytest

#: Whose frames nobody wants to see.
ELSEWHERE = ("site-packages", "byron/sink", "byron/api", "byron/events", "byron/commands", "byron/testing")

#: What the cases begin with.
HEAD = """
from byron.testing import event

BOOK = dict(title="Emma", genre="DRAMA", author="a1", tags=[])
ADA = event("new.author", id="a1", full_name="Ada", born_on=None)

@pytest.fixture
def replace(monkeypatch):
    def replace(module, function):
        monkeypatch.setattr(f"library.{module}.{module.rpartition('.')[2]}", function, raising=False)
    return replace
"""

CASES = {
    "a declared handler breaks a unique value": (
        """
def test_it(component):
    component.given(ADA, *(event("shelf.made", id=each, label="A", count=1) for each in "12"))
""",
        [
            "IntegrityError: UNIQUE constraint failed: library_shelf.label",
            "In the handler shelfMade of shelf.made 2, at position 3 of the log",
        ],
    ),
    "a written handler breaks a unique value": (
        """
def test_it(component):
    component.given(ADA, event("new.author", id="a2", full_name="Ada", born_on=None))
""",
        [
            "ctx.db.Author.objects.create(**event.payload)",
            "IntegrityError: UNIQUE constraint failed: library_author.full_name",
            "In the handler newAuthor of new.author a2, at position 2 of the log",
        ],
    ),
    "an event does not fit its declaration": (
        """
def test_it(component):
    component.given(event("new.book", id="b1", title="Emma"))
""",
        ["EventError: The event new.book does not fit Book: Object missing required field `genre`."],
    ),
    "a handler fails after another event": (
        """
def new_author(ctx, event):
    if event.key == "a2":
        raise ValueError("no shelf is left")

def test_it(component, replace):
    replace("sink.handlers.new_author", new_author)
    component.given(ADA, event("new.author", id="a2", full_name="Bob", born_on=None))
""",
        ['raise ValueError("no shelf is left")', "In the handler newAuthor of new.author a2, at position 2"],
    ),
    "a handler fails after another event in a system": (
        """
def new_author(ctx, event):
    if event.key == "a2":
        raise ValueError("no shelf is left")

def test_it(system, replace):
    replace("sink.handlers.new_author", new_author)
    system.library.publish(ADA, event("new.author", id="a2", full_name="Bob", born_on=None))
    system.settle()
""",
        ['raise ValueError("no shelf is left")', "In the handler newAuthor of new.author a2, at position 2"],
    ),
    "the chosen ids are used up": (
        """
def test_it(component):
    component.choose_ids("1")
    component.mutate("addBook", data=BOOK)
    component.mutate("addBook", data=BOOK)
""",
        ["LookupError: The test chose 1 id, which is used up: 1. Choose more."],
    ),
    "a command raises": (
        """
def how_many(ctx):
    raise RuntimeError("nobody counts")

def test_it(component, replace):
    replace("api.commands.how_many", how_many)
    component.query("howMany")
""",
        ['raise RuntimeError("nobody counts")', "INTERNAL_ERROR: RuntimeError: nobody counts, raised at"],
    ),
    "a command raises, and the test says what it must emit": (
        """
def how_many(ctx):
    raise RuntimeError("nobody counts")

def test_it(component, replace):
    replace("api.commands.how_many", how_many)
    component.when("howMany").then()
""",
        ['raise RuntimeError("nobody counts")', "INTERNAL_ERROR: RuntimeError: nobody counts, raised at"],
    ),
    "a command has no function": (
        """
def test_it(component, monkeypatch):
    from library.api.commands import how_many
    monkeypatch.delattr(how_many, "how_many")
    component.query("howMany")
""",
        ["INTERNAL_ERROR: ContractError: library/api/commands/how_many.py has no function how_many; schema.yaml"],
    ),
    "a command takes other arguments": (
        """
def test_it(component, replace):
    replace("api.commands.create_author", lambda ctx, full_name: None)
    component.mutate("createAuthor", full_name="Ada")
""",
        ["INTERNAL_ERROR: TypeError: ", "got an unexpected keyword argument 'born_on'"],
    ),
    "a command's file is no Python": (
        """
def test_it(component, monkeypatch, tmp_path):
    import sys
    from library.api import commands
    (tmp_path / "how_many.py").write_text("def how_many(ctx:\\n    return 1\\n")
    monkeypatch.delitem(sys.modules, "library.api.commands.how_many", raising=False)
    monkeypatch.setattr(commands, "__path__", [str(tmp_path), *commands.__path__])
    component.query("howMany")
""",
        ["INTERNAL_ERROR: SyntaxError: '(' was never closed (how_many.py, line 1)"],
    ),
    "a handler reads": (
        """
def new_author(ctx, event):
    print(list(ctx.db.Author.objects.all()))

def test_it(component, replace):
    replace("sink.handlers.new_author", new_author)
    component.given(ADA)
""",
        ["print(list(ctx.db.Author.objects.all()))", "CacheReadError: ", "In the handler newAuthor of new.author a1"],
    ),
}


@pytest.mark.parametrize(("text", "told"), CASES.values(), ids=CASES)
def test_a_report_shows_the_reason_and_no_frames_of_byron_or_of_libraries(run_tests, text, told):
    report = report_of(run_tests(HEAD + text))

    for line in told:
        assert line in report
    assert not any(folder in report for folder in ELSEWHERE), report
    assert len(report.splitlines()) <= 25, report


def test_a_full_trace_has_all_frames(run_tests):
    text, told = CASES["a declared handler breaks a unique value"]
    report = run_tests(HEAD + text, "--full-trace")

    assert all(each in report for each in told), report
    assert "byron/sink/batch.py" in report and "byron/testing/component.py" in report


def test_an_error_that_led_to_another_is_shown_by_the_project_s_lines_too(run_tests):
    text = """
def new_author(ctx, event):
    try:
        ctx.db.Author.objects.create(id="a1", full_name=None)
    except Exception as error:
        raise ValueError("no shelf is left") from error

def test_it(component, replace):
    replace("sink.handlers.new_author", new_author)
    component.given(ADA)
"""
    report = report_of(run_tests(HEAD + text))

    assert report.count("NOT NULL constraint failed") == 1, report
    assert re.search(r"> +ctx.db.Author.objects.create", report), report
    assert re.search(r'> +raise ValueError\("no shelf is left"\) from error', report), report
    assert not any(folder in report for folder in ELSEWHERE), report


def test_the_debugger_stops_in_the_test_or_in_the_project_s_function(run_tests):
    text = """
def new_author(ctx, event):
    raise ValueError("no shelf is left")

def test_then(component):
    component.when("createAuthor", fullName="Ada").then()

def test_then_error(component):
    component.when("createAuthor", fullName="Ada").then_error("CONFLICT")

def test_mutate(component):
    component.mutate("addBook", data=BOOK | {"title": ""})

def test_settle(component, replace):
    replace("sink.handlers.new_author", new_author)
    component.publish(ADA)
    component.settle()
"""
    output = run_tests(HEAD + text, "--pdb", typed="continue\n" * 4)

    assert re.findall(r"^> .*/(\w+\.py)\(\d+\)(\w+)\(\)", output, re.MULTILINE) == [
        ("test_it.py", "test_then"),
        ("test_it.py", "test_then_error"),
        ("test_it.py", "test_mutate"),
        ("test_it.py", "new_author"),
    ], output


def report_of(output: str) -> str:
    """Return what pytest says of the one test that failed."""
    report = output.partition("FAILURES")[2].partition("short test summary")[0].splitlines()
    return "\n".join(report[1:-1])
