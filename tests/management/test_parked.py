"""`manage.py parked`: what people see and do about events that could not be applied."""

from __future__ import annotations

import io
import json

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command

from byron.cache.roles import Role, acting_as
from byron.models import ParkedEvent
from byron.sink.batch import BatchApplier
from byron.sink.effects import Effects
from byron.sink.lanes import Lane
from tests.conftest import add_books


@pytest.fixture
def parked(component, library, monkeypatch):
    """Two books whose hook failed, and one behind the first; gives a function that mends the hook."""
    [first, _] = add_books(component, "cursed", "cursed too")
    broken = {"now": True}

    def refuse_cursed(context, event):
        if broken["now"]:
            raise RuntimeError("this book is cursed\nreally")

    from byron.commands import functions

    original = functions.load_function

    def load(config, folder, name):
        return refuse_cursed if name == "refuseCursed" else original(config, folder, name)

    monkeypatch.setattr("byron.sink.apply.load_function", load)
    from tests.sink.test_runner import emit

    emit(component, "book.renamed", {"id": first, "title": "renamed"})
    with acting_as(Role.SINK):
        from byron.cache.checkpoint import take_slots

        lane = Lane(consumer=library.consumer_name)
        take_slots("library", library.consumer_name, lane.slots, "", lambda owner: False)
        BatchApplier(Effects(library, lane, owner=None)).apply(component.broker.messages)

    def mend():
        broken["now"] = False

    return mend


def run(capsys, *arguments, **options):
    call_command("parked", *arguments, component="library", **options)
    return capsys.readouterr().out


def test_the_list_says_what_is_parked_and_why(parked, capsys):
    lines = run(capsys, "list").splitlines()

    assert lines[0].split() == ["ID", "POSITION", "EVENT", "KEY", "STATE", "HANDLER", "TRIES", "ERROR"]
    assert [line.split()[1] for line in lines[1:]] == ["1", "2", "3"]
    assert [line.split()[4] for line in lines[1:]] == ["retrying", "retrying", "behind"]
    assert "newBook" in lines[1] and "RuntimeError: this book is cursed really" in lines[1]


def test_as_json_each_event_is_a_line(parked, capsys):
    found = [json.loads(line) for line in run(capsys, "list", json=True).splitlines()]

    assert [(each["position"], each["state"], each["handler"]) for each in found] == [
        (1, "retrying", "newBook"),
        (2, "retrying", "newBook"),
        (3, "behind", ""),
    ]


def test_show_prints_payload_and_traceback(parked, capsys):
    row = ParkedEvent.objects.using("library").order_by("position").first()
    printed = run(capsys, "show", str(row.pk))

    assert '"title":"cursed"' in printed
    assert "Traceback (most recent call last)" in printed
    assert json.loads(run(capsys, "show", str(row.pk), json=True))["headers"]["ce-type"] == "new.book"


def test_retry_applies_a_key_in_order_and_unparks_it(parked, capsys):
    parked()
    printed = run(capsys, "retry", all=True)

    assert "3 events applied, 0 keys still parked." in printed
    assert sorted(apps.get_model("library", "Book").objects.values_list("title", flat=True)) == [
        "cursed too",
        "renamed",
    ]
    assert "No event is parked." in run(capsys)


def test_a_retry_that_fails_says_why_and_ends_with_status_1(parked, capsys):
    with pytest.raises(SystemExit) as ended:
        run(capsys, "retry", handler="newBook")

    assert ended.value.code == 1
    printed = capsys.readouterr().out
    assert "applied 0, then failed again: RuntimeError: this book is cursed" in printed
    assert "0 events applied, 2 keys still parked." in printed


def test_a_key_chooses_its_events(parked, capsys):
    key = ParkedEvent.objects.using("library").get(position=2).key
    parked()

    assert "1 event applied" in run(capsys, "retry", key=key)
    assert ParkedEvent.objects.using("library").count() == 2


def test_discarded_events_are_passed_over_and_the_next_of_the_key_is_due(parked, capsys):
    rows = {row.position: row for row in ParkedEvent.objects.using("library")}
    assert "1 event discarded." in run(capsys, "discard", str(rows[1].pk), no_input=True)

    left = {row.position: row.state for row in ParkedEvent.objects.using("library")}
    assert left == {1: "discarded", 2: "retrying", 3: "retrying"}
    assert [line.split()[1] for line in run(capsys).splitlines()[1:]] == ["2", "3"]


def test_discarding_asks_first(parked, monkeypatch, capsys):
    monkeypatch.setattr("builtins.input", lambda: "n")
    with pytest.raises(CommandError, match="Nothing was discarded"):
        run(capsys, "discard", all=True)

    assert ParkedEvent.objects.using("library").filter(state="discarded").count() == 0


@pytest.mark.parametrize("chosen", [{"all": True}, {"handler": "newBook"}])
def test_what_is_set_aside_while_someone_is_asked_is_not_discarded(parked, monkeypatch, capsys, chosen):
    def answer():
        row = ParkedEvent.objects.using("library").get(position=1)
        row.pk, row.position, row.event_id = None, 4, "later"
        row.save(using="library", force_insert=True)
        return "y"

    asked = (
        len(run(capsys, "list", **{name: value for name, value in chosen.items() if name != "all"}).splitlines()) - 1
    )
    monkeypatch.setattr("builtins.input", answer)
    printed = run(capsys, "discard", **chosen)

    assert f"{asked} events discarded." in printed
    assert ParkedEvent.objects.using("library").get(position=4).state != "discarded"


def test_discarding_nothing_leaves_what_comes_meanwhile(parked, capsys):
    ParkedEvent.objects.using("library").all().delete()
    assert "0 events discarded." in run(capsys, "discard", all=True, no_input=True)


def test_where_nobody_can_answer_nothing_is_discarded(parked, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="nobody answered; --no-input does not ask"):
        run(capsys, "discard", all=True)

    assert not ParkedEvent.objects.using("library").filter(state="discarded").exists()


def test_the_question_is_not_among_the_json(parked, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    call_command("parked", "discard", component="library", all=True, json=True)
    printed = capsys.readouterr()

    assert json.loads(printed.out) == {"discarded": 3}
    assert printed.err == "Discard 3 events? The Cache will never have their effect. [y/N] "


@pytest.mark.parametrize("action", ["list", "show", "retry", "discard"])
def test_a_name_without_parked_events_is_an_error_that_says_which_have_some(parked, action, capsys):
    keys = sorted(set(ParkedEvent.objects.using("library").values_list("key", flat=True)))
    with pytest.raises(CommandError) as caught:
        run(capsys, action, handler="newBok", no_input=True)
    assert str(caught.value) == "No parked event has the handler 'newBok'; handlers with parked events: newBook."

    with pytest.raises(CommandError) as caught:
        run(capsys, action, key="nobody", no_input=True)
    assert str(caught.value) == f"No parked event has the key 'nobody'; keys with parked events: {', '.join(keys)}."


def test_the_list_and_discarding_read_no_messages(parked, capsys, monkeypatch):
    """Hundreds of events of a megabyte each may be parked."""
    loaded = []
    original = ParkedEvent.from_db.__func__

    def from_db(cls, db, names, values):
        loaded.append(set(names) & {"body", "headers", "traceback"})
        return original(cls, db, names, values)

    monkeypatch.setattr(ParkedEvent, "from_db", classmethod(from_db))
    run(capsys, "list")
    run(capsys, "discard", all=True, no_input=True)

    assert loaded
    assert not any(loaded)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["retry"], {}, "Say which events to retry: ids of the list, --key, --handler or --all"),
        (["discard"], {}, "Say which events to discard"),
        (["retry", "7"], {"all": True}, "--all means every parked event"),
        (["show", "777"], {}, "No parked event has the id 777"),
    ],
)
def test_what_is_meant_must_be_clear(component, capsys, arguments, options, message):
    with pytest.raises(CommandError, match=message):
        run(capsys, *arguments, **options)


def test_an_unknown_component_is_named(component):
    told = r"no component 'libary' in this project; did you mean \"library\"\? There are: library, students\."
    with pytest.raises(CommandError, match=told):
        call_command("parked", component="libary")


def test_an_empty_name_is_no_component_and_discards_nothing(component):
    with pytest.raises(CommandError, match="no component '' in this project"):
        call_command("parked", "discard", "--all", "--no-input", component="")
    with pytest.raises(CommandError, match="no component '' in this project"):
        call_command("rebuildcache", "")
