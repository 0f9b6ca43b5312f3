"""Who may run a command: the `roles:` of schema.yaml, held against who is asking."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings

from byron.commands.user import User
from byron.exceptions import CommandError
from byron.schema.model import Command
from byron.schema.names import ANYONE, AUTHENTICATED

UNAUTHENTICATED = "UNAUTHENTICATED"
FORBIDDEN = "FORBIDDEN"


def check_access(command: Command, user: Any) -> None:
    """Refuse a command to who may not run it.

    Raises CommandError with code UNAUTHENTICATED when nobody is known to ask, and with FORBIDDEN when who asks
    has none of the command's roles. Only a `User` counts: Django's own users have no roles here.
    """
    if command.roles is None or ANYONE in command.roles:
        return
    if not isinstance(user, User):
        raise CommandError(
            f"{command.name} is only for those who are known: send a bearer token.", code=UNAUTHENTICATED
        )
    if AUTHENTICATED in command.roles or not user.roles.isdisjoint(command.roles):
        return
    wanted = f" It takes one of the roles {', '.join(command.roles)}." if settings.DEBUG else ""
    raise CommandError(f"You may not use {command.name}.{wanted}", code=FORBIDDEN)


def check_any_access(commands: Iterable[Command], user: Any) -> None:
    """Refuse who may run none of these commands; at least one is given. Raises what `check_access` does."""
    refused: CommandError | None = None
    for command in commands:
        try:
            check_access(command, user)
        except CommandError as error:
            refused = error
        else:
            return
    if refused is not None:
        raise refused
