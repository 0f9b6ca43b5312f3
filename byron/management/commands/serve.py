"""`serve`: the API for production."""

from __future__ import annotations

from argparse import ArgumentTypeError, BooleanOptionalAction
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.broker.connection import close_brokers
from byron.cache.roles import Role
from byron.exceptions import ByronError
from byron.management.preparation import prepare
from byron.management.serving.server import Server, Serving, available_cpus, listen, require_granian
from byron.management.serving.worker import FAREWELL


class Command(BaseCommand):
    help = "Serve the API of this project's components, for production; SIGHUP loads new code."

    def add_arguments(self, parser: CommandParser) -> None:
        default = Serving()
        parser.add_argument("--host", default=default.host, help="Listen at this address.")
        parser.add_argument("--port", type=_number(0, 65535), default=default.port, help="Listen at this port.")
        parser.add_argument("--workers", type=_number(1, 1024), help="Run so many processes. Default: one a CPU.")
        parser.add_argument(
            "--threads", type=_number(1, 256), default=default.threads, help="Answer so many requests at once in each."
        )
        parser.add_argument(
            "--backlog", type=_number(1, 65535), default=default.backlog, help="Let so many connections wait, at most."
        )
        parser.add_argument(
            "--grace", type=_grace, default=default.grace, help="Give requests so many seconds when a process ends."
        )
        parser.add_argument(
            "--access-log",
            action=BooleanOptionalAction,
            default=default.access_log,
            help="Log a line a request.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        serving = Serving(
            host=options["host"],
            port=options["port"],
            workers=options["workers"] or available_cpus(),
            threads=options["threads"],
            backlog=options["backlog"],
            grace=options["grace"],
            access_log=options["access_log"],
        )
        try:
            require_granian()
            if not settings.WSGI_APPLICATION:
                raise CommandError("WSGI_APPLICATION is not set; a generated project has 'config.wsgi.application'.")
            with listen(serving.host, serving.port, serving.backlog) as listener:
                prepare(Role.API)
                # The workers open their own.
                close_brokers()
                Server(listener, settings.WSGI_APPLICATION, serving).run()
        except ByronError as error:
            raise CommandError(str(error)) from error


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return int(text)

    return number


def _grace(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not FAREWELL <= seconds <= 3600:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from {FAREWELL:g} to 3600")
    return seconds
