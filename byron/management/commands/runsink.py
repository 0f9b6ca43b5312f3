"""`runsink`: consume the event log and write the Cache."""

from __future__ import annotations

import signal
import threading
from functools import partial
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.broker.connection import broker_for, close_brokers
from byron.cache.roles import Role
from byron.exceptions import LogMismatchError
from byron.management.preparation import prepare
from byron.schema.installed import ComponentConfig
from byron.sink.runner import Sink


class Command(BaseCommand):
    help = "Apply events to the Cache of this project's components, until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("components", nargs="*", metavar="COMPONENT", help="Run these only; default: all.")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = _chosen(prepare(Role.SINK), options["components"])
        sinks = [Sink(config, partial(broker_for, config.component.namespace)) for config in chosen]
        mismatches = run_until_signalled(sinks)
        close_brokers()
        if mismatches:
            raise CommandError("\n".join(str(error) for error in mismatches))


def _chosen(components: list[ComponentConfig], labels: list[str]) -> list[ComponentConfig]:
    known = {config.label: config for config in components}
    for label in labels:
        if label not in known:
            raise CommandError(f"There is no component {label!r} in this project; there are: {', '.join(known)}.")
    return [known[label] for label in labels] if labels else components


def run_until_signalled(sinks: list[Sink]) -> list[LogMismatchError]:
    """Run Sinks in a thread each until SIGTERM or SIGINT, and return why those stopped that could not go on."""
    mismatches: list[LogMismatchError] = []

    def stop(signum: int, frame: FrameType | None) -> None:
        for sink in sinks:
            sink.stop()

    def run(sink: Sink) -> None:
        try:
            with sink.alone() as chosen:
                if chosen:
                    sink.run()
        except LogMismatchError as error:
            mismatches.append(error)
            stop(signal.SIGTERM, None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    threads = [threading.Thread(target=run, args=(sink,), name=f"sink-{sink.config.label}") for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return mismatches
