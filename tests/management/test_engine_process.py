"""Engine `process` on real processes: up, down, restarts, and what goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from byron.broker.ports import is_free
from byron.management.engines import EngineError, ProcessEngine
from byron.management.engines.base import Order
from byron.management.engines.identity import Identity
from byron.management.engines.state import ChildRecord, ProjectState, Record
from tests.management.fake_projects import change, files_of, make_project
from tests.processes import free_port, processes_of, wait_for


class Bench:
    """An engine, a project, and what was said of it."""

    def __init__(self, directory):
        self.state = directory / "state"
        self.engine = ProcessEngine(self.state)
        self.port = free_port()
        self.said = []
        self.directory = directory
        self.project = make_project(directory / "shop", state=self.state)

    def up(self, **order):
        order = {"port": self.engine.choose_port(self.project, self.port), **order}
        return self.engine.up(Order(project=self.project, **order), lambda *said: self.said.append(said))

    def status(self):
        return self.engine.status(self.project)

    def log(self):
        return [f"{line.name} {line.text}" for line in self.engine.logs(self.project, last=1000)]

    def nothing_runs(self):
        return not processes_of(self.directory) and is_free(self.port)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    made.engine.down(made.project)
    assert wait_for(made.nothing_runs, "all processes to end")


def test_up_returns_when_all_of_it_works_and_down_when_nothing_is_left(bench):
    row = bench.up()

    assert (row.component, row.state, row.port, row.namespaces) == ("shop", "up", bench.port, ["Fake"])
    assert sorted(row.pids) == ["api", "sink", "supervisor"]
    assert row.restarts == {"api": 0, "sink": 0}
    assert bench.said == [("shop", "migrating"), ("shop", "waiting for API and Sink")][-len(bench.said) :]
    assert bench.log()[0] == "migrate migrate begins"
    assert {"api serve begins", "sink runsink begins", "byron up"} <= set(bench.log())

    assert bench.engine.down(bench.project) is True

    assert bench.nothing_runs()
    assert files_of(bench.state) == ["process-engine/ports.json"]


def test_both_may_be_repeated(bench):
    first = bench.up()
    assert bench.engine.up(Order(project=bench.project), lambda *_: None) == first

    assert [bench.engine.down(bench.project) for _ in range(2)] == [True, False]
    assert bench.status().state == "down"


def test_a_process_that_ends_is_started_again_after_a_growing_pause(bench):
    before = bench.up()
    for restarts in (1, 2):
        os.kill(bench.status().pids["sink"], signal.SIGKILL)
        wait_for(lambda n=restarts: bench.status().restarts["sink"] == n, "the end to be noticed")
        wait_for(lambda: bench.status().state == "up", "the sink to run again")

    after = bench.status()

    assert after.pids["sink"] != before.pids["sink"]
    assert (after.pids["api"], after.restarts) == (before.pids["api"], {"api": 0, "sink": 2})
    told = [line for line in bench.log() if "starts again in" in line]
    assert told == [f"byron sink ended by SIGKILL: it starts again in {pause} s" for pause in ("0.5", "1")]


def test_a_supervisor_that_is_killed_takes_all_with_it_and_status_tells(bench):
    os.kill(bench.up().pids["supervisor"], signal.SIGKILL)
    wait_for(bench.nothing_runs, "the children to end by themselves")

    assert [bench.status().state for _ in range(2)] == ["died", "down"]
    assert "byron up" in bench.log()
    assert bench.up().state == "up"


def test_up_clears_away_what_a_killed_supervisor_left_and_takes_the_same_port(bench):
    first = bench.up()
    os.kill(first.pids["supervisor"], signal.SIGKILL)
    wait_for(lambda: not Identity.of(first.pids["supervisor"]).started, "the supervisor to be gone")

    bench.status()
    second = bench.up()

    assert second.port == first.port
    assert second.pids != first.pids


def test_a_supervisor_that_is_attached_ends_with_its_parent(bench):
    script = (
        "import sys, pathlib\n"
        "from byron.management.engines.base import Order\n"
        "from byron.management.engines.process import ProcessEngine\n"
        "from byron.management.systems.projects import Project\n"
        f"order = Order(project=Project(pathlib.Path({str(bench.project.path)!r})), port={bench.port}, attached=True)\n"
        f"print(ProcessEngine(pathlib.Path({str(bench.state)!r})).up(order, lambda *_: None).state)\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert finished.stdout == "up\n"
    wait_for(bench.nothing_runs, "the supervisor to follow its parent")


@pytest.mark.parametrize("broken", ["migrate", "serve", "runsink"])
def test_a_start_that_fails_shows_the_log_and_leaves_nothing(bench, broken):
    change(bench.project, broken=[broken])
    name = {"serve": "api", "runsink": "sink"}.get(broken, broken)

    with pytest.raises(EngineError, match=f"shop cannot be started: {name} ended with 1") as failure:
        bench.up()

    assert f"  {name} | {broken} is broken" in str(failure.value)
    assert bench.nothing_runs()
    assert files_of(bench.state) == ["process-engine/ports.json"]


def test_a_command_that_cannot_be_run_is_a_failure_too(bench):
    (bench.project.path / ".venv/bin").mkdir(parents=True)
    (bench.project.path / ".venv/bin/python").write_text("no interpreter")

    with pytest.raises(EngineError, match="migrate cannot be started: Permission denied"):
        bench.up(facts={"components": [], "namespaces": []})


def test_a_start_that_is_called_off_leaves_nothing(bench):
    cancelled = threading.Event()
    cancelled.set()

    with pytest.raises(EngineError, match="shop: not started, as another failed or the command was interrupted"):
        bench.up(cancelled=cancelled)

    assert bench.nothing_runs()
    assert files_of(bench.state) == ["process-engine/ports.json"]


def test_a_component_without_handlers_has_no_sink(bench):
    change(bench.project, components=[{"label": "shop", "handlers": 0}])

    assert sorted(bench.up().pids) == ["api", "supervisor"]


def test_two_commands_at_once_start_one_supervisor(bench):
    order = Order(project=bench.project, port=bench.engine.choose_port(bench.project, bench.port))
    with ThreadPoolExecutor(2) as pool:
        rows = list(pool.map(lambda _: bench.engine.up(order, lambda *_: None), range(2)))

    assert rows[0] == rows[1]
    assert len([command for command in processes_of(bench.state) if "supervisor" in command]) == 1


def test_a_pid_that_is_another_process_s_by_now_is_left_alone(bench):
    bench.up()
    bench.engine.down(bench.project)
    state = ProjectState.of(bench.state / "process-engine", bench.project.path)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as innocent:
        stale = {"pid": innocent.pid, "started": "some other boot/123"}
        with state.locked():
            state.write_record(Record(**stale, state="up", since="", children={"api": ChildRecord(**stale)}))

        assert bench.status().state == "died"
        assert bench.engine.down(bench.project) is False
        assert innocent.poll() is None

        innocent.kill()


def test_cycles_leave_nothing_behind(bench):
    for _ in range(3):
        bench.up()
        bench.engine.down(bench.project)

        assert bench.nothing_runs()
        assert files_of(bench.state) == ["process-engine/ports.json"]


def test_a_supervisor_does_without_django():
    code = "import sys, byron.management.engines.supervisor; print([m for m in sys.modules if m.startswith('django')])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
