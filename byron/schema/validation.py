"""What the parts of a schema must be to one another: every check, in one pass."""

from __future__ import annotations

from itertools import chain, islice

from byron.schema.checks.commands import check_commands
from byron.schema.checks.defaults import check_defaults
from byron.schema.checks.events import check_events
from byron.schema.checks.names import check_names
from byron.schema.checks.renames import check_renames
from byron.schema.checks.roles import check_roles
from byron.schema.checks.types import check_types
from byron.schema.checks.versions import check_versions
from byron.schema.declarations import Declarations, Finding
from byron.schema.loader import Document
from byron.schema.parser import Parsed
from byron.schema.problems import MOST_PROBLEMS, Problem

_CHECKS = (
    check_names,
    check_types,
    check_defaults,
    check_events,
    check_commands,
    check_versions,
    check_renames,
    check_roles,
)


def validate(parsed: Parsed) -> list[Problem]:
    """Return the problems that the declarations of a component have with one another, MOST_PROBLEMS at most."""
    if parsed.component is None:
        return []
    declarations = Declarations(parsed.component, parsed.doubtful, parsed.lost)
    every = chain.from_iterable(check(declarations) for check in _CHECKS)
    # Nobody wrote the stand-ins, and what they stand for is a problem already.
    found = (finding for finding in every if parsed.stand_in is None or parsed.stand_in not in finding[2])
    return [_problem(parsed.document, finding) for finding in islice(found, MOST_PROBLEMS)]


def _problem(document: Document, finding: Finding) -> Problem:
    path, code, message = finding
    place = document.position(path)
    return Problem(line=place.line, column=place.column, code=code, message=message)
