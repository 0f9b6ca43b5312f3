"""What not every Cache could store, or would give back changed, is refused where an event is read, on any engine."""

from __future__ import annotations

import json
from typing import Any

import pytest

from byron.events.payloads import PayloadCodec
from byron.exceptions import EventError
from byron.schema.reader import parse_component

_SCALARS = ["ID", "String", "DateTime", "Time", "Decimal", "JSON", "Int"]

_SCHEMA = f"""
name: Shop
namespace: Storable
content:
  enums: [{{name: Size, values: [SMALL]}}]
  types:
    - name: Thing
      attributes:
        - {{name: size, type: Size}}
        - {{name: sole, type: String, unique: true}}
        - {{name: found, type: String, index: true}}
        - {{name: must, type: "String!"}}
        - {{name: mustJSON, type: "JSON!"}}
        - {{name: allJSON, type: "[JSON!]!"}}
{chr(10).join(f"        - {{name: a{name}, type: {name}}}" for name in _SCALARS)}
{chr(10).join(f'        - {{name: many{name}, type: "[{name}]"}}' for name in _SCALARS)}
  handlers:
    - {{name: made, event: thing.made, apply: {{create: Thing}}}}
    - {{name: changed, event: thing.changed, apply: {{update: Thing}}}}
    - {{name: put, event: thing.put, apply: {{upsert: Thing}}}}
    - {{name: gone, event: thing.gone, apply: {{delete: Thing}}}}
"""


@pytest.fixture(scope="module")
def codec() -> PayloadCodec:
    return PayloadCodec(parse_component(_SCHEMA))


REFUSED = {
    "ID": [rb'"a\u0000"', b'"' + b"x" * 256 + b'"'],
    "String": [rb'"a\u0000"', b"5"],
    "DateTime": [b'"0001-01-01T00:00:00+00:01"', b'"9999-12-31T23:59:59-00:01"', b'"2024-02-29T12:00:00"'],
    "Time": [b'"12:30:00Z"', b'"12:30:00+05:30"'],
    "Decimal": [b'"NaN"', b'"-Infinity"', b'"1E+1001"', b'"1E-1001"', b'"0E-20000"', b'"' + b"9" * 1002 + b'"'],
    "JSON": [
        rb'"a\u0000"',
        rb'{"a":["\u0000"]}',
        rb'{"\u0000":1}',
        b"18446744073709551616",
        b"[-9223372036854775809]",
        b"[" * 101 + b"]" * 101,
    ],
    "Int": [b"2147483648", b"-2147483649", b"true", b'"1"'],
}

TAKEN = {
    "ID": [b'""', "\U0001f600".encode().join([b'"'] * 2)],
    "String": [b'""', rb'"\ud83d\ude00"'],
    "DateTime": [b'"0001-01-01T00:00:00Z"', b'"9999-12-31T23:59:59.999999Z"', b'"0001-01-01T00:00:00-00:01"'],
    "Time": [b'"23:59:59.999999"'],
    "Decimal": [b'"1E+1000"', b'"-1E-1000"', b'"' + b"9" * 1001 + b'"', b"0.1"],
    "JSON": [b"18446744073709551615", b"[" * 100 + b"]" * 100, b'{"a.b":{"$c":-0.0}}'],
    "Int": [b"2147483647", b"-2147483648"],
}


def bodies(values: dict[str, list[bytes]]) -> list[Any]:
    """Return a payload for each value, alone and in a list, in an event that is whole and in two that may be parts."""
    found = []
    for name, given in values.items():
        for event in ("thing.made", "thing.changed", "thing.put"):
            for value in given:
                for written in (f'"a{name}":'.encode() + value, f'"many{name}":[null,'.encode() + value + b"]"):
                    body = b'{"id":"1","must":"x","mustJSON":1,"allJSON":[],' + written + b"}"
                    found.append(pytest.param(event, body, id=f"{event} {written[:40].decode()}"))
    return found


@pytest.mark.parametrize(("event", "body"), bodies(REFUSED))
def test_what_not_every_cache_stores_is_refused(codec: PayloadCodec, event: str, body: bytes) -> None:
    with pytest.raises(ValueError):
        codec.decode(event, body)


@pytest.mark.parametrize(("event", "body"), bodies(TAKEN))
def test_what_every_cache_stores_is_taken(codec: PayloadCodec, event: str, body: bytes) -> None:
    assert set(codec.decode(event, body)) > {"id", "must", "must_json"}


@pytest.mark.parametrize("event", ["thing.changed", "thing.put"])
@pytest.mark.parametrize(
    "part",
    [
        b'"must":null',
        b'"size":"HUGE"',
        b'"size":""',
        b'"manyInt":"x"',
        b'"manyInt":{}',
        b'"manyString":[[]]',
        b'"allJSON":[null]',
        b'"mustJSON":null',
    ],
)
def test_a_part_holds_what_the_type_takes_or_nothing(codec: PayloadCodec, event: str, part: bytes) -> None:
    with pytest.raises(ValueError, match="Expected|Invalid|null is not"):
        codec.decode(event, b'{"id":"1",' + part + b"}")
    assert codec.decode(event, b'{"id":"1"}') == {"id": "1"}


def test_an_error_names_the_attribute_and_what_to_do(codec: PayloadCodec) -> None:
    with pytest.raises(ValueError, match=r"aJSON: JSON takes integers of 64 bits; write larger ones as strings"):
        codec.decode("thing.changed", b'{"id":"1","aJSON":18446744073709551616}')


def test_a_part_that_no_sink_would_store_is_not_emitted(codec: PayloadCodec) -> None:
    with pytest.raises(EventError, match=r"The event thing.changed does not fit Thing: .*U\+0000"):
        codec.encode("thing.changed", {"id": "1", "a_json": "\0"})


def test_what_a_deletion_says_besides_is_not_looked_at(codec: PayloadCodec) -> None:
    assert codec.decode("thing.gone", b'{"id":"1","must":5}') == {"id": "1", "must": 5}


@pytest.mark.parametrize("event", ["thing.made", "thing.changed", "thing.put"])
@pytest.mark.parametrize("name", ["sole", "found"])
def test_a_text_with_an_index_has_as_many_bytes_as_every_cache_has_room_for(
    codec: PayloadCodec, event: str, name: str
) -> None:
    rest = {"id": "1", "must": "x" * 3000, "mustJSON": 1, "allJSON": []}
    for text in ("x" * 2600, "\U0001f600" * 650, "é" * 1300, "", None):
        assert codec.decode(event, json.dumps({**rest, name: text}).encode())[name] == text
    for text in ("x" * 2601, "\U0001f600" * 650 + "x", "é" * 1301):
        with pytest.raises(ValueError, match=f"{name}: A text that is unique or has an index takes 2600 bytes"):
            codec.decode(event, json.dumps({**rest, name: text}).encode())
