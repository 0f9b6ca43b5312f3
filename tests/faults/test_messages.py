"""Messages that are no events of the schema, among good ones: they are parked, and hold up their own key only."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from byron.events.event import Message
from byron.events.subjects import event_subject
from tests.faults.ledger import NAMESPACE, message_of

pytestmark = pytest.mark.broker

#: The server takes a MiB of headers and body.
LARGE = 1024 * 1024 - 2048


def entry(account: str, **changes: Any) -> dict[str, Any]:
    return {"id": f"{account}-1", "account": account, "number": 1, "amount": 1, **changes}


def with_body(body: Callable[[bytes], bytes]) -> Callable[[str], Message]:
    """Make messages whose body is this of what it should be."""

    def make(account: str) -> Message:
        message = message_of(entry(account))
        return replace(message, body=body(message.body))

    return make


def with_payload(**changes: Any) -> Callable[[str], Message]:
    """Make messages whose payload has these attributes instead; None leaves one out."""

    def make(account: str) -> Message:
        payload = {name: value for name, value in entry(account, **changes).items() if value is not None}
        return replace(message_of(entry(account)), body=json.dumps(payload).encode())

    return make


def with_headers(**changes: str | None) -> Callable[[str], Message]:
    """Make messages with these headers instead; None leaves one out."""

    def make(account: str) -> Message:
        message = message_of(entry(account))
        headers = {**message.headers, **{name.replace("_", "-"): value for name, value in changes.items()}}
        return replace(message, headers={name: value for name, value in headers.items() if value is not None})

    return make


#: Messages that break the contract, by what is wrong.
BROKEN: dict[str, Callable[[str], Message]] = {
    "empty": with_body(lambda body: b""),
    "no JSON": with_body(lambda body: body[:-1]),
    "a list": with_body(lambda body: b"[" + body + b"]"),
    "nested deeply": with_body(lambda body: b"[" * 100_000),
    "no UTF-8": with_body(lambda body: body.replace(b'"id":"', b'"id":"\xff\xfe')),
    "half a surrogate pair": with_body(lambda body: body.replace(b'"id":"', b'"id":"\\ud800')),
    "a NUL": with_payload(note="a\x00b"),
    "NaN": with_body(lambda body: body.replace(b'"amount":1', b'"amount":NaN')),
    "10^400": with_body(lambda body: body.replace(b'"amount":1', b'"amount":1' + b"0" * 400)),
    "1e400": with_body(lambda body: body.replace(b'"amount":1', b'"amount":1e400')),
    "beyond an Int": with_payload(amount=2**31),
    "attribute missing": with_payload(amount=None),
    "attribute too many": with_payload(extra=1),
    "wrong type": with_payload(amount="1"),
    "a long id": with_payload(id="x" * 5000),
    "future version": with_headers(ce_schemaversion="2"),
    "no version": with_headers(ce_schemaversion="two"),
    "no source": with_headers(ce_source=None),
    "bad time": with_headers(ce_time="yesterday"),
}


def test_messages_that_break_the_contract_are_parked_and_all_others_are_applied(any_ledger):
    ledger = any_ledger
    parked = []
    for number, make in enumerate(BROKEN.values()):
        ledger.publish(40)
        ledger.append([make(f"bad{number}")])
        parked.append((f"bad{number}", "parked"))
        ledger.append([message_of(entry(f"bad{number}", id=f"behind-{number}"))])
        parked.append((f"bad{number}", "behind"))
        ledger.publish(1, [f"good{number}"])
    ledger.publish(100)

    sink = ledger.sink()

    ledger.finish(sink, parked=parked)
    listed = ledger.system.manage("parked", "list").stdout
    assert all(f"bad{number} " in listed for number in range(len(BROKEN)))
    assert ledger.system.manage("parked", "retry", "--all", check=False).returncode == 1
    assert sorted(ledger.cache.parked()) == sorted(parked)
    ledger.system.manage("parked", "show", "--all")


def frame(subject: str, body: bytes = b"", headers: bytes = b"") -> bytes:
    """Return what a client sends to publish something, whatever it is."""
    if not headers:
        return f"PUB {subject} {len(body)}\r\n".encode() + body + b"\r\n"
    return f"HPUB {subject} {len(headers)} {len(headers) + len(body)}\r\n".encode() + headers + body + b"\r\n"


def test_foreign_messages_on_the_subjects_of_a_namespace_do_not_stop_a_lane(any_ledger):
    ledger = any_ledger
    ledger.publish(50)
    subject = event_subject(NAMESPACE, "entry.made", "foreign")
    frames = [
        frame(subject, message_of(entry("foreign")).body),
        frame("faults.99.far.entry.made"),
        frame("faults.x.odd.entry.made"),
        frame("faults.0.=ZZ.entry.made"),
        frame("faults.0.headers.entry.made", b"{}", b"NATS/1.0\r\nce-id:\xff\r\nce-id:\x00\r\n\r\n"),
        frame(f"faults.0.{'k' * 3500}.entry.made"),
    ]
    for each in frames:
        ledger.server.send(each)
        ledger.publish(50)
    sink = ledger.sink()
    ledger.wait_applied(len(ledger.book))
    assert sink.stop() == 0
    parked = ledger.cache.parked()
    assert [state for _, state in parked] == ["parked"] * len(frames)
    ledger.finish(parked=parked)
    ledger.system.manage("parked", "list")


def test_payloads_as_large_as_the_broker_takes_them_are_applied(any_ledger):
    ledger = any_ledger
    for number in range(30):
        large = {**ledger.book.make_entry(f"large{number % 3}"), "note": "ä" * (LARGE // 2)}
        ledger.append([message_of(large)])
        ledger.publish(20)

    ledger.finish(ledger.sink())
    notes = [note for _, note in ledger.cache.read("ledger_entry", "id", "note") if note]
    assert [len(note) for note in notes] == [LARGE // 2] * 30
