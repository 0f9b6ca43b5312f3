"""The JSON Schema for editors says the same as the parser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from byron.schema.json_schema import DIALECT, json_schema
from byron.schema.loader import load
from byron.schema.model import Component
from byron.schema.parser import parse
from byron.schema.structure import known_keys
from tests.schema.test_bad_schemas import CASES, ODD, VALID

LISTINGS = sorted((Path(__file__).parent / "listings").glob("*.yaml"))
HEAD = "name: A\nnamespace: B\n"

GOOD = [
    pytest.param(VALID, id="everything"),
    pytest.param(ODD, id="odd names"),
    pytest.param(HEAD + "content: {}\n", id="nothing"),
    pytest.param(HEAD + "content: {types: [], commands: [], handlers: []}\n", id="empty sections"),
    *(pytest.param(path.read_text(), id=path.stem) for path in LISTINGS),
]

#: What the table of bad schemas has few of: one fault each, in YAML's smallest form.
BAD = [
    pytest.param(HEAD + f"content: {{{content}}}\n", id=content)
    for content in (
        "types: ~",
        "types: {}",
        "types: [~]",
        "types: [{name: T}]",
        "types: [{name: T, attributes: []}]",
        "types: [{name: t, attributes: [{name: a, type: Int}]}]",
        "types: [{name: T, attributes: [{name: A, type: Int}]}]",
        "types: [{name: T, attributes: [{name: a, type: '[[Int]]'}]}]",
        "types: [{name: T, attributes: [{name: a, type: Int, unique: 1}]}]",
        "types: [{name: T, attributes: [{name: a, type: Int, unique: ~}]}]",
        "types: [{name: T, attributes: [{name: a, type: Int}], description: ~}]",
        "enums: [{name: E, values: []}]",
        "enums: [{name: E, values: [1]}]",
        "inputs: [{name: I, attributes: [{name: a, type: Int, unique: true}]}]",
        "events: [{name: e, payload: T, version: 0}]",
        "events: [{name: e, payload: T, version: '1'}]",
        "events: [{name: E, payload: T}]",
        "commands: [{name: a, type: queri, returnType: Int}]",
        "commands: [{name: a, type: query}]",
        "commands: [{name: a, type: query, returnType: Int, read: ~}]",
        "commands: [{name: a, type: query, returnType: Int, read: {}}]",
        "commands: [{name: a, type: query, returnType: Int, read: {list: T, get: T}}]",
        "commands: [{name: a, type: query, returnType: Int, read: {list: T, limit: 0}}]",
        "commands: [{name: a, type: query, returnType: Int, read: {list: T, order: ['+a']}}]",
        "commands: [{name: a, type: query, returnType: Int, hooks: {during: [b]}}]",
        "commands: [{name: a, type: query, returnType: Int, hooks: {before: b}}]",
        "commands: [{name: a, type: mutation, returnType: Int, emit: {}}]",
        "handlers: [{name: a}]",
        "handlers: [{name: a, event: e, apply: {}}]",
        "handlers: [{name: a, event: e, apply: {create: T, update: T}}]",
        "handlers: [{name: a, event: e, apply: {create: ~}}]",
    )
]
#: The table's cases about structure alone: the others are about the text, or need more than a JSON Schema.
_STRUCTURAL = {"B010", "B011", "B013", "B014", "B017", "B018", "B024"}
#: ECMAScript's `$` refuses a line end, and so does the parser; that of Python's jsonschema lets it pass.
_ENDED_BY_A_LINE = {"names that end a line", "a name as a block"}


def _structural_cases() -> Iterator[Any]:
    for case in CASES:
        source, located = case.values
        codes = {line.split(" ")[1] for line in located}
        if case.id in _ENDED_BY_A_LINE:
            continue
        if codes <= _STRUCTURAL and "YAML reads the key" not in str(located) and "a key must be" not in str(located):
            yield pytest.param(source, id=case.id)


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def test_it_is_a_json_schema() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert schema["title"] == "A Byron component"


@pytest.mark.parametrize("source", GOOD)
def test_it_accepts_what_the_parser_accepts(source: str, validator: Draft202012Validator) -> None:
    document = load(source)
    assert parse(document).problems == []
    assert [error.message for error in validator.iter_errors(document.data)] == []


@pytest.mark.parametrize("source", [*BAD, *_structural_cases()])
def test_it_refuses_what_the_parser_refuses(source: str, validator: Draft202012Validator) -> None:
    document = load(source)
    assert parse(document).problems != []
    assert not validator.is_valid(document.data)


def _mappings(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path[-1:] == ("set",):
        return  # Its keys are attributes.
    if isinstance(data, dict):
        yield path
    for key, item in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from _mappings(item, (*path, key))


def test_every_key_of_every_declaration_has_its_place() -> None:
    schema = json_schema()
    for path in _mappings(load(VALID).data):
        part = schema
        for step in path:
            part = part["items"] if isinstance(step, int) else part["properties"][step]
            part = schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
        assert tuple(part["properties"]) == known_keys(path)
        assert part["additionalProperties"] is False


def test_every_declaration_says_what_it_is() -> None:
    schema = json_schema()
    assert {name for name, part in schema["$defs"].items() if not part.get("description")} == set()
    assert schema["description"] == Component.__doc__


def test_it_suggests_no_empty_values() -> None:
    def defaults(part: Any) -> Iterator[Any]:
        if isinstance(part, dict):
            if "default" in part and not isinstance(part["default"], dict):
                yield part["default"]
            for inner in part.values():
                yield from defaults(inner)

    assert None not in list(defaults(json_schema()))
