"""`schema`: check a schema.yaml, or print its JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.exceptions import SchemaError
from byron.schema.json_schema import json_schema
from byron.schema.places import shown
from byron.schema.reader import read_component


class Command(BaseCommand):
    help = "Check schema files, or print the JSON Schema that editors complete and check them with."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="Check these files.")
        parser.add_argument("--json-schema", action="store_true", help="Print the JSON Schema of schema.yaml.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["json_schema"]:
            self.stdout.write(json.dumps(json_schema(), indent=2))
            return
        if not options["files"]:
            raise CommandError("Give the files to check, or --json-schema.")
        problems = []
        for path in options["files"]:
            try:
                component = read_component(path, shown(path))
            except SchemaError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{path} cannot be read: {error.strerror}.")
            else:
                self.stdout.write(f"{path}: {component.name} of {component.namespace} is valid.")
        if problems:
            self.stderr.write("\n".join(problems), self.style.ERROR)
            raise SystemExit(1)
