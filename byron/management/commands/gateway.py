"""`gateway`: one GraphQL API over those of several components."""

from __future__ import annotations

import shlex
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.codegen.composition import compose
from byron.codegen.gateway import NOTICE, gateway_plan, read_subgraphs
from byron.codegen.plan import Action, Owner, PlannedFile, write_file
from byron.conf import byron_settings
from byron.exceptions import GenerationError, SchemaError
from byron.management.engines import ProcessEngine

_SUPERGRAPH = "supergraph.graphql"


class Command(BaseCommand):
    help = "Compose components' APIs into a supergraph, and write it with a gateway's configuration into a folder."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="Take the components of this project.")
        parser.add_argument("-N", "--namespace", metavar="NS", help="Refuse components of other systems than this.")
        parser.add_argument(
            "-o", "--output", type=Path, default=Path("gateway"), metavar="DIR", help="Write into this folder."
        )
        parser.add_argument(
            "--url",
            action="append",
            default=[],
            type=_place,
            metavar="NAME=URL",
            help="Say where a component answers; may be repeated.",
        )
        parser.add_argument("--node", default="node", metavar="PROGRAM", help="Compose with this Node.js.")

    def handle(self, *args: Any, **options: Any) -> None:
        directory: Path = options["output"]
        try:
            ports = ProcessEngine(byron_settings().state_path.absolute()).ports
            subgraphs = read_subgraphs(options["paths"], dict(options["url"]), options["namespace"], ports.known)
            plan = gateway_plan(subgraphs, directory)
            # What was edited by hand is refused before anything else is tried.
            plan.changes()
            supergraph = compose(subgraphs, directory, options["node"])
            for change in plan.apply():
                if change.action is not Action.KEEP:
                    self.stdout.write(f"{change.action.value:>6} {plan.shown(change.file.path)}")
        except (GenerationError, SchemaError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        if supergraph is None:
            raise CommandError(
                f"{directory} is prepared, but its npm packages are not installed; run `npm install` there, and this "
                "again."
            )
        text = f"# {NOTICE}\n\n{supergraph}"
        write_file(directory / _SUPERGRAPH, PlannedFile(path=_SUPERGRAPH, text=text, owner=Owner.BYRON))
        names = ", ".join(f"{subgraph.name} ({subgraph.url})" for subgraph in subgraphs)
        self.stdout.write(f"Composed {names}.")
        self.stdout.write(f"Start it: cd {shlex.quote(str(directory))} && npm start")


def _place(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not name or not equals or not url.startswith(("http://", "https://")):
        raise ArgumentTypeError(f"{text!r} does not say where a component answers: NAME=http://…")
    return name, url
