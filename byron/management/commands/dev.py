"""`dev`: everything a component needs, in one terminal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from byron.broker.connection import close_brokers
from byron.conf import byron_settings
from byron.exceptions import ByronError
from byron.management.development.environment import Development, is_listening
from byron.management.preparation import require_components
from byron.management.systems.backlog import waiting_events
from byron.schema.installed import ComponentConfig


class Command(BaseCommand):
    help = "Run broker, API and Sink in one terminal, and restart them when schema.yaml or code changes."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "address", nargs="?", default="127.0.0.1:8000", metavar="[HOST:]PORT", help="Serve the API here."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = _address(options["address"])
        if not settings.DEBUG:
            raise CommandError("`dev` is for development: set DEBUG=true, in .env or the environment.")
        if is_listening(host, port):
            raise CommandError(
                f"Port {port} is taken by another process; choose one, as in `manage.py dev {port + 1}`."
            )
        configs = require_components()
        namespaces = {config.component.namespace for config in configs}
        project = getattr(settings, "BASE_DIR", None) or Path.cwd()
        own_broker = not byron_settings().broker_url
        development = Development(
            Path(project),
            namespaces,
            host,
            port,
            own_broker=own_broker,
            components=[Path(config.path) for config in configs],
            news=partial(_news, configs),
        )
        try:
            development.run()
        except ByronError as error:
            raise CommandError(str(error)) from error


def _news(configs: Sequence[ComponentConfig]) -> list[str]:
    try:
        return waiting_events(configs)
    finally:
        # This process only watches from here on.
        close_brokers()
        connections.close_all()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise CommandError(f"{text!r} is not an address; give a port, or HOST:PORT.")
    return host or "127.0.0.1", int(port)
