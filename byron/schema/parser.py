"""Plain data to a Component, collecting every problem of structure on the way.

What is broken is set aside, so that validation can still look at the rest and one run reports
everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from byron.schema import names
from byron.schema.loader import Document, Path
from byron.schema.model import Component
from byron.schema.problems import Problem, did_you_mean, quoted

_KIND_OF_NAME = {
    names.COMPONENT_PATTERN: "letters and digits, a letter first",
    names.TYPE_PATTERN: "letters and digits, a capital letter first",
    names.FIELD_PATTERN: "letters and digits, a small letter first (camelCase)",
    names.ENUM_VALUE_PATTERN: "letters, digits and single underscores, a letter first",
    names.EVENT_PATTERN: "words joined by dots, each a small letter first (new.student)",
    "^-?" + names.FIELD_PATTERN.removeprefix("^"): "an attribute's name, with - before it for descending",
}
_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "tuple_type": "a list",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
}


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be understood of a document.

    `component` is None when not even a part could. `document` is the one that its paths refer to.
    `doubtful` holds the names of declarations of which a part was set aside: what depends on their
    being complete is not to be judged.
    """

    component: Component | None
    document: Document
    problems: list[Problem]
    doubtful: frozenset[str]


def parse(document: Document) -> Parsed:
    """Return the Component that a document declares, with every problem of its structure."""
    problems: list[Problem] = []
    doubtful: set[str] = set()
    for attempt in range(10):  # each pass sets something aside; deeper faults show once the outer ones are gone
        try:
            component = Component.model_validate(document.data)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True)
        else:
            return Parsed(component, document, problems, frozenset(doubtful))
        # A list that is empty only because its entries were set aside is not a problem of its own.
        told = [detail for detail in details if attempt == 0 or detail["type"] != "too_short"]
        problems.extend(_problem(detail, document) for detail in told)
        if not isinstance(document.data, dict):
            break
        aside = {_set_aside(detail, document) for detail in details}
        doubtful.update(filter(None, (_declaration_name(path, document) for path in aside)))
        document = _without(document, aside)
    return Parsed(None, document, problems, frozenset(doubtful))


def _problem(detail: ErrorDetails, document: Document) -> Problem:
    kind, context = detail["type"], detail.get("ctx", {})
    path = _known_path(detail["loc"], document)
    on_key = kind == "extra_forbidden"
    place = document.key_position(path) if on_key else document.position(path)
    code, message = _describe(kind, context, path, detail, document)
    return Problem(line=place.line, column=place.column, code=code, message=message)


def _describe(
    kind: str, context: Mapping[str, Any], path: Path, detail: ErrorDetails, document: Document
) -> tuple[str, str]:
    key = str(path[-1]) if path else ""
    if kind == "extra_forbidden":
        known = _known_keys(path[:-1])
        hint = did_you_mean(key, known) or f"; known here: {', '.join(known)}"
        return "B010", f"unknown key {quoted(key)}{hint}"
    if kind == "missing":
        return "B011", f"{_owner(path, document)} lacks the key {quoted(str(detail['loc'][-1]))}"
    if kind == "type_expression":
        return "B017", f'{quoted(detail["input"])} is not a type; write one as "Int", "Int!" or "[Int!]!"'
    if kind == "string_pattern_mismatch":
        return "B014", f"{quoted(detail['input'])} cannot be a name here: {_KIND_OF_NAME[context['pattern']]}"
    if kind == "string_too_long":
        return "B014", f"{quoted(detail['input'])} is too long: {context['max_length']} characters at most"
    if kind == "literal_error":
        allowed = [word.strip("'") for word in str(context["expected"]).split(" or ")]
        hint = did_you_mean(str(detail["input"]), allowed) or f"; allowed: {', '.join(allowed)}"
        return "B018", f"{quoted(detail['input'])} is not allowed as {quoted(key)}{hint}"
    if kind == "exactly_one":
        return "B022", f"{quoted(key)} takes exactly one of the keys {', '.join(context['keys'])}"
    if kind == "too_short":
        return "B011", f"{quoted(key)} is an empty list; it needs at least one entry"
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
        return "B024", f"{quoted(key)} is {detail['input']}; it must be {bound}"
    return "B013", _wrong_type(_EXPECTED.get(kind, "something else"), path, detail["input"], document)


def _wrong_type(expected: str, path: Path, value: Any, document: Document) -> str:
    where = f"{quoted(str(path[-1]))}" if path and isinstance(path[-1], str) else "an entry of this list"
    where = where if path else "the document"
    written = document.spelling.get(path, "")
    if value is None:
        return f"{where} is empty; it takes {expected}"
    if isinstance(value, bool) and expected == "text":
        return f'{where} takes {expected}, and YAML reads {written} as a boolean; write "{written}" with quotes'
    if isinstance(value, int | float) and expected == "text":
        return f'{where} takes {expected}, and YAML reads {written} as a number; write "{written}" with quotes'
    found = {dict: "a mapping", list: "a list"}.get(type(value), quoted(written or value))
    return f"{where} takes {expected}, not {found}"


def _known_path(location: tuple[int | str, ...], document: Document) -> Path:
    """Return the longest part of pydantic's location that the document has a place for."""
    path: Path = tuple(location)
    while path and path not in document.values:
        path = path[:-1]
    return path


def _known_keys(path: Path) -> list[str]:
    """Return the keys that the model allows in the mapping at this path."""
    model: Any = Component
    for step in path:
        if isinstance(step, int):
            continue
        info = next(field for field in model.model_fields.values() if field.alias == step)
        model = _model_in(info.annotation)
    return [str(field.alias) for field in model.model_fields.values()]


def _model_in(annotation: Any) -> Any:
    if hasattr(annotation, "model_fields"):
        return annotation
    parts = [_model_in(part) for part in getattr(annotation, "__args__", ())]
    return next((part for part in parts if part is not None), None)


def _owner(path: Path, document: Document) -> str:
    name = _at(document.data, (*path, "name"))
    if isinstance(name, str) and path:
        return f"{quoted(name)}"
    return (
        f"{quoted(str(path[-1]))}" if path and isinstance(path[-1], str) else ("this entry" if path else "the schema")
    )


def _at(data: Any, path: Path) -> Any:
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _set_aside(detail: ErrorDetails, document: Document) -> Path:
    """Return the path of the smallest part without which the rest can be understood.

    Names and types that cannot be used are not left out but replaced, see `_stand_in`.
    """
    location: Path = tuple(detail["loc"])
    if detail["type"] == "missing" and location[-1] in _REPLACED:
        return location
    path = _known_path(location, document)
    while path and path[-1] in _NEEDED and path[-1] not in _REPLACED:
        path = path[:-1]
    return path if path else location[:1]


#: Keys without which what contains them cannot be understood.
_NEEDED = frozenset(
    {"name", "namespace", "type", "returnType", "attributes", "values", "event", "payload", "parameters"}
)
_REPLACED = frozenset({"name", "namespace", "content", "type", "returnType", "attributes", "values"})


def _stand_in(path: Path, number: int) -> Any:
    """Return a value that offends nothing, in place of one that cannot be used."""
    key = path[-1]
    if key == "content":
        return {}
    if key in ("attributes", "values"):
        name = f"unnamed{number}"
        return [name] if key == "values" else [{"name": name, "type": "String"}]
    if key in ("type", "returnType"):
        return "query" if key == "type" and len(path) == 4 else "String"
    is_type = len(path) < 4 or path[1] in ("types", "inputs", "enums") and len(path) == 4
    return f"Unnamed{number}" if is_type else f"unnamed{number}"


def _declaration_name(path: Path, document: Document) -> str | None:
    """Return the name of the declaration that this path is in, e.g. of `content.types[2]`."""
    name = _at(document.data, (*path[:3], "name"))
    return name if isinstance(name, str) else None


def _without(document: Document, aside: set[Path]) -> Document:
    """Return the document less some parts, every remaining part with its place of old."""
    kept = Document()
    numbers = count()

    def copy(value: Any, old: Path, new: Path) -> Any:
        for places, kept_places in ((document.values, kept.values), (document.keys, kept.keys)):
            if old in places:
                kept_places[new] = places[old]
        if old in document.spelling:
            kept.spelling[new] = document.spelling[old]
        if isinstance(value, dict):
            return mapping(value, old, new)
        if isinstance(value, list):
            remaining = [(index, item) for index, item in enumerate(value) if (*old, index) not in aside]
            return [copy(item, (*old, index), (*new, at)) for at, (index, item) in enumerate(remaining)]
        return value

    def mapping(value: dict[str, Any], old: Path, new: Path) -> dict[str, Any]:
        copied = {key: copy(item, (*old, key), (*new, key)) for key, item in value.items() if (*old, key) not in aside}
        for path in aside:
            if path[:-1] == old and path[-1] in _REPLACED:
                copied[str(path[-1])] = _stand_in(path, next(numbers))
        return copied

    kept.data = copy(document.data, (), ())
    return kept
