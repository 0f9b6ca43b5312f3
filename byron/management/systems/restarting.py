"""The work of `component restart`."""

from __future__ import annotations

from typing import Any

from django.core.management import CommandError
from rich.console import Console

from byron.exceptions import ByronError
from byron.management.engines.base import Order
from byron.management.systems.projects import find_projects
from byron.management.systems.report import Steps
from byron.management.systems.running import engine_of
from byron.management.systems.system import describe_up, tell_troubles


def restart(options: dict[str, Any]) -> None:
    """Restart projects one after the other; the first that fails ends it. Raises Django's CommandError."""
    only = options["only"]
    if options["port"] and (len(options["paths"]) > 1 or (only and "api" not in only)):
        raise CommandError("--port is for the API of one PATH.")
    try:
        engine = engine_of(options)
        projects = find_projects(options["paths"], engine.projects())
        with Steps(Console(highlight=False)) as steps:
            for project in projects:
                row = engine.restart(Order(project=project, port=options["port"]), only, steps.say)
                steps.done(project.name, f"restarted, {describe_up(row)}")
                tell_troubles(row, steps)
    except ByronError as error:
        raise CommandError(str(error)) from error
