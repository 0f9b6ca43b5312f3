"""`cacheroles`: the database users of API and Sink, each with the rights of its role and no others."""

from __future__ import annotations

import os
from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from byron.cache.rights.base import ROLES, Plan, Rights, Users
from byron.cache.rights.kinds import rights_for
from byron.exceptions import CacheError
from byron.management.preparation import choose, require_components


class Command(BaseCommand):
    help = "Print, or apply, the commands that give the API and the Sink database users with no more than their rights."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "components", nargs="*", metavar="COMPONENT", help="Choose components by label; all of them by default."
        )
        parser.add_argument("--apply", action="store_true", help="Run the commands instead of printing them.")
        for role in ROLES:
            parser.add_argument(f"--{role.value}", metavar="USER", help=f"Name the {role.value}'s user.")
        parser.add_argument("--ask-passwords", action="store_true", help="Ask for the users' passwords.")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = choose(require_components(), options["components"])
        try:
            for config in chosen:
                rights = rights_for(config)
                users = _users(rights, options)
                plan = rights.plan(users)
                self._tell(config.label, rights, users, plan, applying=options["apply"])
                if options["apply"]:
                    rights.apply(plan)
        except (CacheError, DatabaseError) as error:
            raise CommandError(str(error).strip()) from error

    def _tell(self, label: str, rights: Rights, users: Users, plan: Plan, *, applying: bool) -> None:
        """Print a plan such that the whole can be given to the database's own shell."""
        if rights.supports_users:
            named = " and ".join(users.names[role] for role in ROLES)
            done = "" if plan.changes else ": they have their rights and no others; nothing to change"
            self.stdout.write(f"{rights.comment} {label}: {_line(named)}{done}.")
        for change in plan.changes:
            text = (applying and change.shown) or change.command
            self.stdout.write(f"{text};  {rights.comment} {_line(change.why)}")
        for note in plan.notes:
            self.stdout.write(f"{rights.comment} {_line(note)}")


def _line(text: str) -> str:
    """Return a text that cannot end its comment: names may have anything in them."""
    return " ".join(text.split())


def _users(rights: Rights, options: dict[str, Any]) -> Users:
    names = {role: options[role.value] or rights.default_name(role) for role in ROLES}
    passwords = {role: os.environ.get(f"CACHE_{role.name}_PASSWORD", "") for role in ROLES}
    if options["ask_passwords"] and rights.supports_users:
        passwords |= {role: _asked(names[role]) for role in ROLES}
    given = {role: each for role, each in passwords.items() if each}
    return Users(names=names, passwords=given, are_named=all(options[role.value] for role in ROLES))


def _asked(name: str) -> str:
    """Ask for a password, twice. Raises Django's CommandError when the two differ."""
    password = getpass(f"Password of {name} (empty: leave as it is): ")
    if password and getpass("Once more: ") != password:
        raise CommandError("The two passwords differ; nothing was changed.")
    return password
