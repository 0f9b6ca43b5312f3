"""What a mutation gives, so that a later read can wait."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from byron.events.event import Event
from byron.events.receipt import LONGEST_RECEIPT, Announced, Receipt
from byron.events.subjects import slot_of
from byron.exceptions import ReceiptError

KEY = "k"


def events(count, name="new.student"):
    return [
        Event(name=name, key=str(at), payload={}, namespace="Calisto", source="Students", position=at)
        for at in range(1, count + 1)
    ]


def test_a_receipt_is_read_as_it_was_written():
    receipt = Receipt.of("Calisto", events(2))

    assert receipt.events == (
        Announced(position=1, slot=slot_of("1"), name="new.student"),
        Announced(position=2, slot=slot_of("2"), name="new.student"),
    )
    assert Receipt.opened(receipt.sealed(KEY), KEY) == receipt


def test_a_receipt_is_short_and_fit_for_a_header():
    text = Receipt.of("Calisto", events(1)).sealed(KEY)

    assert len(text) < 70
    assert text.isascii() and not set(text) & set(" ,;=+/")


def test_a_receipt_of_many_events_stays_short_and_keeps_the_last_of_each_slot():
    receipt = Receipt.of("Calisto", events(1000))

    assert len(receipt.events) == 16
    assert max(each.position for each in receipt.events) == 1000
    assert len(receipt.sealed(KEY)) < 1000


@pytest.mark.parametrize("names", [5, 10, 20])
def test_a_receipt_of_many_events_of_many_names_tells_the_last_of_each_slot_and_name(names):
    emitted = [
        Event(name=f"a.name.of.thirty.one.letters.{at % names:03}", key=str(at), payload={}, namespace="Calisto",
              source="Students", position=10**12 + at)
        for at in range(1, 301)
    ]  # fmt: skip
    text = Receipt.of("Calisto", emitted).told(1e9).sealed(KEY)
    last = {(slot_of(each.key), each.name): each.position for each in emitted}

    assert len(text) <= LONGEST_RECEIPT < 4000
    assert {(each.slot, each.name): each.position for each in Receipt.opened(text, KEY).events} == last


def test_a_receipt_of_too_many_names_is_about_any_event_of_a_slot():
    emitted = [event for at in range(300) for event in events(300, f"name.{at}")]
    receipt = Receipt.of("Calisto", emitted)
    text = receipt.sealed(KEY)
    last = {slot_of(each.key): each.position for each in events(300)}

    assert len(text) < 1000
    assert {each.slot: each.position for each in Receipt.opened(text, KEY).events} == last
    assert all(each.concerns(["name.7"]) for each in receipt.events)


def test_joining_long_receipts_makes_none_that_is_too_long():
    joined = Receipt.of("Calisto", [])
    for at in range(100):
        emitted = [replace(each, position=100 * at + each.position) for each in events(32, f"name.number.{at}")]
        joined = joined.joined(Receipt.of("Calisto", emitted).told(1e9 + at))
        assert len(joined.sealed(KEY)) <= LONGEST_RECEIPT
    assert Receipt.opened(joined.sealed(KEY), KEY) == joined


def test_what_a_browser_was_told_of_earlier_can_be_left_out():
    [first, second] = events(2)
    joined = Receipt.of("Calisto", [first]).told(1000.9).joined(Receipt.of("Calisto", [second]).told(1060.2))
    opened = Receipt.opened(joined.sealed(KEY), KEY)

    assert [each.told for each in opened.events] == [1000, 1060]
    assert [each.position for each in opened.since(1000).events] == [1, 2]
    assert [each.position for each in opened.since(1000.5).events] == [2]


def test_receipts_can_be_joined():
    both = Receipt.of("Calisto", events(1)).joined(Receipt.of("Calisto", events(2)[1:]))
    assert [each.position for each in both.events] == [1, 2]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: "x",
        lambda text: "é",
        lambda text: text[:-1],
        lambda text: text + "A",
        lambda text: "B" + text[1:],
        lambda text: text.swapcase(),
        lambda text: "!" * 40,
        lambda text: "A" * (LONGEST_RECEIPT + 1),
        lambda text: base64.urlsafe_b64encode(b"\x03" + base64.urlsafe_b64decode(text + "==")[1:]).decode(),
    ],
)
def test_a_text_that_was_not_sealed_is_refused(spoil):
    with pytest.raises(ReceiptError, match="no receipt of this system"):
        Receipt.opened(spoil(Receipt.of("Calisto", events(1)).sealed(KEY)), KEY)


def test_a_receipt_sealed_with_another_key_is_refused():
    with pytest.raises(ReceiptError, match="BYRON_RECEIPT_KEY is the same"):
        Receipt.opened(Receipt.of("Calisto", events(1)).sealed("another"), KEY)
