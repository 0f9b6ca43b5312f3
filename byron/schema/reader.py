"""schema.yaml to a Component: the way in, past loader, parser and validation."""

from __future__ import annotations

from pathlib import Path

from byron.schema.loader import LARGEST_FILE, load
from byron.schema.model import Component
from byron.schema.parser import parse
from byron.schema.problems import InvalidSchemaError
from byron.schema.validation import validate


def parse_component(source: str | bytes, filename: str = "schema.yaml") -> Component:
    """Return the component that a schema's text declares.

    Raises InvalidSchemaError, which lists every problem.
    """
    parsed = parse(load(source, filename))
    problems = [*parsed.problems, *validate(parsed)]
    if problems or parsed.component is None:
        raise InvalidSchemaError(problems, filename)
    return parsed.component


def read_component(path: Path, filename: str | None = None) -> Component:
    """Return the component of a schema file. Raises InvalidSchemaError and OSError."""
    with path.open("rb") as file:
        return parse_component(file.read(LARGEST_FILE + 1), filename or path.name)
