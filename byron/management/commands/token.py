"""`token`: to be somebody while trying out roles."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.api.identity.authentication import require_pyjwt
from byron.conf import byron_settings
from byron.exceptions import ByronError


class Command(BaseCommand):
    help = "Print a token for trying out roles, in development."
    # Keys that are not there are made here.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("subject", metavar="USER", help="Be this user: ctx.user.id.")
        parser.add_argument("--role", action="append", default=[], metavar="ROLE", help="Have it; may be repeated.")
        parser.add_argument("--hours", type=float, default=12.0, help="End after so many hours. Default: 12.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError(
                "`token` is for development: tokens of a system in use come from whoever knows its users."
            )
        try:
            require_pyjwt()
            # Late: the extra may be missing.
            tokens = import_module("byron.management.development.tokens")
            made = tokens.development_token(byron_settings(), options["subject"], options["role"], options["hours"])
        except ByronError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        self.stdout.write(made)
