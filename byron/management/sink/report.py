"""How a running Sink is doing: a live line on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import DatabaseError, connections
from rich.console import Console
from rich.live import Live
from rich.text import Text

from byron.cache.parked import open_events
from byron.sink.runner import Sink

log = logging.getLogger("byron.sink")

#: Seconds between two looks, on a terminal and in a log.
_LIVE_INTERVAL = 1.0
_LOG_INTERVAL = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One Sink at one moment."""

    component: str
    applied: int
    #: Events applied a second since the report before.
    rate: float
    #: Events that wait at the broker; None while that is not known.
    lag: int | None
    #: Events set aside; None while the Cache is away.
    parked: int | None

    def line(self) -> str:
        """Return the report as people read it."""
        unknown = "?"
        return (
            f"{self.component}: {self.rate:,.0f} events/s, {self.applied:,} applied, "
            f"lag {unknown if self.lag is None else f'{self.lag:,}'}, "
            f"parked {unknown if self.parked is None else f'{self.parked:,}'}"
        )


class Reporter:
    """Makes reports of Sinks, each with the rate since the one before."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks
        self._before = {sink.config.label: (time.monotonic(), sink.applied) for sink in sinks}

    def reports(self) -> list[Report]:
        """Return how each Sink is doing now."""
        return [self._report(sink) for sink in self._sinks]

    def _report(self, sink: Sink) -> Report:
        label, now, applied = sink.config.label, time.monotonic(), sink.applied
        then, before = self._before[label]
        self._before[label] = (now, applied)
        lag = sink.progress.lag
        return Report(
            component=label,
            applied=applied,
            rate=(applied - before) / max(now - then, 1e-3),
            lag=sum(lag.values()) if lag else None,
            parked=_parked(sink),
        )


def _parked(sink: Sink) -> int | None:
    try:
        return open_events(sink.config.alias, sink.config.consumer_name).count()
    except DatabaseError:
        connections[sink.config.alias].close()
        return None


@contextmanager
def reporting(sinks: Sequence[Sink]) -> Iterator[None]:
    """Report on Sinks while a block runs."""
    ended = threading.Event()
    show = _show_live if sys.stdout.isatty() else _show_logged
    thread = threading.Thread(target=show, args=(Reporter(sinks), ended), name="sink-report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _show_live(reporter: Reporter, ended: threading.Event) -> None:
    streams = {handler: handler.stream for handler in _console_handlers()}
    with Live(console=Console(), auto_refresh=False, transient=True) as live:
        for handler in streams:
            # What is logged is to appear above the line; Live has put streams of its own in place.
            handler.setStream(sys.stderr)
        while not ended.wait(_LIVE_INTERVAL):
            live.update(Text("\n".join(report.line() for report in reporter.reports())), refresh=True)
        for handler, stream in streams.items():
            handler.setStream(stream)
    connections.close_all()


def _console_handlers() -> list[logging.StreamHandler]:  # type: ignore[type-arg]
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in logging.root.manager.loggerDict)]
    return [
        handler
        for logger in loggers
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream in (sys.stderr, sys.stdout)
    ]


def _show_logged(reporter: Reporter, ended: threading.Event) -> None:
    told: dict[str, int] = {}
    while not ended.wait(_LOG_INTERVAL):
        for report in reporter.reports():
            if told.get(report.component, 0) != report.applied:
                told[report.component] = report.applied
                log.info(
                    "progress component=%s applied=%d rate=%.0f/s lag=%s parked=%s",
                    report.component,
                    report.applied,
                    report.rate,
                    report.lag,
                    report.parked,
                )
    connections.close_all()
