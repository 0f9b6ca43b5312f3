"""`runsink`: consume the event log and write the Cache."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.broker.connection import broker_for, close_brokers
from byron.cache.roles import Role
from byron.management.preparation import choose, prepare
from byron.management.processes import tell_ready
from byron.management.sink.alive import AliveFileError, alive_file
from byron.management.sink.report import reporting
from byron.sink.runner import Sink

log = logging.getLogger("byron.sink")


class Command(BaseCommand):
    help = "Apply events to the Cache of this project's components, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("components", nargs="*", metavar="COMPONENT", help="Run these only; default: all.")
        parser.add_argument(
            "--alive",
            type=Path,
            metavar="FILE",
            help="Touch this file whenever the Sinks' loops turn, for health checks.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = choose(prepare(Role.SINK), options["components"])
        sinks = [Sink(config, partial(broker_for, config.component.namespace)) for config in chosen]
        try:
            with alive_file(options["alive"], sinks) if options["alive"] else nullcontext(), reporting(sinks):
                failures = run_until_signalled(sinks)
        except AliveFileError as error:
            raise CommandError(str(error)) from error
        close_brokers()
        if failures:
            raise CommandError("\n".join(str(error) for error in failures))


def run_until_signalled(sinks: list[Sink]) -> list[Exception]:
    """Run Sinks in a thread each until SIGTERM or SIGINT, and return why those stopped that could not go on."""
    failures: list[Exception] = []

    def stop(*_: object) -> None:
        for sink in sinks:
            sink.stop()

    def run(sink: Sink) -> None:
        try:
            sink.run()
        except Exception as error:
            log.exception("sink ended component=%s", sink.config.label)
            failures.append(error)
            stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    threads = [threading.Thread(target=run, args=(sink,), name=f"sink-{sink.config.label}") for sink in sinks]
    for thread in threads:
        thread.start()
    tell_ready()
    for thread in threads:
        thread.join()
    for number, handler in before.items():
        signal.signal(number, handler)
    return failures
