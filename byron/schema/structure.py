"""What pydantic finds wrong with a document's structure, in the words of schema.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic_core import ErrorDetails

from byron.schema import names
from byron.schema.declaration import ORDER_PATTERN
from byron.schema.loader import Document, Path
from byron.schema.model import Component
from byron.schema.problems import did_you_mean, quoted

_KIND_OF_NAME = {
    names.COMPONENT_PATTERN: "letters and digits, a letter first",
    names.TYPE_PATTERN: "letters and digits, a capital letter first",
    names.FIELD_PATTERN: "letters and digits, a small letter first (camelCase)",
    names.ENUM_VALUE_PATTERN: "letters, digits and single underscores, a letter first",
    names.EVENT_PATTERN: "words joined by dots, each a small letter first (new.student)",
    names.ROLE_PATTERN: "letters, digits and any of _ . : / -, a letter first",
    ORDER_PATTERN: "an attribute's name, with - before it for descending",
}
_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number in plain digits",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "no_value": "a value",
}


def describe(detail: ErrorDetails, path: Path, document: Document) -> tuple[str, str]:
    """Return the code and the message for an error at the path that the document has a place for."""
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    key = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        known = known_keys(path[:-1])
        hint = did_you_mean(key, known) or f"; known here: {', '.join(known)}"
        return "B010", f"unknown key {quoted(key)}{hint}"
    if kind == "missing":
        return "B011", f"{_owner(path, document)} lacks the key {quoted(str(detail['loc'][-1]))}"
    if kind == "too_short":
        return "B011", f"{quoted(key)} is an empty list; it needs at least one entry"
    if kind == "lacks_one":
        return "B011", f"{_owner(path, document)} lacks the key {' or '.join(map(quoted, context['keys']))}"
    if kind == "exactly_one":
        owner = quoted(key) if path and isinstance(path[-1], str) else _owner(path, document)
        return "B022", f"{owner} takes exactly one of the keys {', '.join(context['keys'])}"
    if kind == "at_most_one":
        return "B022", f"{quoted(key)} takes at most one of the keys {', '.join(context['keys'])}"
    if kind == "type_expression":
        return "B017", f'{quoted(value)} is not a type; write one as "Int", "Int!" or "[Int!]!"'
    if kind == "string_pattern_mismatch":
        return _unfit_text(str(value), str(context["pattern"]), key)
    if kind == "literal_error":
        return _not_allowed(str(context["expected"]), path, value, document)
    return _out_of_range(kind, value, context, key, document, path) or (
        "B013",
        _wrong_type(_EXPECTED.get(kind, "something else"), path, value, document),
    )


def _not_allowed(expected: str, path: Path, value: Any, document: Document) -> tuple[str, str]:
    written = document.spelling.get(path)
    if not written:
        return "B013", _wrong_type("text", path, value, document)
    allowed = [word.strip("'") for word in expected.split(" or ")]
    hint = did_you_mean(written, allowed) or f"; allowed: {', '.join(allowed)}"
    return "B018", f"{quoted(written)} is not allowed as {quoted(path[-1])}{hint}"


def _unfit_text(text: str, pattern: str, key: str) -> tuple[str, str]:
    if pattern == names.DESCRIPTION_PATTERN:
        return (
            "B018",
            f"{quoted(key)} holds a character that cannot be shown: {quoted(_first_unshown(text))}; remove it",
        )
    return "B014", f"{quoted(text)} cannot be a name here: {_KIND_OF_NAME[pattern]}"


def _first_unshown(text: str) -> str:
    return next(char for char in text if not names.is_shown(char))


def _out_of_range(
    kind: str, value: Any, context: Mapping[str, Any], key: str, document: Document, path: Path
) -> tuple[str, str] | None:
    if kind == "string_too_long" and key == "description":
        return "B024", f"{quoted(key)} has {len(value)} characters; at most {context['max_length']} are allowed"
    if kind == "string_too_long":
        return "B014", f"{quoted(value)} is too long: {context['max_length']} characters at most"
    if kind == "too_long":
        return "B024", f"{quoted(key)} has {len(value)} entries; at most {context['max_length']} are allowed"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return "B024", f"{quoted(key)} is {document.spelling.get(path, value)}; it must be {bound}"
    return None


def _wrong_type(expected: str, path: Path, value: Any, document: Document) -> str:
    key = path[-1] if path else None
    where = quoted(key) if isinstance(key, str) else "an entry of this list" if path else "the document"
    written = document.spelling.get(path, "")
    reads = f"{where} takes {expected}, and YAML reads {quoted(written)} as"
    if value is None and written.isalpha() and expected == "text":
        return f"{reads} nothing; put it between quotes"
    if value is None:
        return f"{where} is empty; it takes {expected}"
    if isinstance(value, bool) and expected == "text":
        return f"{reads} a boolean; put it between quotes"
    if isinstance(value, int | float) and expected == "text":
        return f"{reads} a number; " + ("put it between quotes" if key == "description" else "begin it with a letter")
    if isinstance(value, list) and key in ("type", "returnType"):
        return f'{where} takes text, not a list; put a list type between quotes: "[Student!]!"'
    found = (
        "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else quoted(written or value)
    )
    return f"{where} takes {expected}, not {found}"


def known_path(location: tuple[int | str, ...], document: Document) -> Path:
    """Return the longest part of pydantic's location that the document has a place for."""
    path: Path = tuple(location)
    while path and path not in document.values:
        path = path[:-1]
    return path


def known_keys(path: Path) -> tuple[str, ...]:
    """Return the keys that the model allows in the mapping at this path."""
    return _keys_of(tuple(step for step in path if isinstance(step, str)))


@lru_cache(maxsize=64)
def _keys_of(steps: tuple[str, ...]) -> tuple[str, ...]:
    model: Any = Component
    for step in steps:
        info = next(field for field in model.model_fields.values() if field.alias == step)
        model = _model_in(info.annotation)
    return tuple(str(field.alias) for field in model.model_fields.values())


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    parts = [_model_in(part) for part in getattr(annotation, "__args__", ())]
    return next((part for part in parts if part is not None), None)


def _owner(path: Path, document: Document) -> str:
    name = document.spelling.get((*path, "name"))
    if name and path:
        return quoted(name)
    if not path:
        return "the schema"
    return quoted(path[-1]) if isinstance(path[-1], str) else "this entry"
