"""Roles of commands: each once, and the words that stand for everyone by themselves."""

from __future__ import annotations

from collections.abc import Sequence

from byron.schema.declarations import Declarations, Found
from byron.schema.loader import Path
from byron.schema.names import ANYONE, AUTHENTICATED
from byron.schema.problems import quoted

_OPEN_TO = {ANYONE: "to everyone, with a token or without", AUTHENTICATED: "to everyone who has a valid token"}


def check_roles(declarations: Declarations) -> Found:
    """Find roles that stand twice, and reserved words that are misspelt or beside others."""
    for index, command in enumerate(declarations.component.content.commands):
        yield from _roles(("content", "commands", index, "roles"), command.roles or ())


def _roles(base: Path, roles: Sequence[str]) -> Found:
    for at, role in enumerate(roles):
        path, word = (*base, at), role.casefold()
        if role in roles[:at]:
            yield path, "B016", f"{quoted(role)} stands twice in roles:; remove one"
        elif word in _OPEN_TO and role != word:
            yield path, "B015", f"{quoted(role)} is too like the reserved word {word}; write it so, or rename the role"
        elif word in _OPEN_TO and len(roles) > 1:
            message = f"{quoted(role)} opens the command {_OPEN_TO[word]}, whatever roles are beside it"
            yield path, "B022", f"{message}; let it stand alone, or remove it"
