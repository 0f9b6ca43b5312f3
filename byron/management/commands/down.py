"""`down`: what `up` brought up, brokers last."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.management.systems.running import add_engine, take_down


class Command(BaseCommand):
    help = "Stop projects, or everything that is up, and then the brokers that nothing needs any more."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="*", metavar="PATH", help="Stop the project in this folder; default: all.")
        parser.add_argument("-N", "--namespace", metavar="NS", help="Stop what belongs to this system.")
        add_engine(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["paths"] and options["namespace"]:
            raise CommandError("Give paths or -N, not both.")
        take_down(options, brokers=True)
