"""Plain data to a Component, collecting every problem of structure on the way.

What is broken is set aside, so that validation can still look at the rest and one run reports
everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from byron.schema.loader import Document, Path
from byron.schema.model import Component
from byron.schema.problems import MOST_PROBLEMS, Problem, nearest
from byron.schema.structure import describe, known_keys, known_path

#: A fault inside what was itself at fault shows in the next pass; no schema is this deep.
_MOST_PASSES: Final = 10
#: Keys without which what contains them cannot be understood.
_NEEDED = frozenset(
    {"name", "namespace", "type", "returnType", "attributes", "values", "event", "payload", "parameters"}
    | {"list", "get", "create", "update", "upsert", "delete"}
)
#: Those of them that get a value which offends nothing, see `_Repair.stand_in`.
_REPLACED = frozenset({"name", "namespace", "content", "type", "returnType", "attributes", "values"})


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be understood of a document.

    `component` is None when not even a part could. `document` is the one that its paths refer to.
    `doubtful` holds section and name of declarations of which a part was set aside, names without
    regard to case: what depends on their being complete is not to be judged. `lost` holds the
    sections with declarations whose very name cannot be used; `stand_in` is how the names begin that are there in
    place of such names.
    """

    component: Component | None
    document: Document
    problems: list[Problem]
    doubtful: frozenset[tuple[str, str]] = frozenset()
    lost: frozenset[str] = frozenset()
    stand_in: str | None = None


def parse(document: Document) -> Parsed:
    """Return the Component that a document declares, with every problem of its structure."""
    problems = list(document.problems)
    repair = _Repair(prefix=_unused_prefix(document))
    for _ in range(_MOST_PASSES):
        try:
            component = Component.model_validate(document.data)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True)
        else:
            doubtful, lost = frozenset(repair.doubtful), frozenset(repair.lost)
            return Parsed(component, document, problems, doubtful, lost, repair.prefix)
        hopeless = len(details) > MOST_PROBLEMS
        details = details[: 2 * MOST_PROBLEMS]  # at least every second one is no follow-up
        renamed = _misspelt(details, document)
        follow_ups = {(*path[:-1], key) for path, key in renamed.items()}
        details = [detail for detail in details if detail["loc"] not in follow_ups]
        problems += _problems(details, document, MOST_PROBLEMS - len(problems))
        if not isinstance(document.data, dict) or hopeless:
            break
        document = repair.without(document, details, renamed)
    return Parsed(None, document, problems)


def _problems(details: Iterable[ErrorDetails], document: Document, most: int) -> list[Problem]:
    found: list[Problem] = []
    for detail in details:
        path = known_path(detail["loc"], document)
        if len(found) >= most:
            break
        if not _follows(detail, path, document):
            on_key = detail["type"] == "extra_forbidden"
            place = document.key_position(path) if on_key else document.position(path)
            code, message = describe(detail, path, document)
            found.append(Problem(line=place.line, column=place.column, code=code, message=message))
    return found


def _follows(detail: ErrorDetails, path: Path, document: Document) -> bool:
    """Whether an error is only what comes of a problem that is known."""
    if detail["type"] == "missing" and path in document.incomplete:
        return True
    if detail["type"] == "too_short" and detail["input"]:
        return True  # pydantic counts the entries that are valid
    return any(path[:length] in document.broken for length in range(len(path) + 1))


def _misspelt(details: Iterable[ErrorDetails], document: Document) -> dict[Path, str]:
    """Return the unknown keys that stand where a known one is missing, each with what it is to mean."""
    renamed: dict[Path, str] = {}
    meant_already: set[Path] = set()
    for detail in details:
        path: Path = tuple(detail["loc"])
        if detail["type"] != "extra_forbidden":
            continue
        meant = nearest(str(path[-1]), known_keys(path[:-1]))
        target = (*path[:-1], meant or "")
        if meant and target not in document.values and target not in meant_already:
            renamed[path] = meant
            meant_already.add(target)
    return renamed


def _unused_prefix(document: Document) -> str:
    """Return a beginning of names that no name in the document has."""
    prefix = "unnamed"
    written = {text.casefold() for text in document.spelling.values()}
    while any(text.startswith(prefix) for text in written):
        prefix += "x"
    return prefix


@dataclass(slots=True)
class _Repair:
    """Set aside what cannot be used, and remember what is in doubt because of that."""

    prefix: str
    doubtful: set[tuple[str, str]] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    _stand_ins: int = 0

    def without(self, document: Document, details: Iterable[ErrorDetails], renamed: dict[Path, str]) -> Document:
        """Return the document less what these errors are about, every remaining part with its place of old."""
        aside: dict[Path, set[str | int]] = {}
        for detail in details:
            path = _set_aside(detail, document)
            if path not in renamed:
                aside.setdefault(path[:-1], set()).add(path[-1])
                self._doubt(path, document)
        return _Copy(document, aside, renamed, self.stand_in).made()

    def stand_in(self, path: Path) -> Any:
        """Return a value that offends nothing, in place of one that cannot be used."""
        key = path[-1]
        if key == "content":
            return {}
        if key in ("type", "returnType"):
            return "query" if key == "type" and len(path) == 4 else "String"
        self._stand_ins += 1
        name = f"{self.prefix}{self._stand_ins}"
        if key == "values":
            return [name]
        if key == "attributes":
            return [{"name": name, "type": "String"}]
        if len(path) == 4:
            self.doubtful.add((str(path[1]), name))
        is_type = len(path) < 4 or path[1] in ("types", "inputs", "enums") and len(path) == 4
        return name.capitalize() if is_type else name

    def _doubt(self, path: Path, document: Document) -> None:
        section = str(path[1]) if len(path) > 1 else ""
        name = _at(document.data, (*path[:3], "name")) if len(path) > 2 else None
        if isinstance(name, str):
            self.doubtful.add((section, name.casefold()))
        if not isinstance(name, str) and len(path) < 4 or path[3:] == ("name",):
            self.lost.add(section)


def _set_aside(detail: ErrorDetails, document: Document) -> Path:
    """Return the path of the smallest part without which the rest can be understood."""
    location: Path = tuple(detail["loc"])
    if detail["type"] == "missing" and location[-1] in _REPLACED:
        return location
    path = known_path(location, document)
    while path and path[-1] in _NEEDED and path[-1] not in _REPLACED:
        path = path[:-1]
    return path if path else location[:1]


def _at(data: Any, path: Path) -> Any:
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


class _Copy:
    """A document copied, less some parts: those set aside, by what they are in."""

    def __init__(self, old: Document, aside: dict[Path, set[str | int]], renamed: dict[Path, str], stand_in: Any):
        self._old, self._aside, self._renamed, self._stand_in = old, aside, renamed, stand_in
        self._new = Document()

    def made(self) -> Document:
        self._new.data = self._value(self._old.data, (), ())
        return self._new

    def _value(self, value: Any, old: Path, new: Path) -> Any:
        if old in self._old.values:
            self._new.values[new] = self._old.values[old]
        if old in self._old.keys:
            self._new.keys[new] = self._old.keys[old]
        if old in self._old.spelling:
            self._new.spelling[new] = self._old.spelling[old]
        if old in self._old.broken:
            self._new.broken.add(new)
        if old in self._old.incomplete:
            self._new.incomplete.add(new)
        if isinstance(value, dict):
            return self._mapping(value, old, new)
        if isinstance(value, list):
            aside = self._aside.get(old, ())
            kept = [(index, item) for index, item in enumerate(value) if index not in aside]
            if value and not kept:
                self._new.broken.add(new)
            return [self._value(item, (*old, index), (*new, at)) for at, (index, item) in enumerate(kept)]
        return value

    def _mapping(self, value: dict[str, Any], old: Path, new: Path) -> dict[str, Any]:
        aside = self._aside.get(old, set())
        copied = {}
        for key, item in value.items():
            name = self._renamed.get((*old, key), key)
            if key not in aside:
                copied[name] = self._value(item, (*old, key), (*new, name))
        for key in sorted(str(key) for key in aside & _REPLACED):
            copied[key] = self._stand_in((*old, key))
        return copied
