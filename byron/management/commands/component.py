"""`component`: one part of a system, from its first file to its processes."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from byron.management.commands.startcomponent import Command as StartComponent
from byron.management.systems.restarting import restart
from byron.management.systems.running import (
    add_engine,
    add_port,
    add_up_arguments,
    bring_up,
    build,
    show_logs,
    show_status,
    take_down,
)


class Command(BaseCommand):
    help = "Make, build, start, stop and watch components, each by its project's folder."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION", title="actions")

        init = actions.add_parser("init", help=StartComponent.help, description=StartComponent.help)
        StartComponent().add_arguments(init)

        text = "Make projects ready to run: generate, check and migrate, or build the image."
        made = actions.add_parser("build", help=text, description=text)
        made.add_argument("paths", nargs="+", metavar="PATH", help="Build the project in this folder.")
        add_engine(made)

        text = "Start the processes of projects, without a broker of its own."
        add_up_arguments(actions.add_parser("up", help=text, description=text))

        text = "Restart the processes of projects that are up, one after the other."
        restarted = actions.add_parser("restart", help=text, description=text)
        restarted.add_argument("paths", nargs="+", metavar="PATH", help="Restart the project in this folder.")
        restarted.add_argument(
            "--only",
            action="append",
            default=[],
            metavar="NAME",
            help="Restart this process: api or sink. Default: all.",
        )
        add_port(restarted)
        add_engine(restarted)

        text = "Stop the processes of projects."
        down = actions.add_parser("down", help=text, description=text)
        down.add_argument("paths", nargs="+", metavar="PATH", help="Stop the project in this folder.")
        add_engine(down)

        text = "Print what the processes of projects said last."
        logs = actions.add_parser("logs", help=text, description=text)
        logs.add_argument("paths", nargs="*", metavar="PATH", help="Print this project's log; default: all.")
        logs.add_argument("-f", "--follow", action="store_true", help="Go on with each new line, until Ctrl-C.")
        logs.add_argument("-n", "--lines", type=_count, default=100, help="Begin so many lines back. Default: 100.")
        add_engine(logs)

        text = "Print how projects are: state, processes, port, since when, restarts, events set aside."
        status = actions.add_parser("status", help=text, description=text)
        status.add_argument("paths", nargs="*", metavar="PATH", help="Show the project in this folder; default: all.")
        status.add_argument("--json", action="store_true", help="Print JSON.")
        add_engine(status)

    def handle(self, *args: Any, **options: Any) -> None:
        match options["action"]:
            case "init":
                init = StartComponent()
                init.stdout, init.style = self.stdout, self.style
                init.handle(**options)
            case "build":
                build(options)
            case "up":
                bring_up(options, brokers=False)
            case "restart":
                restart(options)
            case "down":
                take_down(options, brokers=False)
            case "logs":
                show_logs(options)
            case "status":
                show_status(options)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a number of lines")
    return int(text)
