"""`infrastructure`: a namespace's broker on this machine, up, down, or how it is; and the rights at another one."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.broker import server
from byron.conf import byron_settings
from byron.exceptions import ByronError
from byron.management.rights.arguments import RIGHTS_ACTIONS, add_rights_arguments
from byron.management.systems.container_broker import ContainerBroker
from byron.management.systems.resetting import CACHES, reset_log
from byron.management.systems.running import add_engine


class Command(BaseCommand):
    help = "Start, stop, show or empty the broker of a namespace on this machine, or write the rights at another one."
    requires_system_checks = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # Else argparse would not take paths that come after an option: `config -N Calisto students`.
        parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        actions = ["up", "down", "status", "reset", "config", "prepare"]
        parser.add_argument("action", choices=actions, help="Choose what to do.")
        parser.add_argument("-N", "--namespace", required=True, metavar="NS", help="Name the system.")
        parser.add_argument("--yes", action="store_true", help="Remove the log without asking; reset.")
        add_engine(parser)
        add_rights_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        namespace, action = options["namespace"], options["action"]
        try:
            if action in RIGHTS_ACTIONS:
                RIGHTS_ACTIONS[action](self, options)
            elif options["engine"] == "docker":
                self._container(action, ContainerBroker(namespace, byron_settings().state_path.absolute()))
            elif action == "up":
                self._show(server.ensure_running(namespace))
            elif action == "down":
                stopped = server.stop(namespace)
                self.stdout.write(f"{namespace}: stopped." if stopped else f"{namespace}: was not running.")
            elif action == "reset":
                self._reset(namespace, asks=not options["yes"])
            else:
                found = server.running(namespace)
                if found is None:
                    self.stdout.write(f"{namespace}: not running.")
                    raise SystemExit(3)
                self._show(found)
        except (ByronError, ImproperlyConfigured, OSError) as error:
            raise CommandError(str(error)) from error

    def _reset(self, namespace: str, *, asks: bool) -> None:
        def confirmed(what: str) -> bool:
            self.stdout.write(f"This removes {what}. They cannot be had again.")
            return _typed(f"Type {namespace} to go on: ") == namespace

        if reset_log(namespace, confirmed if asks else lambda what: True):
            self.stdout.write(f"{namespace}: its log is empty.\n{CACHES}")
        else:
            self.stdout.write(f"{namespace}: there is no log.")

    def _container(self, action: str, broker: ContainerBroker) -> None:
        if action == "up":
            broker.start()
        elif action == "down":
            stopped = broker.stop()
            stays = f" Its log stays in the volume {broker.volume}." if stopped else ""
            self.stdout.write(f"{broker.namespace}: {'stopped' if stopped else 'was not running'}.{stays}")
            return
        elif action == "reset":
            raise CommandError(
                "reset is for the embedded broker. With everything down, this removes a log that is in a volume: "
                f"docker volume rm {broker.volume}"
            )
        elif not broker.runs():
            self.stdout.write(f"{broker.namespace}: not running.")
            raise SystemExit(3)
        self.stdout.write(
            f"{broker.namespace}: running, in a container\n  network  {broker.network}\n"
            f"  log      volume {broker.volume}\n  state    {broker.directory}"
        )

    def _show(self, found: server.EmbeddedServer) -> None:
        self.stdout.write(
            f"{found.namespace}: running, pid {found.pid}\n  address  {found.url}\n  state    {found.directory}"
        )


def _typed(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        return ""
