"""`generate`: bring every generated file to what schema.yaml says."""

from __future__ import annotations

import importlib
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.checks import function_problems
from byron.codegen.plan import Action
from byron.codegen.project import installed_plans
from byron.exceptions import GenerationError
from byron.management.preparation import require_components


class Command(BaseCommand):
    help = "Write what schema.yaml asks for: models, migrations, GraphQL schema, first functions, and deployment files."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Write nothing; exit with 1 when a file is stale.")
        parser.add_argument("--dry-run", action="store_true", help="Write nothing; print what would be written.")

    def handle(self, *args: Any, **options: Any) -> None:
        looking = options["check"] or options["dry_run"]
        stale = False
        try:
            components = require_components()
            plans = installed_plans(components)
            for changes, plan in [(plan.changes(), plan) for plan in plans]:
                for change in changes:
                    if change.action is not Action.KEEP:
                        stale = True
                        self.stdout.write(f"{change.action.value:>6} {plan.shown(change.file.path)}")
                for warning in plan.warnings:
                    self.stdout.write(self.style.WARNING(f"  note {warning}"))
            if not looking:
                for plan in plans:
                    plan.apply()
                # First versions of functions may just have been written.
                importlib.invalidate_caches()
                for problem in (problem for config in components for problem in function_problems(config)):
                    self.stdout.write(self.style.WARNING(f"  note {problem.msg} {problem.hint}"))
        except GenerationError as error:
            raise CommandError(str(error)) from error
        if not stale:
            self.stdout.write("Everything is up to date.")
        elif options["check"]:
            raise CommandError("Run `manage.py generate`: the files above are stale.")
