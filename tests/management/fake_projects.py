"""Projects that start at once: a manage.py whose commands do to processes and ports what a component's do, no more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from byron.management.engines.ports import Ports
from byron.management.systems.projects import Project
from tests.processes import free_port

_MANAGE = """
import json
import pathlib
import signal
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from byron.management.processes import end_with_parent, tell_ready

command, *options = sys.argv[1:]
facts = json.loads(pathlib.Path("facts.json").read_text())
print(command, "begins", flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
end_with_parent()
if command in facts["broken"]:
    sys.exit(command + " is broken")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path in ("/healthz", "/readyz") else 404)
        self.end_headers()
        if self.path == "/readyz":
            parked = json.loads(pathlib.Path("facts.json").read_text())["parked"]
            log = json.loads(pathlib.Path("facts.json").read_text()).get("log", "ok")
            states = {
                str(number): {"cache": "ok", "parked": count, "log": log} for number, count in enumerate(parked)
            }
            self.wfile.write(json.dumps({"components": states}).encode())

    def log_message(self, *arguments):
        pass


if command == "describe":
    print(json.dumps(facts))
elif command == "serve":
    with HTTPServer(("127.0.0.1", int(options[options.index("--port") + 1])), Handler) as server:
        tell_ready()
        server.serve_forever()
elif command == "runsink":
    tell_ready()
    while True:
        signal.pause()
"""


def make_project(
    directory: Path,
    *,
    state: Path,
    namespace: str = "Fake",
    broker: str = "configured",
    handlers: int = 1,
    broken: tuple[str, ...] = (),
) -> Project:
    """Make a project in a directory; the commands in `broken` fail."""
    directory.mkdir(parents=True)
    (directory / ".env").touch()
    (directory / "manage.py").write_text(_MANAGE)
    component = {"label": directory.name, "name": "Fake", "namespace": namespace, "handlers": handlers}
    facts = {
        "components": [component],
        "namespaces": [namespace],
        "broker": broker,
        "debug": True,
        "state_path": str(state),
        "broken": broken,
        "parked": [0],
    }
    (directory / "facts.json").write_text(json.dumps(facts))
    remember_port(directory, state)
    return Project(directory)


def remember_port(project: Path, state: Path) -> None:
    """Have a project begin with a port that no test beside this one chooses at the same time."""
    Ports(state / "process-engine").choose(project, free_port())


def change(project: Project, **facts: Any) -> None:
    """Change what a project is."""
    path = project.path / "facts.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def files_of(directory: Path) -> list[str]:
    """Return every file below a directory."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
