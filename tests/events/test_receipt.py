"""What a mutation gives, so that a later read can wait."""

from __future__ import annotations

import base64

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
        lambda text: base64.urlsafe_b64encode(b"\x02" + base64.urlsafe_b64decode(text + "==")[1:]).decode(),
    ],
)
def test_a_text_that_was_not_sealed_is_refused(spoil):
    with pytest.raises(ReceiptError, match="no receipt of this system"):
        Receipt.opened(spoil(Receipt.of("Calisto", events(1)).sealed(KEY)), KEY)


def test_a_receipt_sealed_with_another_key_is_refused():
    with pytest.raises(ReceiptError, match="BYRON_RECEIPT_KEY is the same"):
        Receipt.opened(Receipt.of("Calisto", events(1)).sealed("another"), KEY)
