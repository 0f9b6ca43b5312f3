from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byron.events.subjects import (
    LONGEST_KEY,
    SLOTS,
    Subject,
    decode_key,
    encode_key,
    event_filters,
    event_subject,
    namespace_filter,
    parse_subject,
    slot_of,
    split_subject,
    stream_name,
)
from byron.exceptions import EventError

keys = st.text(max_size=200)
namespaces = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,15}", fullmatch=True)
events = st.from_regex(r"[a-z][a-zA-Z0-9]{0,9}(\.[a-z][a-zA-Z0-9]{0,9}){0,3}", fullmatch=True)


@given(keys)
def test_any_key_becomes_one_safe_token_and_back(key: str) -> None:
    token = encode_key(key)
    assert re.fullmatch(r"[A-Za-z0-9_=-]+", token)
    assert decode_key(token) == key


@given(keys, keys)
def test_different_keys_have_different_tokens(one: str, other: str) -> None:
    assert (encode_key(one) == encode_key(other)) == (one == other)


@pytest.mark.parametrize(
    ("key", "token"),
    [("", "="), ("=", "=3D"), ("7", "7"), ("a.b*c>d e", "a=2Eb=2Ac=3Ed=20e"), ("Zoë", "Zo=C3=AB"), ("\0", "=00")],
)
def test_the_encoding_is_part_of_the_logs_format(key: str, token: str) -> None:
    assert encode_key(key) == token


@pytest.mark.parametrize("token", ["=3d", "=41", "a=", "a==", "=ZZ", "a b", "=FF", "é"])
def test_a_token_that_no_key_has_is_refused(token: str) -> None:
    with pytest.raises(EventError, match=re.escape(f"{token!r} is not an encoded key.")):
        decode_key(token)


def test_a_key_too_long_for_a_subject_is_refused() -> None:
    assert encode_key("k" * LONGEST_KEY)
    with pytest.raises(EventError, match=f"'kkkkk.* takes {LONGEST_KEY + 1} bytes in a subject; at most 3072 fit"):
        encode_key("k" * (LONGEST_KEY + 1))


def test_a_key_that_is_not_unicode_text_is_refused() -> None:
    with pytest.raises(EventError, match=r"The key '\\ud800' is not valid Unicode text"):
        encode_key("\ud800")


@given(keys)
def test_a_slot_is_one_of_the_fixed_number(key: str) -> None:
    assert 0 <= slot_of(key) < SLOTS == 16


@pytest.mark.parametrize(("key", "slot"), [("", 0), ("1", 7), ("Ann", 3)])
def test_the_slots_of_keys_never_change(key: str, slot: int) -> None:
    assert slot_of(key) == slot


@given(namespaces, events, keys)
def test_a_subject_parses_into_what_it_was_made_of(namespace: str, event: str, key: str) -> None:
    subject = event_subject(namespace, event, key)
    assert parse_subject(subject) == Subject(namespace=namespace.lower(), slot=slot_of(key), key=key, event=event)


slots = st.sets(st.integers(0, SLOTS - 1), min_size=1)


@given(namespaces, events, keys, st.lists(events, min_size=1, max_size=4), slots)
def test_filters_match_their_own_events_and_slots_once(
    namespace: str, event: str, key: str, others: list[str], shares: set[int]
) -> None:
    subject = event_subject(namespace, event, key)
    assert _matches(namespace_filter(namespace), subject)
    assert _matching(event_filters(namespace, [event], range(SLOTS)), subject) == 1
    # JetStream refuses filters that overlap.
    assert _matching(event_filters(namespace, [*others, *others], shares), subject) == (
        event in others and slot_of(key) in shares
    )


def test_filters_name_slots_only_where_some_are_left_out() -> None:
    assert event_filters("Calisto", ["a", "b.c", "a"], range(16)) == ["calisto.*.*.a", "calisto.*.*.b.c"]
    assert event_filters("Calisto", ["a", "b.c"], [3, 11]) == [
        "calisto.3.*.a",
        "calisto.11.*.a",
        "calisto.3.*.b.c",
        "calisto.11.*.b.c",
    ]


def _matching(patterns: list[str], subject: str) -> int:
    return sum(_matches(pattern, subject) for pattern in patterns)


def _matches(pattern: str, subject: str) -> bool:
    translated = re.escape(pattern).replace(r"\*", "[^.]+").replace(">", ".+")
    return re.fullmatch(translated, subject) is not None


@given(namespaces, events, keys)
def test_a_subject_splits_into_its_parts_with_the_key_encoded(namespace: str, event: str, key: str) -> None:
    parts = split_subject(event_subject(namespace, event, key))
    assert parts == (namespace.lower(), slot_of(key), encode_key(key), event)


@pytest.mark.parametrize(
    ("subject", "parts"),
    [
        ("", ("", 0, "", "")),
        ("calisto", ("calisto", 0, "", "")),
        ("calisto.7", ("calisto", 7, "", "")),
        ("calisto.7.=FF", ("calisto", 7, "=FF", "")),
        ("calisto.x.k.new.student", ("calisto", 0, "k", "new.student")),
        ("calisto.16.k.new.student", ("calisto", 0, "k", "new.student")),
        ("calisto.-1.k.a", ("calisto", 0, "k", "a")),
        ("calisto.07.k.a", ("calisto", 0, "k", "a")),
        ("calisto.٣.k.a", ("calisto", 0, "k", "a")),
    ],
)
def test_any_subject_splits_and_has_a_slot(subject: str, parts: tuple[str, int, str, str]) -> None:
    assert split_subject(subject) == parts


@pytest.mark.parametrize("subject", ["", "calisto", "calisto.1.k", "calisto.x.k.new.student", "calisto.1.k."])
def test_a_foreign_subject_is_refused(subject: str) -> None:
    with pytest.raises(EventError, match=re.escape(f"{subject!r} is not the subject of a Byron event.")):
        parse_subject(subject)


def test_stream_and_subjects_are_in_lower_case() -> None:
    assert stream_name("Calisto") == "calisto"
    assert event_subject("Calisto", "new.student", "7").startswith("calisto.")
