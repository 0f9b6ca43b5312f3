"""`up`: a whole system, its brokers and its components."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from byron.management.systems.running import add_up_arguments, bring_up


class Command(BaseCommand):
    help = "Bring up projects with the brokers of their namespaces; end all of it on Ctrl-C unless detached."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        add_up_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        bring_up(options, brokers=True)
