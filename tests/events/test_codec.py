from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byron.events.codec import LONGEST_ID, decode, encode, encode_payload, message_id
from byron.events.event import Event, Message, StoredMessage
from byron.events.ids import new_id
from byron.exceptions import EventError

texts = st.text(st.characters(codec="utf-8"), max_size=50)
names = st.from_regex(r"[a-z]{1,8}(\.[a-z]{1,8}){0,2}", fullmatch=True)
words = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,9}", fullmatch=True)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
payloads = st.dictionaries(texts, json_values, max_size=5)
moments = st.datetimes(timezones=st.just(UTC) | st.just(timezone(timedelta(hours=-3))))
ids = st.none() | words


@st.composite
def events(draw: st.DrawFn) -> Event:
    return Event(
        name=draw(names),
        key=draw(texts),
        payload=draw(payloads),
        namespace=draw(words),
        source=draw(words),
        time=draw(moments),
        version=draw(st.integers(1, 1000)),
        correlation_id=draw(ids),
        causation_id=draw(ids),
        traceparent=draw(ids),
    )


def make_event(**changes: Any) -> Event:
    event = Event(name="new.student", key="7", payload={"id": "7"}, namespace="Calisto", source="students")
    return replace(event, **changes)


def to_message(event: Event) -> Message:
    return encode(event, encode_payload(event.payload))


def stored(message: Message, *, without: str = "", body: bytes | None = None, **headers: str) -> StoredMessage:
    kept = {**message.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    kept.pop(without, None)
    return StoredMessage(subject=message.subject, headers=kept, body=message.body if body is None else body, position=3)


@given(events())
def test_an_event_survives_the_wire(event: Event) -> None:
    assert decode(stored(to_message(event))) == replace(event, position=3)


@given(events())
def test_headers_are_printable_ascii(event: Event) -> None:
    for name, value in to_message(event).headers.items():
        assert (name + value).isascii() and (name + value).isprintable()


def test_headers_are_those_of_cloudevents_in_binary_mode() -> None:
    event = make_event(time=datetime(2026, 5, 4, 3, 2, 1, 5000, tzinfo=UTC), key='Zoë "%', correlation_id="c1")
    assert dict(to_message(event).headers) == {
        "ce-specversion": "1.0",
        "ce-id": event.id,
        "ce-type": "new.student",
        "ce-source": "/Calisto/students",
        "ce-time": "2026-05-04T03:02:01.005000Z",
        "ce-subject": "Zo%C3%AB%20%22%25",
        "ce-schemaversion": "1",
        "ce-correlationid": "c1",
        "content-type": "application/json",
        "Nats-Msg-Id": event.id,
    }


def test_the_body_is_the_payload_alone() -> None:
    assert json.loads(to_message(make_event()).body) == {"id": "7"}


def test_header_names_are_read_in_any_case() -> None:
    message = stored(to_message(make_event()))
    shouted = replace(message, headers={name.upper(): value for name, value in message.headers.items()})
    assert decode(shouted) == decode(message)


def test_values_that_json_lacks_become_text() -> None:
    payload = {
        "price": Decimal("1.10"),
        "day": date(2026, 5, 4),
        "moment": datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC),
        "uuid": UUID(int=7),
    }
    assert json.loads(encode_payload(payload)) == {
        "price": "1.10",
        "day": "2026-05-04",
        "moment": "2026-05-04T03:02:01Z",
        "uuid": "00000000-0000-0000-0000-000000000007",
    }


class Moment(datetime):
    """What a library of times makes."""


class Day(date):
    pass


class Hour(time):
    pass


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Moment(2026, 5, 4, 3, 2, 1, tzinfo=UTC), datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)),
        (
            Moment(2026, 5, 4, 3, 2, 1, 5, tzinfo=timezone(timedelta(hours=-3))),
            datetime(2026, 5, 4, 3, 2, 1, 5, tzinfo=timezone(timedelta(hours=-3))),
        ),
        (Moment(2026, 5, 4), datetime(2026, 5, 4)),
        (Day(2026, 5, 4), date(2026, 5, 4)),
        (Hour(3, 2, 1, tzinfo=UTC), time(3, 2, 1, tzinfo=UTC)),
        (Hour(3, 2, 1, 500), time(3, 2, 1, 500)),
    ],
)
def test_times_of_subclasses_are_written_as_python_s_own(
    value: Any, plain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = encode_payload({"value": plain, "many": [plain]})
    assert encode_payload({"value": value, "many": [value]}) == written

    # As freezegun leaves no name of Python's own class in any module.
    monkeypatch.setattr("byron.events.codec.datetime", Moment)
    assert encode_payload({"value": value, "many": [value]}) == written


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_hold_are_refused_with_their_place(value: float) -> None:
    with pytest.raises(EventError, match=rf"as JSON: marks\[1\]\.mark is {value}, which JSON cannot hold\.$"):
        encode_payload({"marks": [{"mark": 1.0}, {"mark": value}]})


@pytest.mark.parametrize("value", [object(), {1: object()}, 2 + 1j, "\ud800"])
def test_values_without_a_json_form_are_refused(value: object) -> None:
    with pytest.raises(EventError, match="The payload cannot be written as JSON"):
        encode_payload({"value": value})


@pytest.mark.parametrize("name", ["ce-id", "ce-time", "ce-source"])
def test_a_missing_header_is_named(name: str) -> None:
    with pytest.raises(EventError, match=rf"Message 3 lacks a usable CloudEvents header: .*{name}"):
        decode(stored(to_message(make_event()), without=name))


@pytest.mark.parametrize("headers", [{"ce_time": "yesterday"}, {"ce_source": "students"}, {"ce_schemaversion": "one"}])
def test_an_unusable_header_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(EventError, match="Message 3 lacks a usable CloudEvents header"):
        decode(stored(to_message(make_event()), **headers))


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"7", b"null", b"\xff", b'{"a": 1} x', b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(EventError, match=r"Message 3 \(new\.student\) has an unusable payload"):
        decode(stored(to_message(make_event()), body=body))


def test_a_foreign_subject_is_refused() -> None:
    message = replace(stored(to_message(make_event())), subject="weather.today")
    with pytest.raises(EventError, match="'weather.today' is not the subject of a Byron event"):
        decode(message)


def test_a_payload_that_breaks_its_contract_is_refused() -> None:
    def strict(body: bytes) -> dict[str, Any]:
        raise ValueError("`name` is missing")

    with pytest.raises(EventError, match=r"Message 3 \(new\.student\) has an unusable payload: `name` is missing"):
        decode(stored(to_message(make_event())), strict)


def test_a_message_s_id_is_its_event_s() -> None:
    event = make_event()
    assert message_id(stored(to_message(event))) == event.id


def test_a_message_without_an_id_has_an_empty_one() -> None:
    assert message_id(stored(to_message(make_event()), without="ce-id")) == ""


@pytest.mark.parametrize(
    ("foreign", "id_"),
    [("a\x00b\x00", "ab"), ("x" * 300, "x" * LONGEST_ID), ("\x00" * 300, ""), ("ü" * 255, "ü" * 255)],
)
def test_a_foreign_id_is_made_one_that_any_database_can_hold(foreign: str, id_: str) -> None:
    assert message_id(stored(to_message(make_event()), ce_id=foreign)) == id_


def test_event_ids_sort_by_time() -> None:
    made = [new_id() for _ in range(100)]
    assert made == sorted(made) and len(set(made)) == 100
