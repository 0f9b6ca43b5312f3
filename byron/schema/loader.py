"""schema.yaml's text to plain data, with the line and column of everything.

PyYAML's events are read one by one: no object is ever constructed, no alias expanded and no
recursion done, so that a hostile file costs no more than its size.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from byron.schema.problems import InvalidSchemaError, Problem, did_you_mean, quoted

LARGEST_FILE: Final = 1024 * 1024
DEEPEST_NESTING: Final = 20

Path = tuple[str | int, ...]

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_resolve = yaml.resolver.Resolver().resolve
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_TRUE = frozenset({"true", "yes", "on", "y"})
#: The monograph's Listing 8 prints `name: data:`; the second colon is read as a slip, its column kept.
_NAME_WITH_COLON = re.compile(r"^([ ]*(?:-[ ]+)?name:[ ]+[A-Za-z][A-Za-z0-9]*):([ ]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the text, counted from 1."""

    line: int = 1
    column: int = 1


@dataclass(slots=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and the place of each part of it.

    `values` and `keys` map a path such as `("content", "types", 0, "name")` to the place of the
    value and of the key before it; `spelling` maps the path of each scalar to how it is written.
    """

    data: Any = None
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    spelling: dict[Path, str] = field(default_factory=dict)

    def position(self, path: Path) -> Position:
        """Return the place of a value, or of the nearest thing that contains it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Position())

    def key_position(self, path: Path) -> Position:
        """Return the place of the key that ends this path, or else of its value."""
        return self.keys.get(path) or self.position(path)


def load(source: str | bytes, filename: str = "schema.yaml") -> Document:
    """Return the data of a schema file.

    Raises InvalidSchemaError with every problem that the text itself has (B001 to B009, and B013
    for keys that YAML does not read as text).
    """
    text = _text(source, filename)
    builder = _Builder()
    try:
        for event in _events(text):
            builder.take(event)
    except _StopReading:
        pass
    except yaml.MarkedYAMLError as error:
        builder.report(_syntax_problem(error, text))
    except yaml.YAMLError as error:
        builder.report(_character_problem(error, text))
    if not builder.problems and not builder.started:
        builder.report(Problem(line=1, column=1, code="B002", message="the file is empty; a schema begins with name:"))
    if builder.problems:
        raise InvalidSchemaError(builder.problems, filename)
    return builder.document


def _text(source: str | bytes, filename: str) -> str:
    def refuse(code: str, message: str) -> InvalidSchemaError:
        return InvalidSchemaError([Problem(line=1, column=1, code=code, message=message)], filename)

    raw = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if len(raw) > LARGEST_FILE:
        raise refuse("B003", f"the file has {len(raw)} bytes; at most {LARGEST_FILE} are read")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise refuse("B004", "the file begins with a byte order mark; save it as UTF-8 without one")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        message = "the file is not UTF-8 text; save it as UTF-8"
        raise InvalidSchemaError([Problem(line=line, column=column, code="B004", message=message)], filename) from error
    return _NAME_WITH_COLON.sub(r"\1 \2", text)


def _events(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.MarkedYAMLError, text: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    shown = lines[line - 1] if line <= len(lines) else ""
    if "\t" in shown[: len(shown) - len(shown.lstrip())]:
        return Problem(line=line, column=1, code="B001", message="a tab indents this line; YAML takes spaces only")
    reason = (error.problem or "it cannot be read").removesuffix("'")
    return Problem(line=line, column=column, code="B001", message=f"this is not YAML: {reason}")


def _character_problem(error: yaml.YAMLError, text: str) -> Problem:
    place = getattr(error, "position", None)
    before = text[:place] if isinstance(place, int) else ""
    reason = getattr(error, "reason", None) or "it cannot be read"
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return Problem(line=line, column=column, code="B001", message=f"this is not YAML: {reason}")


class _StopReading(Exception):
    """What follows cannot be trusted; the problem is reported."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    path: Path
    items: dict[str, Any] | list[Any]
    key: str | None = None
    ignored: bool = False


class _Builder:
    """Build a Document from a stream of events."""

    def __init__(self) -> None:
        self.document = Document()
        self.problems: list[Problem] = []
        self.started = False
        self._stack: list[_Open] = []

    def report(self, problem: Problem) -> None:
        self.problems.append(problem)

    def _problem(self, event: Any, code: str, message: str) -> None:
        mark = event.start_mark
        self.report(Problem(line=mark.line + 1, column=mark.column + 1, code=code, message=message))

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            if self.started:
                self._problem(event, "B009", "a second document begins here; a schema file holds one")
                raise _StopReading
            self.started = True
        elif isinstance(event, yaml.AliasEvent):
            self._problem(event, "B005", f"the alias *{event.anchor} is not allowed; write the value out")
            self._add(event, None)
        elif isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent):
            self._refuse_decorations(event)
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            else:
                self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._stack.pop()

    def _refuse_decorations(self, event: Any) -> None:
        if event.anchor:
            self._problem(event, "B005", f"the anchor &{event.anchor} is not allowed; write the value out")
        if event.tag and event.tag != "!":
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._problem(event, "B006", f"the tag {quoted(tag)} is not allowed; remove it")

    def _open(self, event: Any) -> None:
        if len(self._stack) >= DEEPEST_NESTING:
            self._problem(event, "B007", f"more than {DEEPEST_NESTING} levels of nesting; a schema needs fewer")
            raise _StopReading
        parent = self._stack[-1] if self._stack else None
        if parent and isinstance(parent.items, dict) and parent.key is None:
            self._problem(event, "B013", "a key must be text, not a list or a mapping")
            raise _StopReading
        items: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._stack.append(_Open(self._add(event, items), items))

    def _scalar(self, event: Any) -> None:
        parent = self._stack[-1] if self._stack else None
        if parent and isinstance(parent.items, dict) and parent.key is None:
            self._key(event, parent)
            return
        path = self._add(event, _scalar_value(event))
        self.document.spelling[path] = event.value

    def _key(self, event: Any, parent: _Open) -> None:
        text = event.value
        kind = _kind(event)
        if kind == "merge":
            self._problem(event, "B005", "the merge key << is not allowed; write the keys out")
        elif kind not in ("str", "value"):
            message = f"YAML reads the key {quoted(text)} as {_ARTICLE.get(kind, kind)}; keys here are words"
            self._problem(event, "B013", message + did_you_mean(text, ("name", "type", "order")) if text else message)
        elif text in parent.items:
            self._problem(event, "B008", f"the key {quoted(text)} stands twice in this mapping; remove one")
        parent.ignored = text in parent.items
        parent.key = text
        if not parent.ignored:
            mark = event.start_mark
            self.document.keys[(*parent.path, text)] = Position(mark.line + 1, mark.column + 1)

    def _add(self, event: Any, value: Any) -> Path:
        mark = event.start_mark
        place = Position(mark.line + 1, mark.column + 1)
        if not self._stack:
            self.document.data = value
            self.document.values[()] = place
            return ()
        parent = self._stack[-1]
        if isinstance(parent.items, list):
            path: Path = (*parent.path, len(parent.items))
            parent.items.append(value)
        else:
            key = parent.key if parent.key is not None else ""
            path = (*parent.path, key)
            parent.key = None
            if parent.ignored:
                return path
            parent.items[key] = value
        self.document.values[path] = place
        return path


_ARTICLE: Final = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
}


def _kind(event: Any) -> str:
    """Return what YAML 1.1 takes a scalar for: str, bool, int, float, null, timestamp, merge or value."""
    if not event.implicit[0]:
        return "str"
    tag: str = _resolve(yaml.ScalarNode, event.value, (True, False))
    return tag.rpartition(":")[2]


def _scalar_value(event: Any) -> Any:
    kind = _kind(event)
    if kind == "null":
        return None
    if kind == "bool":
        return event.value.lower() in _TRUE
    if kind == "int" and _INTEGER.fullmatch(event.value):
        return int(event.value)
    if kind == "float":
        try:
            return float(event.value)
        except ValueError:
            return event.value
    return event.value
