"""schema.yaml's text to plain data, with the line and column of everything.

PyYAML's events are read one by one: no object is ever constructed, no alias expanded and no
recursion done, so that a hostile file costs no more than its size.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from byron.schema.problems import MOST_PROBLEMS, InvalidSchemaError, Problem, quoted

LARGEST_FILE: Final = 1024 * 1024
DEEPEST_NESTING: Final = 20

Path = tuple[str | int, ...]

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_resolve: Any = yaml.resolver.Resolver().resolve
#: Longer words are text without a look at them: nothing here is a number of so many digits.
_LONGEST_NUMBER: Final = 100
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_TRUE = frozenset({"true", "yes", "on"})
_LINE_END = re.compile(r"\r\n|\r|\n")
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: The monograph's Listing 8 prints `name: data:`; the second colon is read as a slip, its column kept.
_NAME_WITH_COLON = re.compile(r"^([ ]*(?:-[ ]+)?name:[ ]+[A-Za-z][A-Za-z0-9]*):([ ]*\r?)$", re.MULTILINE)


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
    `problems` are those of the text that leave the rest readable; `broken` has the paths of the
    values that they make meaningless, `incomplete` those of the mappings of which a key is gone.
    """

    data: Any = None
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    spelling: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    incomplete: set[Path] = field(default_factory=set)

    def position(self, path: Path) -> Position:
        """Return the place of a value, or of the nearest thing that contains it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Position())

    def key_position(self, path: Path) -> Position:
        """Return the place of the key that ends this path, or else of its value."""
        return self.keys.get(path) or self.position(path)


def load(source: str | bytes, filename: str = "schema.yaml") -> Document:
    """Return the data of a schema file, with the problems that the text has (B005 to B009, B013).

    Raises InvalidSchemaError when what is found cannot be relied on: no YAML, no text, nested too
    deeply (B001 to B004, B007).
    """
    text = _text(source, filename)
    builder = _read(text)
    if builder.failure is not None and builder.failure.code == "B001" and _NAME_WITH_COLON.search(text):
        builder = _read(_NAME_WITH_COLON.sub(r"\1 \2", text))
    if builder.failure is not None:
        raise InvalidSchemaError([*builder.document.problems, builder.failure], filename)
    return builder.document


def _text(source: str | bytes, filename: str) -> str:
    def refuse(code: str, message: str, before: str = "") -> InvalidSchemaError:
        place = _Lines(before).position(len(before))
        return InvalidSchemaError([Problem(line=place.line, column=place.column, code=code, message=message)], filename)

    raw = source.encode("utf-8", "surrogatepass") if isinstance(source, str) else source
    if len(raw) > LARGEST_FILE:
        raise refuse("B003", f"the file is larger than 1 MiB ({LARGEST_FILE} bytes); split the component")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise refuse("B004", "the file begins with a byte order mark; save it as UTF-8 without one")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        raise refuse("B004", "the file is not UTF-8 text from here on; save it as UTF-8", before) from error
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        shown = quoted(unprintable.group())
        raise refuse("B004", f"the control character {shown} is not text; remove it", text[: unprintable.start()])
    return text


class _Lines:
    """Lines as editors count them; YAML would also end one at U+0085, U+2028 and U+2029."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in _LINE_END.finditer(text))]
        self._text = text

    def position(self, index: int) -> Position:
        line = bisect_right(self._starts, index)
        return Position(line, index - self._starts[line - 1] + 1)

    def line(self, number: int) -> str:
        """Return the text of a line, counted from 1."""
        return (_LINE_END.split(self._text[self._starts[number - 1] :], maxsplit=1) or [""])[0]


def _read(text: str) -> _Builder:
    """Return a builder that has taken all that can be read of a text."""
    lines = _Lines(text)
    builder = _Builder(lines)
    try:
        for event in _events(text):
            builder.take(event)
    except _StopReading:
        pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is not None and mark.index < len(text) and "nesting depth" in (error.problem or ""):
            # libyaml reads ahead: what it gives up at lies far behind the level that is one too many here.
            return _read(text[: mark.index])
        builder.failure = _syntax_problem(error, lines)
    if builder.failure is None and not builder.started:
        builder.failure = Problem(
            line=1, column=1, code="B002", message="the file is empty; a schema begins with name:"
        )
    return builder


def _events(text: str) -> Iterator[Any]:
    loader = _Loader(text)
    try:
        while loader.check_event():
            yield loader.get_event()
    finally:
        loader.dispose()


def _syntax_problem(error: yaml.MarkedYAMLError, lines: _Lines) -> Problem:
    mark = error.problem_mark or error.context_mark
    place = lines.position(mark.index) if mark else Position()
    line = lines.line(place.line)
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return Problem(
            line=place.line, column=1, code="B001", message="a tab indents this line; YAML takes spaces only"
        )
    reason = error.problem or "it cannot be read"
    context = error.context or ""
    opened = f"opened in line {lines.position(error.context_mark.index).line}" if error.context_mark else ""
    at_mark = line[place.column - 1 : place.column]
    if "]!" in line[max(0, place.column - 4) : place.column]:
        reason = 'a list type stands between quotes: "[Student!]!"'
    elif "cannot start any token" in reason:
        reason = f"a value cannot begin with {quoted(at_mark)}; put it between quotes"
    elif "mapping values are not allowed" in reason:
        reason = "a second colon in one line, or a wrong indentation; put text that holds a colon between quotes"
    elif "flow" in context:
        reason = f"{reason}, for the bracket {opened}"
    elif "quoted" in context and "end of stream" in reason:
        reason = f"the quotation mark {opened} is not closed"
    return Problem(line=place.line, column=place.column, code="B001", message=f"this is not YAML: {reason}")


class _StopReading(Exception):
    """What follows cannot be trusted; the problem is reported."""


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet; its path is None when nothing of it is kept."""

    path: Path | None
    items: dict[str, Any] | list[Any]
    key: str | None = None
    ignored: bool = False


class _Builder:
    """Build a Document from a stream of events."""

    def __init__(self, lines: _Lines) -> None:
        self.document = Document()
        self.failure: Problem | None = None
        self.started = False
        self._lines = lines
        self._stack: list[_Open] = []

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            if self.started:
                self._report(event, "B009", "a second document begins here; a schema file holds one")
                raise _StopReading
            self.started = True
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._stack.pop()

    def _problem(self, event: Any, code: str, message: str) -> Problem:
        place = self._place(event)
        return Problem(line=place.line, column=place.column, code=code, message=message)

    def _report(self, event: Any, code: str, message: str) -> None:
        if len(self.document.problems) < MOST_PROBLEMS:
            self.document.problems.append(self._problem(event, code, message))

    def _stop(self, event: Any, code: str, message: str) -> _StopReading:
        self.failure = self._problem(event, code, message)
        return _StopReading()

    def _place(self, event: Any) -> Position:
        return self._lines.position(event.start_mark.index)

    def _at_key(self) -> _Open | None:
        """Return the mapping of which a key comes next, if one does."""
        parent = self._stack[-1] if self._stack else None
        return parent if parent and isinstance(parent.items, dict) and parent.key is None else None

    def _alias(self, event: Any) -> None:
        self._report(event, "B005", f"the alias {quoted('*' + event.anchor)} is not allowed; write the value out")
        mapping = self._at_key()
        if mapping:
            self._ignore(mapping, "")
        else:
            self._add(event, None, broken=True)

    def _decorated(self, event: Any) -> bool:
        """Report an anchor and a tag; whether there is a tag, which makes the value another one."""
        if event.anchor:
            self._report(event, "B005", f"the anchor {quoted('&' + event.anchor)} is not allowed; remove it")
        if event.tag:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._report(event, "B006", f"the tag {quoted(tag)} is not allowed; remove it")
        return bool(event.tag)

    def _open(self, event: Any) -> None:
        if self._at_key():
            raise self._stop(event, "B013", "a key must be text, not a list or a mapping")
        if len(self._stack) >= DEEPEST_NESTING:
            raise self._stop(event, "B007", f"more than {DEEPEST_NESTING} levels of nesting; a schema needs fewer")
        items: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._stack.append(_Open(self._add(event, items, broken=self._decorated(event)), items))

    def _scalar(self, event: Any) -> None:
        tagged = self._decorated(event)
        mapping = self._at_key()
        if mapping:
            self._key(event, mapping)
            return
        path = self._add(event, _scalar_value(event), broken=tagged)
        if path is not None:
            self.document.spelling[path] = event.value

    def _key(self, event: Any, parent: _Open) -> None:
        text = event.value
        kind = _kind(event)
        problem = None
        if kind == "merge":
            problem = "B005", "the merge key << is not allowed; write the keys out"
        elif kind not in ("str", "value"):
            problem = "B013", f"YAML reads the key {quoted(text)} as {_ARTICLE.get(kind, kind)}; keys here are words"
        elif text in parent.items:
            problem = "B008", f"the key {quoted(text)} stands twice in this mapping; remove one"
        if problem:
            self._report(event, *problem)
            self._ignore(parent, text)
        else:
            parent.key, parent.ignored = text, False
            if parent.path is not None:
                self.document.keys[(*parent.path, text)] = self._place(event)

    def _ignore(self, parent: _Open, key: str) -> None:
        """Let the value that follows be read and dropped."""
        parent.key, parent.ignored = key, True
        if parent.path is not None and key not in parent.items:
            self.document.incomplete.add(parent.path)

    def _add(self, event: Any, value: Any, *, broken: bool) -> Path | None:
        """Put a value into what is open, and return its path; None when it is not kept."""
        path: Path | None = ()
        if not self._stack:
            self.document.data = value
        else:
            path = self._put(self._stack[-1], value)
        if path is not None:
            self.document.values[path] = self._place(event)
            if broken:
                self.document.broken.add(path)
        return path

    @staticmethod
    def _put(parent: _Open, value: Any) -> Path | None:
        if isinstance(parent.items, list):
            step: str | int = len(parent.items)
            parent.items.append(value)
        else:
            step, parent.key = parent.key or "", None
            if parent.ignored:
                return None
            parent.items[step] = value
        return None if parent.path is None else (*parent.path, step)


_ARTICLE: Final = {
    "bool": "a boolean",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
}


def _kind(event: Any) -> str:
    """Return what YAML 1.1 takes a scalar for: str, bool, int, float, null, timestamp, merge or value."""
    if not event.implicit[0] or len(event.value) > _LONGEST_NUMBER:
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
        with suppress(ValueError):
            return float(event.value)
    return event.value
