"""Problems found in a schema.yaml: where, which, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from byron.exceptions import SchemaError

#: Every code, with what it is about. The reference in docs/ has one heading for each.
CODES = {
    "B001": "The text is not YAML.",
    "B002": "The file is empty.",
    "B003": "The file is larger than 1 MiB.",
    "B004": "The file is not plain UTF-8 text.",
    "B005": "Anchors, aliases and merge keys are not used here.",
    "B006": "Tags are not used here.",
    "B007": "The document is nested too deeply.",
    "B008": "A key stands twice in one mapping.",
    "B009": "The file holds more than one document.",
    "B010": "A key is not known here.",
    "B011": "A key is missing.",
    "B012": "A type is not declared.",
    "B013": "A value is of the wrong YAML type.",
    "B014": "A name does not follow the pattern of its kind.",
    "B015": "A name is reserved.",
    "B016": "A name is used twice.",
    "B017": "A type expression cannot be read.",
    "B018": "A value is not one of those allowed.",
    "B019": "Something is named that is not declared.",
    "B020": "A type cannot be used in this place.",
    "B021": "Input types require one another without end.",
    "B022": "A declaration does not go with another.",
    "B023": "A declared operation lacks something it needs.",
    "B024": "A number is out of range.",
    "B025": "A version is declared that cannot be.",
    "B026": "An old name cannot be what something was renamed from.",
    "B027": "A value is none of its type.",
}


#: Nobody reads more, and a hostile file could have a problem every few bytes.
MOST_PROBLEMS: Final = 1000
#: Words longer than this, and names after so many, are not searched for a likely meaning.
_LONGEST_GUESS: Final = 60
_MOST_GUESSES: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One problem; line and column count from 1."""

    line: int
    column: int
    code: str
    message: str

    def located(self, filename: str) -> str:
        """Return the problem as compilers print theirs, for editors to jump to."""
        return f"{filename}:{self.line}:{self.column}: {self.code} {self.message}"


class InvalidSchemaError(SchemaError):
    """A schema.yaml with problems; `problems` lists them in the file's order, MOST_PROBLEMS at most."""

    def __init__(self, problems: Iterable[Problem], filename: str = "schema.yaml") -> None:
        found = sorted(set(problems))
        self.problems = found[:MOST_PROBLEMS]
        self.filename = filename
        lines = [problem.located(filename) for problem in self.problems]
        if len(found) >= MOST_PROBLEMS:
            lines.append(f"{filename}: there may be more; these are the first {MOST_PROBLEMS}")
        super().__init__("\n".join(lines))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like this one, or None when none is like it."""
    if len(word) > _LONGEST_GUESS:
        return None
    likely = (name for name in islice(known, _MOST_GUESSES) if abs(len(name) - len(word)) <= len(word))
    folded = {name.casefold(): name for name in likely}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    return folded[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` for the nearest known word, or an empty string."""
    near = nearest(word, known)
    return f'; did you mean "{near}"?' if near else ""


def listed(words: Sequence[str]) -> str:
    """Return words as messages list them: all of a few, or the first ones and how many more."""
    shown = ", ".join(words[:8])
    return shown if len(words) <= 8 else f"{shown} and {len(words) - 8} more"


def quoted(value: object) -> str:
    """Return a value as messages show it: one line, printable, at most 60 characters."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= 60 else text[:59] + "…"
    plain = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return '"' + plain.replace('"', '\\"') + '"'
