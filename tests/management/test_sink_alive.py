"""`runsink --alive FILE`: a file's time tells whether the Sinks' loops turn."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from byron.broker.base import Broker
from byron.codegen.project import create_project
from byron.exceptions import BrokerUnavailableError
from byron.management.sink import alive as sink_alive
from byron.management.sink.alive import AliveFileError, alive_file
from byron.sink.runner import Sink
from tests.processes import run, system, wait_for


def loop(ago: float) -> SimpleNamespace:
    """A Sink whose loop last turned so many seconds ago."""
    return SimpleNamespace(turned=time.monotonic() - ago)


def test_the_file_is_as_old_as_the_slowest_loop(tmp_path):
    path = tmp_path / "alive"
    with alive_file(path, [loop(1), loop(500), loop(2)]):
        assert 499 < time.time() - path.stat().st_mtime < 510

    assert not path.exists()


def test_it_gets_younger_when_the_loop_turns_again(tmp_path, monkeypatch):
    monkeypatch.setattr(sink_alive, "_INTERVAL", 0.01)
    path, sink = tmp_path / "alive", loop(500)
    with alive_file(path, [sink]):
        sink.turned = time.monotonic()
        wait_for(lambda: time.time() - path.stat().st_mtime < 100, "the file to be touched")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    path = tmp_path / "none" / "alive"
    message = f"{path} cannot be touched: No such file or directory."
    with pytest.raises(AliveFileError, match=message), alive_file(path, [loop(0)]):
        pass


@pytest.mark.django_db(transaction=True, databases=["library", "students"])
def test_a_loop_turns_while_the_broker_is_away(library):
    def away() -> Broker:
        raise BrokerUnavailableError("The broker is away.")

    sink = Sink(library, away)
    sink.turned = began = time.monotonic() - 100

    def stop_when_turned() -> None:
        wait_for(lambda: sink.turned > began + 50, "the loop to turn")
        sink.stop()

    thread = threading.Thread(target=stop_when_turned)
    thread.start()
    sink.run()
    thread.join()

    assert sink.turned > began + 50


@pytest.mark.broker
def test_a_sink_at_work_keeps_its_file_young(tmp_path):
    project = create_project("pupils", tmp_path / "pupils")
    path = tmp_path / "alive"
    run(["manage.py", "migrate", "-v0"], project, tmp_path / "state")
    with system(project, tmp_path / "state", "Calisto") as running:
        nowhere = running.manage("runsink", "--alive", str(tmp_path / "none" / "alive"), check=False)
        assert nowhere.returncode == 1
        assert "Choose another file for --alive." in nowhere.stderr
        sink = running.start("runsink", "--alive", str(path))
        sink.says("consuming component=")
        first = wait_for(lambda: path.exists() and path.stat().st_mtime, "the file")
        wait_for(lambda: path.stat().st_mtime > first, "the next touch")

        assert sink.stop() == 0
        assert not path.exists()
