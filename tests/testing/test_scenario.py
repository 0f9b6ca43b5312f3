"""Given, when, then; and what a failure says to someone who did not write the test."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from unittest.mock import ANY
from uuid import UUID

import pytest

from byron.events.clock import now
from byron.exceptions import CommandError, EventError
from byron.testing import event
from byron.testing.alike import alike
from byron.testing.answers import answers_differ
from byron.testing.log import EventLog

BOOK = {"title": "Emma", "genre": "DRAMA", "author": "a1", "tags": []}


def failure(action):
    """Return the message of the AssertionError that this raises."""
    with pytest.raises(AssertionError) as failed:
        action()
    return str(failed.value)


def test_a_command_emits_what_is_expected(component):
    component.when("addBook", data=BOOK).then(
        event("new.book", title="Emma", genre="DRAMA"), event("drama.added", id=ANY)
    )


def test_what_was_before_is_applied(component):
    given = component.given(event("new.author", id="a1", full_name="Ada", born_on=None))
    given.when("createAuthor", fullName="Ada").then_error("CONFLICT", "already exists")


def test_an_event_may_arrive_instead(component):
    scenario = component.given(event("new.book", id="b1", price=None, **BOOK)).when(event("book.gone", id="b1")).then()
    scenario.then_query("getBook", None, id="b1")


def test_a_query_answers(component):
    component.given(event("new.author", id="a1", full_name="Ada", born_on=None)).when("getAuthor", id="a1").then()
    assert component.when("getAuthor", id="a1").result == {"id": "a1", "fullName": "Ada", "bornOn": None}


def test_names_may_be_spelt_either_way_and_values_as_json_or_as_python_has_them(component):
    component.when("createAuthor", fullName="Ada", bornOn="1815-12-10").then(
        event("new.author", full_name="Ada", bornOn=datetime(1815, 12, 10).date())
    )
    component.when("createAuthor", fullName="Bob", bornOn="1815-12-10").then(
        event("new.author", {"fullName": "Bob"}, born_on="1815-12-10")
    )


def test_a_day_of_a_subclass_is_one(component):
    class Day(date):
        pass

    component.when("createAuthor", fullName="Ada", bornOn=Day(1815, 12, 10)).then(
        event("new.author", bornOn="1815-12-10")
    )
    component.publish(event("new.author", id="a2", full_name="Bob", born_on=Day(1815, 12, 10)))


def test_after_a_refusal_it_can_be_said_that_nothing_happened(component):
    ada = event("new.author", id="a1", full_name="Ada", born_on=None)
    refused = component.given(ada).when("createAuthor", fullName="Ada").then_error("CONFLICT")

    refused.then().settled().then_query("getAuthor", {"fullName": "Ada"}, id="a1")
    assert "+ " not in failure(lambda: refused.then(event("new.author")))
    assert "Expected was a result." in failure(lambda: refused.result)


def test_what_is_given_may_come_in_steps(component):
    scenario = component.given(event("new.author", id="a1", full_name="Ada", born_on=None))
    scenario.given(event("author.seen", id="a1", full_name="Eve")).then_query("getAuthor", {"id": "a1"}, id="a1")


def test_of_an_answer_what_is_named_counts(component):
    book = event("new.book", id="b1", price="12.50", **BOOK)
    scenario = component.given(book)

    scenario.then_query("getBook", {"title": "Emma", "price": "12.50"}, id="b1")
    scenario.then_query("listBooks", [{"genre": "DRAMA"}])
    told = failure(lambda: scenario.then_query("listBooks", [{"title": "Emma", "genre": "POETRY", "titel": "x"}]))
    assert told.splitlines()[1:] == [
        "  [0].genre: expected 'POETRY', found 'DRAMA'",
        '  [0].titel: Book has no titel; did you mean "title"? It has: id, title, genre, price, tags, author.',
    ]
    assert "missing" in failure(lambda: scenario.then_query("listBooks", [{}, {}]))
    assert "expected None" in failure(lambda: scenario.then_query("getBook", None, id="b1"))


@pytest.mark.parametrize(
    ("attribute", "told"),
    [
        ("author", "a reference, which `then_query` does not ask for: write a document for `component.graphql`"),
        ("shelf", "Book has no shelf. It has: id, title, genre, price, tags, author."),
    ],
)
def test_an_attribute_that_a_query_does_not_answer_is_told_with_the_remedy(component, attribute, told):
    scenario = component.given(event("new.book", id="b1", price=None, **BOOK))

    for query, place in (("listBooks", "[0]"), ("books", "nodes[0]")):
        row = {"title": "Emma", attribute: "a1"}
        expected = {"nodes": [row]} if query == "books" else [row]
        report = failure(lambda query=query, expected=expected: scenario.then_query(query, expected))
        assert report.splitlines()[1:] == [f"  {place}.{attribute}: {told}"]
    assert "node: expected [], and not there; did you mean" in failure(
        lambda: scenario.then_query("books", {"node": []})
    )
    page = {"pageInfo": {"hasNext": True}}
    assert "pageInfo.hasNext: expected True, and not there" in failure(lambda: scenario.then_query("books", page))


def test_rows_may_be_a_tuple_and_a_row_may_be_empty(component):
    scenario = component.given(event("new.book", id="b1", price=None, **BOOK))

    scenario.then_query("listBooks", ({"title": "Emma"},)).then_query("getBook", {}, id="b1")
    told = failure(lambda: scenario.then_query("listBooks", ({"title": "Persuasion"},)))
    assert told.splitlines()[1:] == ["  [0].title: expected 'Persuasion', found 'Emma'"]
    assert "expected {}, found None" in failure(lambda: scenario.then_query("getBook", {}, id="b2"))
    assert "7: Book has no 7. It has: id" in failure(lambda: scenario.then_query("getBook", {7: 1}, id="b1"))


def test_any_value_is_none_that_is_not_there(component):
    told = failure(lambda: component.when("createAuthor", fullName="Ada").then(event("new.author", fulName=ANY)))
    assert "fulName: expected <ANY>, found nothing; did you mean" in told
    assert component.events != [event("new.author", fulName=ANY)]


@pytest.mark.parametrize(
    ("expected", "found", "of_entities", "lines"),
    [
        ({"a": {"x": 1}}, {"a": {"x": 1, "y": 2}, "b": 3}, True, ["  a.y: 2, not expected"]),
        ({"x": 1}, {"x": 1, "y": 2}, False, ["  y: 2, not expected"]),
        ({"nodes": [{"a": 1}]}, {"nodes": [{"a": 1, "b": 2}], "pageInfo": {"hasNextPage": False}}, True, []),
        ([{"a": 1}], [{"a": 1}, {"a": 2}], True, ["  [1]: not expected; found a=2"]),
    ],
)
def test_of_entities_only_what_is_expected_counts(library, expected, found, of_entities, lines):
    kind = library.component.types["Book"] if of_entities else None
    assert answers_differ(expected, found, kind=kind) == lines


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("30.00", Decimal(30), True),
        ("30.01", Decimal(30), False),
        (Decimal(30), "30.0", True),
        ("2024-02-29T13:30:00+01:00", datetime(2024, 2, 29, 12, 30, tzinfo=UTC), True),
        ("2024-02-29", date(2024, 2, 29), True),
        ("2024-02-29T00:00:00Z", date(2024, 2, 29), False),
        ("0191D3C4-7a2b-7c3d-8e4f-5a6b7c8d9e0f", UUID("0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f"), True),
        ("x", Decimal(30), False),
        (0.1, Decimal("0.1"), True),
        (Decimal("0.10"), 0.1, True),
        (0.5, Decimal("0.50"), True),
        (1e22, Decimal(10**22), True),
        # What a command emits that makes a Decimal of a float.
        (0.1, Decimal(0.1), False),
        (0.1 + 0.2, Decimal("0.3"), False),
        (float("nan"), Decimal("NaN"), False),
        (float("inf"), Decimal(10**22), False),
        (30, Decimal("30.00"), True),
        (True, Decimal(1), False),
        (Decimal(1), True, False),
        (False, 0, False),
        (1, True, False),
        (1, 1.0, True),
        ([1, {"a": "1.50"}], [1, {"a": Decimal("1.5")}], True),
        ([1, {"a": 1}], [1, {"a": True}], False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (ANY, Decimal(30), True),
        ({"a": ANY}, {"a": [1]}, True),
    ],
    ids=str,
)
def test_values_are_alike_when_they_say_the_same(expected, found, same):
    assert alike(expected, found) is same


def test_a_float_is_read_alike_in_what_is_given_and_in_what_is_expected(component):
    component.choose_ids("b1", "b2")
    book = event("new.book", id="b1", price=0.1, **BOOK)

    component.given(book).then_query("getBook", {"price": "0.1"}, id="b1")
    component.when("addBook", data={**BOOK, "price": "0.10"}).then(book, event("drama.added"))
    assert component.events[:2] == [book, book]
    assert (component.events[1] != book) is False
    assert "price: expected 0.2, found Decimal('0.1')" in failure(
        lambda: component.when("addBook", data={**BOOK, "price": "0.1"}).then(event("new.book", price=0.2))
    )


def test_another_order_is_told_as_such(component):
    told = failure(lambda: component.when("addBook", data=BOOK).then(event("drama.added"), event("new.book")))
    assert "expected here, and emitted elsewhere" in told
    assert "emitted here, and expected elsewhere" in told
    assert "not emitted" not in told


def test_a_name_that_is_nearly_right_is_told(component):
    told = failure(lambda: component.when("createAuthor", fullName="Ada").then(event("new.autor")))
    assert 'new.autor()   expected, and not emitted; did you mean "new.author"?' in told


def test_scenarios_side_by_side_do_not_meet(component):
    ada = component.when("createAuthor", fullName="Ada")
    component.when("createAuthor", fullName="Bob").then(event("new.author", full_name="Bob"))
    ada.then(event("new.author", full_name="Ada"))


def test_only_what_came_of_it_counts(component, monkeypatch):
    def new_author(ctx, event):
        if "left" not in event.payload:
            ctx.emit("new.author", {**event.payload, "left": 0})

    monkeypatch.setattr("library.sink.handlers.new_author.new_author", new_author)
    component.mutate("createAuthor", fullName="Ada")
    bob = component.when("createAuthor", fullName="Bob")
    component.settle()

    bob.then(event("new.author", full_name="Bob"))
    bob.settled().then(event("new.author", full_name="Bob"), event("new.author", full_name="Bob", left=0))
    bob.when(event("new.author", id="a1", full_name="Eve")).then(event("new.author", full_name="Eve", left=0))


def test_what_differs_is_told_event_by_event(component):
    told = failure(
        lambda: component.when("addBook", data=BOOK).then(
            event("new.book", title="Persuasion", genre="DRAMA", titel="Emma"),
            event("shelf.full"),
            event("drama.added"),
        )
    )
    assert told == (
        "addBook emitted other events than expected:\n"
        "  ≠ new.book\n"
        "      title: expected 'Persuasion', found 'Emma'\n"
        "      titel: expected 'Emma', found nothing; did you mean \"title\"?\n"
        "  - shelf.full()   expected, and not emitted\n"
        "  = drama.added\n"
        "What handlers of new.book emit counts once it is settled: write `.settled().then(…)`."
    )


def test_a_then_before_the_handlers_have_run_says_so(component, monkeypatch):
    def new_author(ctx, event):
        if "left" not in event.payload:
            ctx.emit("author.left", {**event.payload, "left": 0})

    monkeypatch.setattr("library.sink.handlers.new_author.new_author", new_author)
    hint = "What handlers of new.author emit counts once it is settled: write `.settled().then(…)`."
    scenario = component.when("createAuthor", fullName="Ada")
    wanted = event("new.author", full_name="Ada"), event("author.left", left=0)

    assert failure(lambda: scenario.then(*wanted)).endswith(f"expected, and not emitted\n{hint}")
    component.settle()
    assert hint in failure(lambda: scenario.then(*wanted))
    scenario.settled().then(*wanted)
    assert "counts once" not in failure(lambda: scenario.then(*wanted, event("shelf.full")))


def test_nothing_is_said_of_handlers_that_emit_nothing_of_it(component):
    book = component.given(event("new.book", id="b1", price=None, **BOOK))
    # Its handler is declared, without hooks.
    assert "counts once" not in failure(
        lambda: book.when("removeBook", id="b1").then(event("book.gone"), event("shelf.full"))
    )
    author = component.when("createAuthor", fullName="Ada")
    assert "counts once" not in failure(lambda: author.then(event("new.autor")))
    assert "counts once" not in failure(lambda: author.then(event("new.author", full_name="Bob")))


def test_an_event_that_was_not_expected_is_told(component):
    component.choose_ids("b1")
    told = failure(lambda: component.when("addBook", data=BOOK).then(event("new.book")))
    assert told == (
        "addBook emitted other events than expected:\n"
        "  = new.book\n"
        "  + drama.added(id='b1')   emitted, and not expected"
    )


def test_a_key_is_compared_where_it_is_given(component):
    told = failure(lambda: component.when("createAuthor", fullName="Ada").then(event("new.author", key="k")))
    assert "key: expected 'k', found '" in told


def test_a_refusal_that_was_not_expected_is_told(component):
    told = failure(lambda: component.when("addBook", data={**BOOK, "title": " "}).then(event("new.book")))
    assert told == "addBook was refused:\n  NO_TITLE: A book needs a title.\nExpected was new.book."


def test_a_masked_error_is_told_with_what_is_behind_it(component):
    told = failure(lambda: component.when("closeLibrary", genre="POETRY").then())
    assert re.fullmatch(
        r"closeLibrary was refused:\n  INTERNAL_ERROR: RuntimeError: the poets' password is 'secret', raised at "
        r"tests/components/library/api/commands/close_library\.py:\d+\nExpected was success\.",
        told,
    )


@pytest.mark.parametrize(
    "step",
    [
        lambda refused: refused.result,
        lambda refused: refused.settled(),
        lambda refused: refused.then(),
        lambda refused: refused.then_query("howMany", 0),
    ],
)
def test_only_an_expected_refusal_passes(component, step):
    refused = component.when("addBook", data={**BOOK, "title": " "})
    assert "addBook was refused" in failure(lambda: step(refused))
    refused.then_error("NO_TITLE")


def test_an_event_that_nobody_handles_is_told(component):
    with pytest.raises(LookupError, match="Library handles no event 'new.bok'; did you mean \"new.book\""):
        component.given(event("new.bok", id="1"))
    with pytest.raises(LookupError, match="it handles: new.book"):
        component.when(event("shelf.full", id="1"))


def test_roles_are_a_list(component):
    with pytest.raises(TypeError, match=r"roles takes a list: write roles=\[\"teacher\"\]"):
        component.as_user("ada", roles="teacher")


def test_a_success_that_was_not_expected_is_told(component):
    component.choose_ids("a1")
    told = failure(lambda: component.when("createAuthor", fullName="Ada").then_error("CONFLICT"))
    assert told == (
        "createAuthor was expected to be refused with CONFLICT, but it returned "
        "{'id': 'a1', 'fullName': 'Ada', 'bornOn': None} and emitted\n"
        "  new.author(id='a1', full_name='Ada', born_on=None)"
    )


def test_another_refusal_than_expected_is_told(component):
    scenario = component.when("addBook", data={**BOOK, "title": ""})
    assert failure(lambda: scenario.then_error("CONFLICT")) == (
        "addBook was refused:\n  NO_TITLE: A book needs a title.\nExpected was CONFLICT."
    )
    assert "Expected was NO_TITLE: …too long…." in failure(lambda: scenario.then_error("NO_TITLE", "too long"))
    assert "Expected was" in failure(lambda: scenario.then_error("NO_TITLE", "NO_TITLE: A book"))


@pytest.mark.parametrize("code", ["NO_TITEL", "no_title", "NO_TITL"])
def test_a_code_that_is_nearly_right_is_told(component, code):
    scenario = component.when("addBook", data={**BOOK, "title": ""})
    told = failure(lambda: scenario.then_error(code))
    assert told.endswith(f'\nExpected was {code}; did you mean "NO_TITLE"?')


@pytest.mark.parametrize("given", [("",), (None,), (7,), ("NO_TITLE", None), ("NO_TITLE", 7)], ids=str)
def test_what_a_refusal_says_is_text(component, given):
    scenario = component.when("addBook", data={**BOOK, "title": ""})
    with pytest.raises(ValueError, match=rf"^{given[-1]!r} is no text of a refusal: write then_error\(\"CONFLICT\", "):
        scenario.then_error(*given)
    scenario.then_error("NO_TITLE")


def test_another_answer_than_expected_is_told(component):
    told = failure(lambda: component.when("createAuthor", fullName="Ada").then_query("howMany", 2))
    assert told == "howMany answers otherwise than expected:\n  expected 2, found 0"


def test_of_an_answer_with_many_rows_only_what_differs_is_told(component):
    titles = [f"Book {number:02}" for number in range(20)]
    scenario = component.given(*(event("new.book", id=t, **BOOK | {"title": t}) for t in titles))
    expected = scenario.when("listBooks").result
    expected[3]["title"], expected[4]["id"] = "Emma", "b"

    told = failure(lambda: scenario.then_query("listBooks", expected)).splitlines()
    assert told[:2] == [
        "listBooks answers otherwise than expected:",
        "  [id Book 03].title: expected 'Emma', found 'Book 03'",
    ]
    assert told[2].startswith("  [id b]: missing; expected id='b', title='Book 04'")
    assert told[3].startswith("  [id Book 04]: not expected; found id='Book 04'")
    assert len(told) == 4
    assert "order" in failure(lambda: scenario.then_query("listBooks", scenario.when("listBooks").result[::-1]))


def test_events_of_one_name_are_told_by_those_that_fit_best(component):
    component.choose_ids("b1", "b2")
    told = failure(
        lambda: component.when("addBook", data={**BOOK, "genre": "POETRY"}).then(
            event("new.book", id="b0"), event("new.book", id="b1", title="Emma")
        )
    )
    assert told == (
        "addBook emitted other events than expected:\n  - new.book(id='b0')   expected, and not emitted\n  = new.book"
    )


def test_each_when_is_about_itself(component):
    scenario = component.when("addBook", data={**BOOK, "title": " "}).then_error("NO_TITLE")
    scenario.when("addBook", data=BOOK)
    assert "was expected to be refused with NO_TITLE, but it returned" in failure(
        lambda: scenario.then_error("NO_TITLE")
    )
    scenario.when("addBook", data={**BOOK, "title": " "})
    assert "addBook was refused" in failure(lambda: scenario.result)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("then", lambda scenario: scenario.then()),
        ("then_error", lambda scenario: scenario.then_error("CONFLICT")),
        ("result", lambda scenario: scenario.result),
    ],
)
def test_without_a_when_there_is_nothing_to_tell(component, name, step):
    scenario = component.given(event("new.author", id="a1", full_name="Ada", born_on=None))
    assert failure(lambda: step(scenario)) == (
        f"`{name}` is about what a `when` did, and there was none in this scenario."
    )
    scenario.then_query("getAuthor", {"id": "a1", "fullName": "Ada", "bornOn": None}, id="a1")


def test_a_command_meets_the_cache_as_it_is(component):
    """What another command emitted is not applied before: in production two may follow one another as fast."""
    component.mutate("addBook", data={**BOOK, "genre": "POETRY"})
    assert component.when("howMany").result == 0
    component.settle()
    assert component.when("howMany").result == 1


def test_what_is_emitted_equals_an_event_by_what_is_expected_of_it(component):
    component.choose_ids("b1")
    component.mutate("addBook", data=BOOK)

    assert component.events == [event("new.book", title="Emma", genre="DRAMA"), event("drama.added", id="b1")]
    assert component.events[0] != event("new.book", title="Persuasion")
    assert component.events[0] != event("drama.added")
    assert component.events[0] != event("new.book", key="b2")
    assert event("new.book", id="b1") != event("new.book", id="b1", title="Emma")
    assert repr(event("book.gone", id="b1")) == "book.gone(id='b1')"


def test_the_same_event_may_happen_again(component):
    seen = event("author.seen", id="a1", full_name="Ada")

    component.given(seen, seen).when(seen).then()
    assert component.events == [seen, seen, seen]
    component.survives(seen, examples=1)


def test_an_event_of_the_log_cannot_happen_again(component):
    component.given(event("author.seen", id="a1", full_name="Ada"))
    with pytest.raises(ValueError, match=r"The log has author\.seen\(id='a1'.* already, and takes an event once\."):
        component.publish(*component.events)


def test_an_attribute_is_given_once():
    with pytest.raises(
        TypeError, match=r"^new\.author has id twice: in the mapping, and by name\. Leave one of them out"
    ):
        event("new.author", {"id": "a1"}, id="a2")
    with pytest.raises(TypeError, match=r"^new\.author has full_name twice: in the mapping as fullName, and by name\."):
        event("new.author", {"fullName": "Ada"}, full_name="Ada")


def test_an_event_that_nobody_knows_is_not_published(component):
    with pytest.raises(LookupError, match="handles or declares an event 'new.bok'; did you mean \"new.book\""):
        component.publish(event("new.bok", id="1"))
    assert component.events == []


@pytest.mark.parametrize("step", ["given", "publish", "survives", "then"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("book.gone", r"'book.gone' is no event; write event\('book.gone', …\), of byron.testing"),
        ([event("book.gone", id="1")], r"is no event; events are given one by one: put a \* before the list"),
        (event, r'is no event; it makes them: write event\("new.student", …\)'),
        (7, r"7 is no event; they are made by event\(…\), of byron.testing"),
    ],
    ids=["text", "list", "function", "number"],
)
def test_what_is_no_event_is_told_with_the_remedy(component, step, given, told):
    scenario = component.when("howMany")
    with pytest.raises(TypeError, match=told):
        getattr(scenario if step == "then" else component, step)(given)


def test_an_event_is_no_command(component):
    with pytest.raises(LookupError, match=r"'new.book' is an event, and no command: write event\('new.book', …\)"):
        component.when("new.book", id="1")


def test_an_event_takes_its_attributes_itself(component):
    with pytest.raises(TypeError, match=r"book.gone takes no id, title here: write event\('book.gone', …\)"):
        component.when(event("book.gone"), id="b1", title="Emma")


@pytest.mark.parametrize(
    "wrong", [None, 7, event, [event("book.gone", id="1")]], ids=["none", "number", "maker", "list"]
)
def test_what_is_neither_a_command_nor_an_event_is_told(component, wrong):
    for begun in (component, component.when("howMany")):
        with pytest.raises(
            TypeError, match=r'is no command and no event: write when\("createStudent", …\) or when\(ev'
        ):
            begun.when(wrong)
    for step in (component.run, component.query, component.mutate):
        with pytest.raises(TypeError, match=r"is no name of a \w+; write it as schema\.yaml does"):
            step(wrong)


def test_a_when_is_about_one_thing(component):
    seen = event("author.seen", id="a1", full_name="Ada")
    for begun in (component, component.given(seen)):
        with pytest.raises(TypeError, match=r"^`when` is about one event: give the earlier ones to given\(…\)"):
            begun.when(seen, seen)
        with pytest.raises(TypeError, match=r"^createAuthor takes its arguments by name: full_name, born_on$"):
            begun.when("createAuthor", "Ada")
        with pytest.raises(TypeError, match=r"^howMany takes its arguments by name: none$"):
            begun.when("howMany", 1)
        with pytest.raises(LookupError, match="declares no command 'createAutor'"):
            begun.when("createAutor", "Ada")
    assert component.events == [seen]


def test_an_unknown_command_is_told_with_those_there_are(component):
    with pytest.raises(
        LookupError, match="declares no command 'addBok'; did you mean \"addBook\".* It declares: listBooks, getBook"
    ):
        component.when("addBok")


def test_an_event_that_breaks_its_declaration_is_refused(component):
    with pytest.raises(EventError, match=r"does not fit Book: Object missing required field `genre`"):
        component.given(event("new.book", id="1", title="x"))


def test_an_event_without_a_key_is_refused(component):
    with pytest.raises(EventError, match=r"payload of book\.gone has no 'id'"):
        component.given(event("book.gone"))


# Chosen ids and a stopped clock.


def test_ids_are_those_chosen(component):
    component.choose_ids("42", "43")
    assert component.mutate("createAuthor", fullName="Ada")["id"] == "42"
    assert component.mutate("createAuthor", fullName="Bob")["id"] == "43"
    told = "INTERNAL_ERROR: LookupError: The test chose 2 ids, which are used up: 42, 43. Choose more."
    assert told in failure(lambda: component.when("createAuthor", fullName="Cy").then())
    assert told in failure(lambda: component.when("createAuthor", fullName="Cy").then())


def test_ids_are_counted_when_none_is_chosen(component):
    component.choose_ids()
    assert [component.mutate("createAuthor", fullName=name)["id"] for name in "abc"] == ["1", "2", "3"]


def test_ids_of_another_test_are_forgotten(component):
    assert len(component.mutate("createAuthor", fullName="Ada")["id"]) == 36


def test_events_have_the_time_that_the_clock_was_stopped_at(component):
    component.stop_clock("2024-02-29T12:30:00+01:00")
    component.mutate("createAuthor", fullName="Ada")
    assert component.events[0].time == datetime(2024, 2, 29, 11, 30, tzinfo=UTC)
    component.when("createAuthor", fullName="Bob").then(event("new.author"))
    assert now().tzinfo is UTC
    with pytest.raises(ValueError, match="has no zone"):
        component.stop_clock("2024-02-29T12:30:00")
    for wrong in (7, "29.2.2024"):
        with pytest.raises(ValueError, match=f"{wrong!r} is no moment; write it as 2024-02-29T12:30:00Z"):
            component.stop_clock(wrong)


#: Written when the file is read, as those of most tests are.
WRITTEN_BEFORE = event("new.author", id="a7", full_name="Ada", born_on=None)


def test_a_written_event_happens_when_it_is_published(component):
    component.mutate("createAuthor", fullName="Bob")
    component.publish(WRITTEN_BEFORE)
    component.stop_clock("2999-02-28T12:30:00Z")
    component.publish(WRITTEN_BEFORE)
    [emitted, first, second] = component.events
    assert emitted.time <= first.time
    assert second.time == datetime(2999, 2, 28, 12, 30, tzinfo=UTC)


def test_a_written_event_may_be_given_a_time(component):
    moment = datetime(2001, 1, 1, tzinfo=UTC)
    component.publish(replace(WRITTEN_BEFORE, time=moment))
    assert [each.time for each in component.events] == [moment]


def test_an_event_that_was_read_keeps_its_time(component, system):
    system.students.mutate("createStudent", name="Ada", course="CS", ingress=1832)
    [read] = system.students.events
    component.stop_clock("2024-02-29T12:30:00Z")
    EventLog(component.config.component, component.broker).append([read])
    assert component.events[0].time == read.time


def test_chosen_ids_are_texts(component):
    with pytest.raises(TypeError, match=r'Ids are texts: write choose_ids\("42", "43"\), not 42'):
        component.choose_ids(42)


# Examples.


def test_the_example_of_everything_that_is_declared_is_taken(component, library):
    # One that fails on purpose, and events that nothing describes.
    done = component.examples(skip=["closeLibrary", "new.author", "trouble.made", "shelf.filled"])

    assert {"new.book", "everything.made", "book.gone"} <= set(done)
    assert {command.name for command in library.component.content.commands} - set(done) == {"closeLibrary"}


def test_what_does_not_take_its_example_is_told(component, monkeypatch):
    def broken(ctx):
        return "many"

    def refuse(ctx, event):
        raise RuntimeError("no such author")

    monkeypatch.setattr("library.api.commands.how_many.how_many", broken)
    monkeypatch.setattr("library.hooks.refuse_cursed.refuse_cursed", refuse)
    told = failure(component.examples)

    assert "the event new.book with {'id': '42', 'title': 'some title', 'genre': 'POETRY'" in told
    assert "RuntimeError: no such author" in told
    assert "the query howMany with {}: INTERNAL_ERROR" in told
    assert "createAuthor" not in told


def test_what_is_not_written_yet_and_what_has_no_example_is_told(component, monkeypatch):
    def unwritten(ctx):
        raise CommandError("howMany is not written yet: library/api/commands/how_many.py.", code="NOT_IMPLEMENTED")

    monkeypatch.setattr("library.api.commands.how_many.how_many", unwritten)
    told = failure(lambda: component.examples(skip=["closeLibrary", "new.author", "shelf.filled"]))

    assert told.splitlines()[1:] == [
        "  the query howMany with {}: NOT_IMPLEMENTED: howMany is not written yet: library/api/commands/how_many.py.",
        "  the event trouble.made: nothing tells what it carries; declare it under events:, or leave it out by "
        "skip=['trouble.made']",
    ]


def test_hooks_that_are_not_written_yet_are_told(component, monkeypatch):
    monkeypatch.setattr("library.hooks.refuse_cursed.refuse_cursed", lambda ctx, event: ctx.unwritten())
    monkeypatch.setattr("library.hooks.welcome.welcome", lambda ctx, result: ctx.unwritten())
    told = failure(lambda: component.examples(skip=["closeLibrary", "new.author", "shelf.filled", "trouble.made"]))

    assert told.splitlines()[1:] == [
        "  the hook refuseCursed of new.book: it is not written yet; it only calls ctx.unwritten()",
        "  the hook welcome of addBook: it is not written yet; it only calls ctx.unwritten()",
    ]


def test_a_hook_of_several_is_told_of_one_that_is_not_left_out(component, monkeypatch):
    monkeypatch.setattr("library.hooks.normalize_title.normalize_title", lambda ctx, given: ctx.unwritten())
    monkeypatch.setattr(
        "library.sink.handlers.new_author.new_author", lambda ctx, event: ctx.unwritten(), raising=False
    )
    skip = ["closeLibrary", "shelf.filled", "trouble.made", "author.seen"]
    told = failure(lambda: component.examples(skip=skip))
    assert "  the hook normalizeTitle of addBook: it is not written yet; it only calls ctx.unwritten()" in told


def test_a_handler_is_told_whose_event_only_a_command_emits(component, monkeypatch):
    monkeypatch.setattr(
        "library.sink.handlers.new_author.new_author", lambda ctx, event: ctx.unwritten(), raising=False
    )
    # The example of author.seen would be in the way.
    skip = ["closeLibrary", "shelf.filled", "trouble.made", "author.seen"]
    told = failure(lambda: component.examples(skip=skip))

    unwritten = ": it is not written yet; it only calls ctx.unwritten()"
    assert f"  the handler newAuthor of new.author{unwritten}" in told.splitlines()


def test_a_command_may_say_that_it_is_not_written_yet(component, monkeypatch, caplog):
    monkeypatch.setattr("library.api.commands.how_many.how_many", lambda ctx: ctx.unwritten() or 1)
    told = failure(lambda: component.examples(skip=["closeLibrary", "new.author", "shelf.filled", "trouble.made"]))

    assert told.splitlines()[1:] == ["  the command howMany: it is not written yet; it only calls ctx.unwritten()"]
    assert "the command howMany is not written: nothing done for howMany" in caplog.text


def test_only_what_is_declared_is_left_out_of_the_examples(component):
    with pytest.raises(LookupError, match="declares no command and no event 'addBok'; did you mean \"addBook\""):
        component.examples(skip=["addBok"])
    with pytest.raises(TypeError, match=r'skip takes a list: write skip=\["addBook"\]'):
        component.examples(skip="addBook")
