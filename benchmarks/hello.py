"""How long a newcomer waits: making a component, starting it, and an event's way into the Cache.

Prints one JSON line a measure, times in milliseconds. Everything is real: processes, nats-server, SQLite.

    python benchmarks/hello.py [--runs 7] [--events 300]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="Repeat each start this often.")
    parser.add_argument("--events", type=int, default=300, help="Send this many mutations, one after the other.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="byron-bench-") as name:
        place = Path(name)
        environment = {**os.environ, "XDG_STATE_HOME": str(place / "state"), "PYTHONUNBUFFERED": "1"}
        report("django-admin startproject", [startproject(place, run, environment) for run in range(options.runs)])
        report("startcomponent", [startcomponent(place, run, environment) for run in range(options.runs)])
        project = place / "component0"
        try:
            report("runserver ready, first start", [runserver(project, environment)])
            report("runserver ready", [runserver(project, environment) for _ in range(options.runs)])
            alone = [runserver(project, environment, "--noreload") for _ in range(options.runs)]
            report("runserver --noreload ready", alone)
            propagation(project, environment, options.events)
        finally:
            byron("infrastructure", "down", "-N", "Calisto", cwd=project, environment=environment)


def report(measure: str, seconds: list[float], **more: object) -> None:
    times = sorted(1000 * each for each in seconds)
    line = {
        "measure": measure,
        "median_ms": round(statistics.median(times), 2),
        "p99_ms": round(times[min(len(times) - 1, int(len(times) * 0.99))], 2),
        "min_ms": round(times[0], 2),
        "runs": len(times),
    }
    print(json.dumps({**line, **more}), flush=True)


def byron(*arguments: str, cwd: Path, environment: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "-m", "byron", *arguments], cwd=cwd, env=environment, check=True, capture_output=True
    )


def startproject(place: Path, run: int, environment: dict[str, str]) -> float:
    """The same step with Django alone, as a measure of the machine."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "django", "startproject", f"plain{run}"]
    subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


def startcomponent(place: Path, run: int, environment: dict[str, str]) -> float:
    started = time.perf_counter()
    byron("startcomponent", "students", "--directory", f"component{run}", cwd=place, environment=environment)
    return time.perf_counter() - started


@contextmanager
def running(project: Path, environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with (project / f"{arguments[0]}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=project,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # The group: the reloader's parent process leaves its child to itself.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def runserver(project: Path, environment: dict[str, str], *options: str) -> float:
    """Seconds until the API answers. The first time it starts the broker and migrates, too."""
    port = free_port()
    started = time.perf_counter()
    with running(project, environment, "runserver", *options, str(port)):
        wait_for_answer(port)
        return time.perf_counter() - started


def wait_for_answer(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.005)
        finally:
            connection.close()
    raise TimeoutError("the API does not answer")


def propagation(project: Path, environment: dict[str, str], events: int) -> None:
    """Measure one mutation at a time: until its answer, and from there until its row is in the Cache."""
    port = free_port()
    answers, arrivals = [], []
    with (
        running(project, environment, "runserver", "--noreload", str(port)),
        running(project, environment, "runsink"),
    ):
        wait_for_answer(port)
        cache = sqlite3.connect(f"file:{project / 'students.sqlite3'}?mode=ro", uri=True, isolation_level=None)
        for number in range(events + 20):
            started = time.perf_counter()
            student = create(port, f"student {number}")
            answered = time.perf_counter()
            deadline = answered + PATIENCE
            while not cache.execute("SELECT 1 FROM students_student WHERE id = ?", (student,)).fetchone():
                if time.perf_counter() > deadline:
                    raise TimeoutError("the event does not arrive in the Cache")
                time.sleep(0.0005)
            # The first ones meet cold caches, and a Sink that is still starting.
            if number >= 20:
                answers.append(answered - started)
                arrivals.append(time.perf_counter() - answered)
        cache.close()
    report("mutation answered", answers)
    report("in the Cache after the answer", arrivals)


def create(port: int, name: str) -> str:
    query = 'mutation($name: String!) { createStudent(name: $name, course: "CS", ingress: 2020) { id } }'
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = json.dumps({"query": query, "variables": {"name": name}})
    connection.request("POST", "/graphql/", body, {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["data"]["createStudent"]["id"])


if __name__ == "__main__":
    main()
