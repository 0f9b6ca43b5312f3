"""What `runsink` says about itself while it runs."""

from __future__ import annotations

import io
import logging
import sys
import threading

import pytest
from rich.console import Console

from byron.management.sink import report as sink_report
from byron.management.sink.report import Report, Reporter
from byron.sink.runner import Sink


@pytest.fixture
def sink(component, library):
    return Sink(library, lambda: component.broker)


def test_a_report_has_rate_lag_and_parked_events(sink):
    reporter = Reporter([sink])
    sink.progress.applied = 500
    sink.progress.lag = {"a": 3, "b": 4}
    [report] = reporter.reports()

    assert (report.component, report.applied, report.lag, report.parked) == ("library", 500, 7, 0)
    assert report.rate > 0
    assert reporter.reports()[0].rate == 0


def test_what_is_not_known_is_a_question_mark():
    report = Report(component="library", applied=1234, rate=56.7, lag=None, parked=None)

    assert report.line() == "library: 57 events/s, 1,234 applied, lag ?, parked ?"


@pytest.mark.django_db(transaction=True, databases=["library", "students"])
def test_away_from_a_terminal_progress_is_logged_when_there_is_some(sink, caplog, monkeypatch):
    monkeypatch.setattr(sink_report, "_LOG_INTERVAL", 0.0)
    monkeypatch.setattr(sink_report, "_parked", lambda sink: 0)
    looks = []

    class Ended:
        def wait(self, seconds):
            looks.append(seconds)
            if len(looks) == 2:
                sink.progress.applied = 7
            return len(looks) > 4

    with caplog.at_level(logging.INFO, logger="byron.sink"):
        sink_report._show_logged(Reporter([sink]), Ended())

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 1
    assert lines[0].startswith("progress component=library applied=7 rate=")


class Screen(io.StringIO):
    """A terminal that says when something is on it."""

    def __init__(self, wanted):
        super().__init__()
        self._wanted = wanted
        self.shown = threading.Event()

    def write(self, text):
        length = super().write(text)
        if self._wanted in self.getvalue():
            self.shown.set()
        return length


def test_on_a_terminal_a_line_shows_rate_lag_and_parked_events(sink, monkeypatch):
    screen = Screen("library: 0 events/s, 1,234 applied, lag 5,678, parked 9")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(sink_report, "Console", lambda: Console(file=screen, force_terminal=True, width=120))
    monkeypatch.setattr(sink_report, "_LIVE_INTERVAL", 0.01)
    monkeypatch.setattr(sink_report, "_parked", lambda sink: 9)
    sink.progress.applied = 1234
    sink.progress.lag = {"library": 5678}
    with sink_report.reporting([sink]):
        assert screen.shown.wait(30), screen.getvalue()
