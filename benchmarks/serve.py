"""`manage.py serve` beside gunicorn's threads, and its memory over many requests, on the Hello component's query.

Prints one JSON line a measure. The two servers take turns, with as many workers and threads each. The load comes from
`wrk` where it is installed, else from this process, which then is the limit. gunicorn is not a dependency:
`pip install gunicorn` to have it measured.

    python benchmarks/serve.py [--seconds 4] [--rounds 3] [--requests 20000] [--workers 2]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from byron.broker.ports import free_port

HELLO = Path(__file__).resolve().parent.parent / "examples" / "hello"
PATIENCE = 60.0
CONNECTIONS = 16
THREADS = 4
QUERY = json.dumps({"query": "{ getStudents { id name course ingress } }"})
STUDENTS = """
from students.models import Student
Student.objects.bulk_create(Student(id=str(n), name=f"s {n}", course="CS", ingress=2020) for n in range(10))
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did under load."""

    requests: int
    seconds: float
    failures: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="Load a server for so long each time.")
    parser.add_argument("--rounds", type=int, default=3, help="Let the servers take so many turns.")
    parser.add_argument("--requests", type=int, default=20_000, help="Look at the memory after so many requests.")
    parser.add_argument("--workers", type=int, default=2, help="Run so many worker processes.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="byron-bench-") as name:
        project = Path(name) / "hello"
        shutil.copytree(HELLO, project, ignore=shutil.ignore_patterns("*.sqlite3*", ".env"))
        environment = {
            **os.environ,
            "DEBUG": "false",
            "SECRET_KEY": "benchmark",
            "ALLOWED_HOSTS": "127.0.0.1",
            # Queries do not need it.
            "BYRON_BROKER_URL": "nats://127.0.0.1:1",
            "LOG_LEVEL": "WARNING",
            # `serve` keeps connections by itself, which is not what is compared here.
            "CACHE_URL": f"sqlite:///{project / 'students.sqlite3'}?conn_max_age=60",
        }
        for command in (["migrate", "-v0"], ["shell", "-v0", "-c", STUDENTS]):
            subprocess.run([sys.executable, "manage.py", *command], cwd=project, env=environment, check=True)
        compare(project, environment, options.workers, options.rounds, options.seconds)
        memory(project, environment, options.workers, options.requests)


def serve(port: int, workers: int) -> list[str]:
    given = ["--port", str(port), "--workers", str(workers), "--threads", str(THREADS), "--no-access-log"]
    return ["manage.py", "serve", *given]


def gunicorn(port: int, workers: int) -> list[str]:
    given = ["-w", str(workers), "--threads", str(THREADS), "-b", f"127.0.0.1:{port}", "--log-level", "warning"]
    return ["-m", "gunicorn", "config.wsgi", "-k", "gthread", *given]


def compare(project: Path, environment: dict[str, str], workers: int, rounds: int, seconds: float) -> None:
    servers = {"serve": serve, "gunicorn gthread": gunicorn}
    if find_spec("gunicorn") is None:
        print("SKIPPED gunicorn: not installed; pip install gunicorn", file=sys.stderr)
        del servers["gunicorn gthread"]
    found: dict[str, list[Load]] = {name: [] for name in servers}
    for _ in range(rounds):
        for name, command in servers.items():
            port = free_port()
            with running(project, environment, command(port, workers), port):
                load(port, 1.0)
                found[name].append(load(port, seconds))
    rates = {name: statistics.median(each.rate for each in loads) for name, loads in found.items()}
    for name, loads in found.items():
        report(
            f"{name}, requests a second",
            median=round(rates[name]),
            each=[round(one.rate) for one in loads],
            failures=sum(one.failures for one in loads),
            workers=workers,
            threads=THREADS,
            connections=CONNECTIONS,
        )
    if len(rates) == 2:
        report("serve to gunicorn gthread", ratio=round(rates["serve"] / rates["gunicorn gthread"], 2))


def memory(project: Path, environment: dict[str, str], workers: int, requests: int) -> None:
    port = free_port()
    with running(project, environment, serve(port, workers), port) as process:
        # What each thread needs once is there after these.
        load(port, 1.0)
        sizes = [resident(process.pid)]
        done = 0
        for quarter in range(1, 5):
            while done < quarter * requests / 4:
                done += load(port, 2.0).requests
            sizes.append(resident(process.pid))
        report("workers' memory", mib=[round(size, 1) for size in sizes], requests=done, workers=workers)


def report(measure: str, **values: object) -> None:
    print(json.dumps({"measure": measure, **values}), flush=True)


@contextmanager
def running(
    project: Path, environment: dict[str, str], arguments: list[str], port: int
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, *arguments], cwd=project, env=environment)
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise TimeoutError(f"{arguments} does not answer")
            time.sleep(0.05)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/graphql/", QUERY, {"Content-Type": "application/json"})
        return b"s 9" in connection.getresponse().read()
    except OSError:
        return False
    finally:
        connection.close()


def resident(pid: int) -> float:
    """Return the MiB that a process's workers hold, on Linux."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for child in children:
        if b"resource_tracker" not in Path(f"/proc/{child}/cmdline").read_bytes():
            total += int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{child}/status").read_text())[0])
    return total / 1024


def load(port: int, seconds: float) -> Load:
    return load_by_wrk(port, seconds) if shutil.which("wrk") else load_by_threads(port, seconds)


def load_by_wrk(port: int, seconds: float) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(
            'wrk.method = "POST"\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
            f"wrk.body = {json.dumps(QUERY)}\n"
            "done = function(s) local e = s.errors\n"
            '  print(string.format("RESULT %d %d %d", s.requests, s.duration,'
            " e.connect + e.read + e.write + e.status + e.timeout)) end\n"
        )
        script.flush()
        url = f"http://127.0.0.1:{port}/graphql/"
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", script.name, url]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    requests, microseconds, failures = map(int, re.findall(r"RESULT (\d+) (\d+) (\d+)", shown)[0])
    return Load(requests, microseconds / 1e6, failures)


def load_by_threads(port: int, seconds: float) -> Load:
    started = time.monotonic()
    counts = [[0, 0] for _ in range(CONNECTIONS)]

    def client(count: list[int]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        while time.monotonic() - started < seconds:
            try:
                connection.request("POST", "/graphql/", QUERY, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                count[0 if response.status == 200 else 1] += 1
            except OSError:
                count[1] += 1
                connection.close()
        connection.close()

    threads = [threading.Thread(target=client, args=(count,)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(sum(count[0] for count in counts), time.monotonic() - started, sum(count[1] for count in counts))


if __name__ == "__main__":
    main()
