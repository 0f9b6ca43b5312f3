"""What is told of a test: refusals that it says nothing of, events that differ, and what its processes said."""

from __future__ import annotations

import sys
from collections.abc import Generator
from types import TracebackType
from typing import Any

import pytest

from byron.testing.frames import show_everything
from byron.testing.plugin.databases import uses_component
from byron.testing.plugin.fixtures import NOT_RUN, RUNNING, SUBJECTS, SYSTEM


def pytest_sessionstart(session: pytest.Session) -> None:
    """Have `--full-trace` leave out nothing: the mistake may be Byron's."""
    if session.config.getoption("fulltrace"):
        show_everything()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that was through when a command was refused and nothing says so, or when an outage never began."""
    result = yield
    problems = [problem for subject in item.stash.get(SUBJECTS, ()) for problem in subject.unexamined()]
    if (system := item.stash.get(SYSTEM, None)) is not None:
        from byron.testing.members import never_begun

        problems += never_begun(system)
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)
    return result


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Tell lists of events apart event by event, as a scenario's `then` does."""
    if op != "==" or not (isinstance(left, list) and isinstance(right, list)):
        return None
    events = sys.modules.get("byron.testing.events")
    if events is None or not any(isinstance(each, events.WrittenEvent) for each in (*left, *right)):
        return None
    from byron.events.event import Event
    from byron.testing.comparison import compare

    if not all(isinstance(each, Event) for each in (*left, *right)):
        return None
    is_right = any(isinstance(each, events.WrittenEvent) for each in right)
    report = compare(right, left) if is_right else compare(left, right)
    return ["other events than expected", *report.splitlines()] if report else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the processes of a failed test said, and note that the project itself may be wrong."""
    report = yield
    running = item.stash.get(RUNNING, None)
    if running is not None and report.when == "call" and report.failed:
        processes = [process for member in running for process in member.processes]
        report.sections += [(f"log of {process.name}", process.tail()) for process in processes]
    if report.failed and report.when in ("setup", "call") and uses_component(item):
        # It goes with the report to the process that prints it.
        report.is_of_component = True  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_exception_interact(node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]) -> None:
    """Have a debugger stop in the test, and not in what of Byron it called: pytest leaves out single functions only."""
    if call.excinfo is None or not node.config.getoption("usepdb", False):
        return
    frames: list[TracebackType] = []
    current: TracebackType | None = call.excinfo.tb
    while current is not None:
        frames.append(current)
        current = current.tb_next
    shown = [place for place, each in enumerate(frames) if not each.tb_frame.f_globals.get("__tracebackhide__")]
    if shown:
        frames[shown[-1]].tb_next = None


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell what is wrong with the project when tests of it failed, and which tests had no server."""
    stats = terminalreporter.stats
    if any(getattr(each, "is_of_component", False) for each in (*stats.get("failed", ()), *stats.get("error", ()))):
        _tell_problems(terminalreporter)
    reports = [each for each in terminalreporter.stats.get("skipped", []) if NOT_RUN in str(each.longrepr)]
    if reports:
        terminalreporter.section(f"{len(reports)} tests {NOT_RUN}", yellow=True, bold=True)
        terminalreporter.line("There is no nats-server: pip install 'byron-framework[embedded]'")
        for report in reports:
            terminalreporter.line(f"    {report.nodeid}")


def _tell_problems(terminalreporter: Any) -> None:
    """Tell what Byron's checks say of the project: now, when no test has anything replaced."""
    from django.apps import apps

    if not apps.ready:
        return
    from byron.testing.checks import project_problems

    if told := project_problems():
        terminalreporter.section("What Byron's checks say of the project", yellow=True, bold=True)
        terminalreporter.line(told)
