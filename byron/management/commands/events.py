"""`events`: what the log holds."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.broker.connection import broker_for, close_brokers
from byron.events.event import StoredMessage
from byron.exceptions import ByronError
from byron.management.preparation import require_components


class Command(BaseCommand):
    help = "Print the newest events of the log, one a line: position, time, name, key, payload."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--last", type=int, default=20, metavar="N", help="Print this many; default: 20.")
        parser.add_argument("-N", "--namespace", metavar="NS", help="Choose the system, if there are several.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["last"] < 1:
            raise CommandError("--last takes a number of at least 1.")
        namespace = options["namespace"] or self._only_namespace()
        try:
            broker = broker_for(namespace)
            last = broker.log_info().last
            if last == 0:
                self.stderr.write(f"The log of {namespace} is empty.")
            for position in range(max(1, last - options["last"] + 1), last + 1):
                message = broker.get(position)
                if message is not None:
                    self._show(message)
        except (ByronError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        finally:
            close_brokers()

    def _only_namespace(self) -> str:
        namespaces = sorted({config.component.namespace for config in require_components()})
        if len(namespaces) > 1:
            raise CommandError(f"This project is in several systems; choose one with -N: {', '.join(namespaces)}.")
        return namespaces[0]

    def _show(self, message: StoredMessage) -> None:
        # As it is in the log: an event that cannot be decoded is of interest here too.
        moment, name = message.headers.get("ce-time", "?"), message.headers.get("ce-type", message.subject)
        key = message.headers.get("ce-subject", "?")
        self.stdout.write(f"{message.position:>6}  {moment}  {name}  {key}  {message.body.decode('utf-8', 'replace')}")
