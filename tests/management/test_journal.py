"""The log of a project's processes: bounded, and followed without a gap."""

from __future__ import annotations

import threading

import pytest

from byron.management.engines import journal as module
from byron.management.engines.journal import Journal


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 2000)
    monkeypatch.setattr(module, "_POLL", 0.001)
    return Journal(tmp_path / "log")


def texts(lines):
    return [(line.name, line.text) for line in lines]


def test_the_last_lines_are_given_oldest_first(journal):
    assert journal.last(5) == []
    for number in range(4):
        journal.write("api", f"line {number}")

    assert texts(journal.last(2)) == [("api", "line 2"), ("api", "line 3")]
    assert journal.last(0) == []
    assert len(journal.last(100)) == 4


def test_it_is_bounded(journal):
    for number in range(500):
        journal.write("sink", f"line {number}")

    assert sum(path.stat().st_size for path in journal.path.parent.iterdir()) < 2 * 2000 + 200
    assert texts(journal.last(1)) == [("sink", "line 499")]
    assert len(journal.last(20)) == 20


def test_followers_get_every_line_across_files(journal):
    journal.write("api", "before")
    stop, found, began = threading.Event(), [], threading.Event()

    def follow():
        for line in journal.follow(stop, after=1):
            found.append(line.text)
            began.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert began.wait(10)
    for number in range(100):
        journal.write("api", f"line {number}")
        while len(found) < number + 2 and thread.is_alive():
            began.clear()
            began.wait(0.01)
    stop.set()
    thread.join(10)

    assert found == ["before", *(f"line {number}" for number in range(100))]
