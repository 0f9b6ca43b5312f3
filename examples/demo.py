"""Hello, Byron!: run the example component and show one student's way through it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60.0

CREATE = """mutation($name: String!) {
  createStudent(name: $name, course: "Mathematics", ingress: 1832) { id name course ingress }
}"""
READ = "{ getStudents { id name course ingress } }"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="Serve the API on this port of this machine.")
    parser.add_argument("--once", action="store_true", help="Stop everything after the demonstration.")
    options = parser.parse_args()
    # However it is ended, it takes along what it started.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", options.port)) == 0:
            print(f"Port {options.port} is taken; choose one: make demo PORT={options.port + 1}")
            return 1
    return demonstrate(options.port, once=options.once)


def demonstrate(port: int, *, once: bool) -> int:
    address = f"http://127.0.0.1:{port}"
    with tempfile.NamedTemporaryFile("w+", prefix="byron-demo-", suffix=".log", delete=False) as log:
        print("Starting broker, API and Sink: manage.py dev")
        command = [sys.executable, "manage.py", "dev", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(lambda: get(f"{address}/readyz"), process, Path(log.name))
            show(address, process, Path(log.name))
            if not once:
                print(f"\nGraphiQL is at {address}/graphql/ and the log of all three in {log.name}. Ctrl-C stops them.")
                process.wait()
        except KeyboardInterrupt:
            print()
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(30)
    print("Everything is stopped.")
    if once:
        os.unlink(log.name)
    return 0


def show(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    name = f"Ada Lovelace {time.strftime('%H:%M:%S')}"
    step("1. A mutation. The API validates, emits an event and answers at once", CREATE)
    started = time.perf_counter()
    student = graphql(address, CREATE, {"name": name})["createStudent"]
    answered = time.perf_counter()
    print(f"   {json.dumps(student)}   in {1000 * (answered - started):.0f} ms")

    step("2. The event, in the log", "manage.py events --last 1")
    subprocess.run([sys.executable, "manage.py", "events", "--last", "1"], cwd=ROOT, check=True)

    step("3. A query. The Sink has written the student to the Cache", READ)
    wait_for(lambda: student in graphql(address, READ)["getStudents"], process, log)
    print(f"   {json.dumps(student)}   read back")


def step(title: str, detail: str) -> None:
    print(f"\n{title}:\n")
    print("\n".join(f"     {line}" for line in detail.splitlines()), end="\n\n", flush=True)


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a condition holds; end with the processes' log when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if condition():
                return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.02)
    sys.exit(f"The demonstration did not get there. The processes' log:\n{log.read_text()}")


def graphql(address: str, query: str, variables: dict[str, Any] | None = None) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{address}/graphql/", body, {"Content-Type": "application/json"})
    answer = json.loads(get(request))
    if "errors" in answer:
        sys.exit(f"The API answered with errors: {answer['errors']}")
    return answer["data"]


def get(request: str | urllib.request.Request) -> bytes:
    with urllib.request.urlopen(request, timeout=10) as response:
        return bytes(response.read())


if __name__ == "__main__":
    sys.exit(main())
