"""What `runsink` says about itself while it runs."""

from __future__ import annotations

import logging

import pytest

from byron.management import sink_report
from byron.management.sink_report import Report, Reporter
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
