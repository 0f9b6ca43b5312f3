"""The pytest plugin in projects of other kinds: what it takes care of, and what it leaves alone."""

from __future__ import annotations

import pytest

OTHERS = """
@pytest.fixture
def component():
    return "mine"

@pytest.fixture
def system(component):
    return component

def test_mine(system):
    assert system == "mine"
"""


def test_a_test_that_names_no_database_gets_the_components(run_tests):
    told = run_tests("""
from django.apps import apps

@pytest.mark.django_db
def test_marked():
    assert apps.get_model("library", "Book").objects.using("library").count() == 0

@pytest.mark.django_db
def test_marked_with_component(component):
    component.settle()

@pytest.mark.django_db(transaction=True)
def test_marked_with_more(component):
    component.settle()

def test_by_fixture(db):
    assert apps.get_model("library", "Book").objects.using("library").count() == 0

def test_after_them(component):
    component.settle()
""")
    assert "5 passed" in told, told


def test_a_marker_that_names_databases_is_left_alone(run_tests):
    told = run_tests("""
@pytest.mark.django_db(databases=["library"])
def test_it():
    from django.apps import apps
    apps.get_model("students", "Student").objects.using("students").count()
""")
    assert "Database queries to 'students' are not allowed in this test." in told


AFTER_IT = """
def test_after_it(component):
    component.mutate("createAuthor", fullName="Ada")
    component.settle()
"""


@pytest.mark.parametrize(
    "text",
    [
        """
@pytest.mark.django_db(databases="__all__")
def test_it(component):
    from django.apps import apps
    assert apps.get_model("library", "Book").objects.using("library").count() == 0
    assert apps.get_model("students", "Student").objects.using("students").count() == 0
""",
        """
@pytest.mark.django_db(False, False, "__all__")
def test_it(component): pass
""",
        """
from django.test import TestCase

class TestNothing(TestCase):
    def test_it(self): pass
""",
        """
from django.apps import apps
from django.test import TestCase, TransactionTestCase

class TestBooks(TransactionTestCase):
    databases = "__all__"

    def test_it(self):
        assert apps.get_model("library", "Book").objects.using("library").count() == 0
""",
    ],
    ids=["marker of all", "marker by position", "TestCase", "TestCase of all"],
)
def test_the_usual_ways_of_django_leave_the_empty_default_alone(run_tests, text):
    told = run_tests(text + AFTER_IT)
    assert "2 passed in" in told, told


@pytest.mark.parametrize(
    "text",
    [
        """
@pytest.mark.django_db(databases=["default"])
def test_it(component): pass
""",
        """
from django.test import TestCase

class TestBooks(TestCase):
    databases = {"default", "library"}

    def test_it(self): pass

    def test_more(self): pass
""",
        """
from django.test import TestCase

class TestBooks(TestCase):
    databases = {"default"}

    def test_it(self): pass
""",
    ],
    ids=["marker", "TestCase", "TestCase of default alone"],
)
def test_whoever_names_the_empty_default_is_told_and_later_tests_have_their_databases(run_tests, text):
    told = run_tests(text + AFTER_IT)
    assert f"1 passed, {text.count('def test')} error" in told, told
    refusal = "names the database `default`, which the project leaves empty: write databases=['library', 'students']."
    assert refusal in told, told


def test_fixtures_of_others_may_have_the_same_names(run_tests):
    assert "1 passed" in run_tests(OTHERS, settings="")
    assert "1 passed" in run_tests(OTHERS, "-p", "no:django")


def test_a_fixture_that_builds_upon_ours_gets_the_databases(run_tests):
    told = run_tests("""
@pytest.fixture
def component(component):
    component.settle()
    return component

def test_it(component):
    assert component.events == []
""")
    assert "1 passed" in told, told


@pytest.mark.parametrize("fixture", ["component", "system"])
@pytest.mark.parametrize("settings", ["", "tests.settings"], ids=["no settings", "no plugin of Django"])
def test_without_django_the_fixtures_say_what_is_missing(run_tests, fixture, settings):
    options = ["-p", "no:django"] if settings else []
    told = run_tests(f"def test_it({fixture}): pass\n\ndef test_other(): pass", *options, settings=settings)

    assert "1 passed, 1 error" in told, told
    assert "The fixtures `component` and `system` need Django: set DJANGO_SETTINGS_MODULE" in told
    assert "INTERNALERROR" not in told


def test_real_is_for_system_and_takes_its_seconds_by_name(run_tests):
    told = run_tests("""
@pytest.mark.real
def test_component(component): pass

@pytest.mark.real(5)
def test_seconds(system): pass
""")
    assert "`real` is for the fixture `system`: ask for system.… in place of `component`." in told
    assert "The marker `real` takes seconds by name: @pytest.mark.real(patience=90)" in told


def test_a_refusal_that_the_test_says_nothing_of_fails_it(run_tests):
    told = run_tests("""
BOOK = dict(title=" ", genre="DRAMA", author="a1", tags=[])

def test_last(component):
    component.when("addBook", data=BOOK)

def test_before_another(component):
    component.when("addBook", data=BOOK).when("createAuthor", fullName="Ada").then()

def test_a_mistake(component):
    component.when("closeLibrary", genre="POETRY")

def test_in_a_system(system):
    system.library.as_user("ada").when("addBook", data=BOOK)

def test_said(component, system):
    component.when("addBook", data=BOOK).then_error("NO_TITLE")

def test_failed_by_itself(component):
    component.when("addBook", data=BOOK)
    assert 1 == 2
""")
    assert "5 failed, 1 passed" in told, told
    refused = "addBook was refused:\n  NO_TITLE: A book needs a title.\nExpected was success, since no `then_error`"
    assert told.partition("short test summary")[0].count(refused) == 2, told
    assert "During handling of" not in told
    assert "INTERNAL_ERROR: RuntimeError: the poets' password is 'secret', raised at" in told
    assert "assert 1 == 2" in told


def test_a_refusal_in_a_fixture_s_teardown_is_told(run_tests):
    told = run_tests("""
BOOK = dict(title=" ", genre="DRAMA", author="a1", tags=[])

@pytest.fixture
def late(component):
    yield component
    component.as_user("ada").when("addBook", data=BOOK)

@pytest.fixture
def late_system(system):
    yield system
    system.library.when("addBook", data=BOOK)

@pytest.fixture
def said(component):
    yield component
    component.when("addBook", data=BOOK).then_error("NO_TITLE")

def test_passes(late):
    pass

def test_of_a_system(late_system):
    pass

def test_is_told_once(component):
    component.when("addBook", data=BOOK)

def test_says_so(said):
    said.when("addBook", data=BOOK).then_error("NO_TITLE")

def test_failed_by_itself(component):
    component.when("addBook", data=BOOK)
    assert 1 == 2

def test_without_a_component():
    pass
""")
    assert "2 failed, 4 passed, 2 errors" in told, told
    assert "ERROR at teardown of test_passes" in told
    assert "ERROR at teardown of test_of_a_system" in told
    refused = "addBook was refused:\n  NO_TITLE: A book needs a title.\nExpected was success, since no `then_error`"
    assert told.partition("short test summary")[0].count(refused) == 3, told


def test_an_outage_that_never_begins_is_told(run_tests):
    told = run_tests("""
def test_without_with(system):
    system.down("library")
    system.settle()

def test_with_it(system):
    away = system.down("library")
    with away:
        assert system.library.is_down
    assert not system.library.is_down
""")
    assert "1 failed, 1 passed" in told, told
    assert 'system.down("library") did nothing: write `with system.down("library"):`' in told


def test_component_and_system_are_one(run_tests):
    told = run_tests("""
def test_it(component, system):
    component.mutate("createAuthor", fullName="Ada")
    assert component is system[component.config.label]
    assert len(system.events) == 1
    assert system.settle() == 1

@pytest.fixture
def ada(component):
    return component.mutate("createAuthor", fullName="Ada")

def test_by_a_fixture(ada, system):
    assert [event.key for event in system.events] == [ada["id"]]
""")
    assert "2 passed" in told, told


def test_a_report_shows_the_test_and_the_reason(run_tests):
    told = run_tests("""
def test_it(component):
    component.mutate("addBook", data=dict(title=" ", genre="DRAMA", author="a1", tags=[]))
""")
    report = told.partition("FAILURES")[2].partition("short test summary")[0].splitlines()
    assert len([line for line in report if line.strip()]) <= 9, told
    assert "NO_TITLE: A book needs a title." in told
    assert "Raised at" in told
    assert "normalize_title.py:" in told


def test_a_handler_s_error_is_shown_where_it_was_raised(run_tests):
    told = run_tests("""
def test_it(component, monkeypatch):
    def new_author(ctx, event):
        raise ValueError("no shelf is left")

    monkeypatch.setattr("library.sink.handlers.new_author.new_author", new_author)
    component.choose_ids("a1")
    component.mutate("createAuthor", fullName="Ada")
    component.settle()
""")
    report = told.partition("FAILURES")[2].partition("short test summary")[0]
    assert 'raise ValueError("no shelf is left")' in report, told
    assert "In the handler newAuthor of new.author a1, at position 1 of the log" in report
    assert "byron/sink" not in report
    assert len(report.splitlines()) < 35, told


def test_events_that_differ_are_told_apart_one_by_one(run_tests):
    told = run_tests("""
from byron.testing import event

def test_it(component):
    component.choose_ids("a1")
    component.mutate("createAuthor", fullName="Ada")
    assert component.events == [event("new.author", fullName="Bob")]

def test_other_lists():
    assert [1] == [2]
""")
    assert "≠ new.author" in told, told
    assert "fullName: expected 'Bob', found 'Ada'" in told
    assert "correlation_id" not in told
    assert "At index 0 diff: 1 != 2" in told


def test_what_a_test_asks_for_too_late_is_told(run_tests):
    told = run_tests("""
def test_it(request):
    request.getfixturevalue("component")

def test_after_a_component(component, request):
    request.getfixturevalue("system")
""")
    assert "Name `system` among the test's arguments" in told
    assert "Name `component` among the test's arguments, or those of a fixture that it names." in told


def test_real_is_refused_where_it_does_nothing(run_tests):
    told = run_tests(
        """
@pytest.mark.real
def test_it(): pass

@pytest.mark.parametrize("seconds", [pytest.param(each, marks=pytest.mark.real(patience=each)) for each in WRONG])
def test_patience(system, seconds): pass
""".replace("WRONG", "['x', -1, 0, True, float('nan'), float('inf')]")
    )
    assert "`real` is for tests of the fixture `system`, which this one does not ask for." in told
    assert told.count("takes seconds by name: @pytest.mark.real(patience=90)\n") >= 6, told
    assert "7 errors" in told, told


def test_also_real_is_for_system(run_tests):
    told = run_tests("""
@pytest.mark.also_real
def test_component(component): pass
""")
    assert "`real` is for the fixture `system`: ask for system.… in place of `component`." in told
