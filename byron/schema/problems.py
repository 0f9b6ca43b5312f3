"""Problems found in a schema.yaml: where, which, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

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
}


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
    """A schema.yaml with problems; `problems` lists all of them, in the file's order."""

    def __init__(self, problems: Iterable[Problem], filename: str = "schema.yaml") -> None:
        self.problems = sorted(set(problems))
        self.filename = filename
        super().__init__("\n".join(problem.located(filename) for problem in self.problems))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` for the nearest known word, or an empty string."""
    folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    return f'; did you mean "{folded[near[0]]}"?' if near else ""


def quoted(value: object) -> str:
    """Return a value as messages show it: one line, printable, at most 60 characters."""
    text = value if isinstance(value, str) else str(value)
    text = text if len(text) <= 60 else text[:59] + "…"
    plain = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return '"' + plain.replace('"', '\\"') + '"'
