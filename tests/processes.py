"""Real processes for tests: commands in a project, and components that serve and sink."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from byron.broker import ports

#: Seconds that anything may take before a test gives up on it.
PATIENCE = 30.0


_given: set[int] = set()


def free_port() -> int:
    """Return a port that no other test gets, in no other worker of this run either: servers start some time later."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    share = len(ports.OTHERS) // 4
    while (port := ports.free_port(ports.OTHERS[share * (worker % 4) :][:share])) in _given:
        pass
    _given.add(port)
    return port


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float = PATIENCE) -> Any:
    """Return the condition's value once it is true; fail the test when it takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    pytest.fail(f"waited {seconds:.0f} s in vain for {what}")


def freeze(pid: int) -> None:
    """Stop a process, with every thread, until it gets SIGCONT: the signal is only on its way when `kill` returns."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")

    def is_stopped() -> bool:
        states = [(each / "stat").read_text().rpartition(")")[2].split()[0] for each in threads.iterdir()]
        return set(states) <= {"T", "t"}

    if threads.exists():
        wait_for(is_stopped, f"process {pid} to stop")


def processes_of(directory: Path) -> list[str]:
    """Return the command lines of the processes that work in a directory or name it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
            place = os.readlink(process / "cwd")
        except OSError:
            # It has ended meanwhile, as a zombie has.
            continue
        if str(directory) in command or place.startswith(str(directory)):
            found.append(command)
    return found


#: What changes how pytest prints: a CI's own variables make it fold nothing, others add colours.
PRINTING = {"CI", "BUILD_NUMBER", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "PY_COLORS", "PYTEST_ADDOPTS"}


def environment(state: Path, **extra: str) -> dict[str, str]:
    """Return an environment in which a generated project keeps its broker's state in this directory."""
    own = ("BYRON_", "DJANGO_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(own) and key not in PRINTING}
    return {**kept, "XDG_STATE_HOME": str(state), "PYTHONWARNINGS": "default", **extra}


def run(arguments: list[str], directory: Path, state: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments in a directory; fail the test when it exits with an error."""
    finished = subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment(state),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if check and finished.returncode:
        pytest.fail(f"{arguments} exited with {finished.returncode}:\n{finished.stdout}{finished.stderr}")
    return finished


def byron_admin(*arguments: str, directory: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run byron-admin in a directory."""
    return run(["-m", "byron", *arguments], directory, directory / ".state", check=check)


class Running:
    """A process that a test started; its output is in a file."""

    def __init__(self, arguments: list[str], directory: Path, state: Path, log: Path, **variables: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=directory,
                env=environment(state, PYTHONUNBUFFERED="1", PYTHONFAULTHANDLER="1", **variables),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def says(self, text: str) -> None:
        """Wait until the process has printed a text."""

        def said() -> bool:
            if self.process.poll() is not None and text not in self.output:
                pytest.fail(f"the process ended with {self.process.returncode}:\n{self.output}")
            return text in self.output

        wait_for(said, f"{text!r} in:\n{self.output}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the process and return its exit code; fail the test, its threads told in the log, if it goes on."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)  # With PYTHONFAULTHANDLER it prints where each thread is.
            self.process.wait(PATIENCE)
            pytest.fail(f"the process did not end within {PATIENCE:.0f} s of {number.name}:\n{self.output}")

    def end(self) -> None:
        """Leave nothing of the process or of what it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(10)
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
        self.process.wait()


class System:
    """A generated project whose processes a test starts and stops."""

    def __init__(self, project: Path, state: Path) -> None:
        self.project, self.state = project, state
        self.port = free_port()
        self._running: list[Running] = []

    def start(self, *arguments: str, **variables: str) -> Running:
        """Start a command of manage.py in the background, with these in its environment."""
        # Several projects may share one state, and so a broker.
        log = self.state / f"{self.project.name}-{arguments[0]}-{len(self._running)}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        running = Running(["manage.py", *arguments], self.project, self.state, log, **variables)
        self._running.append(running)
        return running

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of manage.py to its end."""
        return run(["manage.py", *arguments], self.project, self.state, check=check)

    def serve(self) -> Running:
        """Start the API and wait until it answers."""
        running = self.start("runserver", "--noreload", str(self.port))
        wait_for(lambda: self.get("/healthz") or _ended(running), "the API to answer")
        return running

    def sink(self) -> Running:
        """Start the Sink and wait until it consumes."""
        running = self.start("runsink")
        running.says("consuming component=")
        return running

    def get(self, path: str, **headers: str) -> bytes | None:
        """Return an answer's body, or None while nothing answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as response:
                return bytes(response.read())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def graphql(self, query: str, path: str = "/graphql/", **variables: Any) -> Any:
        """Run a GraphQL document over HTTP and return the answer, errors and all."""
        with self.request(query, path, **variables) as response:
            return json.loads(response.read())

    def request(
        self, query: str, path: str = "/graphql/", *, headers: Mapping[str, str] | None = None, **variables: Any
    ) -> Any:
        """Run a GraphQL document over HTTP and return the response, to be read."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json", **(headers or {})})
        return urllib.request.urlopen(request, timeout=10)

    def end_all(self, command: str) -> None:
        """Tell all processes of a command of manage.py to end, and wait until they have."""
        for running in self._running:
            if command in running.process.args:
                running.stop()

    def end(self) -> None:
        for running in reversed(self._running):
            running.end()


def _ended(running: Running) -> None:
    if running.process.poll() is not None:
        pytest.fail(f"the API ended with {running.process.returncode}:\n{running.output}")


@contextmanager
def system(project: Path, state: Path, *namespaces: str) -> Iterator[System]:
    """Give a project's processes to a test, and end all of them and their brokers afterwards."""
    made = System(project, state)
    try:
        yield made
    finally:
        made.end()
        for namespace in namespaces:
            run(["-m", "byron", "infrastructure", "down", "-N", namespace], project, state)
