"""`startcomponent`: a new project with a component, or one more component in this project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.codegen.deployment import DeployedComponent, deployment_plan
from byron.codegen.project import add_component, component_label, create_project
from byron.exceptions import GenerationError, SchemaError
from byron.schema.installed import SCHEMA_FILE, ComponentConfig, installed_components
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
        else:
            self.stdout.write(f"Next:\n  cd {made}\n  python manage.py dev")
