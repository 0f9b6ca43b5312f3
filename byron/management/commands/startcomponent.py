"""`startcomponent`: a new project with a component, or one more component in this project."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.codegen.component import unwritten_functions
from byron.codegen.deployment import DeployedComponent, deployment_plan
from byron.codegen.project import add_component, component_label, create_project
from byron.exceptions import GenerationError, SchemaError
from byron.schema.installed import SCHEMA_FILE, ComponentConfig, installed_components
from byron.schema.places import shown
from byron.schema.reader import read_component


class Command(BaseCommand):
    help = "Make a component from a schema.yaml, with a project around it unless it is run in one."
    requires_system_checks = []
    missing_args_message = "Give the component a name, such as: startcomponent students"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="Name the component.")
        parser.add_argument("--schema", type=Path, metavar="FILE", help="Copy this schema.yaml; default: an example.")
        parser.add_argument("--namespace", metavar="NS", help="Put the component into this system.")
        parser.add_argument(
            "--directory", type=Path, metavar="DIR", help="Make it here; default: a folder of its name."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name, schema, namespace = options["name"], options["schema"], options["namespace"]
        project = getattr(settings, "BASE_DIR", None)
        try:
            label = component_label(name)
            if project is not None:
                if options["directory"]:
                    raise CommandError("--directory is for a new project; here the component goes beside the others.")
                deployed: list[ComponentConfig | DeployedComponent] = list(installed_components())
                if deployed:
                    # Before anything is made: files that were edited by hand stop it.
                    deployment_plan(Path(project), deployed).changes()
                made = add_component(name, Path(project), schema=schema, namespace=namespace)
                component = read_component(made / SCHEMA_FILE)
                deployed.append(DeployedComponent(label=label, component=component, directory=made))
                deployment_plan(Path(project), deployed).apply()
            else:
                directory = options["directory"] or Path(label)
                made = create_project(name, directory, schema=schema, namespace=namespace)
        except (GenerationError, SchemaError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}. Nothing was made.") from error
        self.stdout.write(self.style.SUCCESS(f"Made {made}"))
        if project is not None:
            self.stdout.write(f"Its API answers at /{label}/graphql/.")
        self._tell_unwritten(made if project is not None else made / label)
        first = [f"cd {shlex.quote(str(made))}"] if project is None else ["python manage.py check"]
        for line in ("Next:", *first, "python manage.py dev", "python -m pytest"):
            self.stdout.write(line if line == "Next:" else f"  {line}")

    def _tell_unwritten(self, directory: Path) -> None:
        """List the functions that are the developer's to write, each with its file."""
        found = list(unwritten_functions(read_component(directory / SCHEMA_FILE)))
        if found:
            files = [shown(directory / file) for file, _ in found]
            self.stdout.write("To be written by you:")
            for file, (_, what) in zip(files, found, strict=True):
                self.stdout.write(f"  {file:<{max(map(len, files))}}  {what}")
