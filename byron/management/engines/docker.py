"""Engine `docker`: a project's containers, by the deploy/compose.yaml that `manage.py generate` writes."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from byron.management.engines.base import Engine, EngineError, Order, Row, Say
from byron.management.engines.journal import Line
from byron.management.projects import Project

COMPOSE_FILE = "deploy/compose.yaml"

#: Lines of docker's output that an error shows.
_TAIL = 20


class DockerEngine(Engine):
    """Call `docker compose` in the project's folder; Docker itself knows what runs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._usable = False

    def build(self, project: Project) -> None:
        self._compose(project, "build")

    def is_up(self, project: Project) -> bool:
        return bool(self._containers(project))

    def up(self, order: Order, say: Say) -> Row:
        say(order.project.name, "building and starting containers")
        try:
            self._compose(order.project, "up", "--detach", "--build", "--wait")
        except EngineError:
            self._compose(order.project, "down", "--remove-orphans")
            raise
        return self.status(order.project)

    def restart(self, order: Order, only: Sequence[str], say: Say) -> Row:
        if order.port is not None:
            raise EngineError(f"{order.project.name}: the ports of containers are in its environment, as API_PORT.")
        if not self.is_up(order.project):
            raise EngineError(f"{order.project.name} is not up.")
        say(order.project.name, "restarting containers")
        self._compose(order.project, "restart", *only)
        return self.status(order.project)

    def down(self, project: Project) -> bool:
        was_up = self.is_up(project)
        # Networks and stopped containers may be left of an earlier time.
        self._compose(project, "down", "--remove-orphans")
        return was_up

    def status(self, project: Project) -> Row:
        containers = self._containers(project)
        states = {str(container.get("State", "")) for container in containers}
        ports = [port for container in containers for port in container.get("Publishers") or []]
        published = [int(port["PublishedPort"]) for port in ports if port.get("PublishedPort")]
        return Row(
            component=project.name,
            project=str(project.path),
            state="down" if not containers else "up" if states == {"running"} else ", ".join(sorted(states)),
            port=published[0] if published else None,
        )

    def projects(self) -> list[Project]:
        return []

    def logs(self, project: Project, *, last: int, follow: threading.Event | None = None) -> Iterator[Line]:
        command = self._command(project, "logs", "--no-color", "--tail", str(last), *(["-f"] if follow else []))
        process = subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, text=True, errors="replace")
        try:
            for line in process.stdout or ():
                name, _, text = line.rstrip("\n").partition("|")
                yield Line("", name.strip(), text.strip())
        finally:
            process.terminate()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def _containers(self, project: Project) -> list[dict[str, Any]]:
        """Return what Compose tells of the project's containers: an object a line, or one list, by its version."""
        said = self._compose(project, "ps", "--format", "json").strip()
        try:
            found = json.loads(said) if said.startswith("[") else [json.loads(line) for line in said.splitlines()]
        except ValueError as error:
            raise EngineError(f"{project.name}: `docker compose ps` answered with no JSON:\n{said}") from error
        return list(found)

    def _compose(self, project: Project, *arguments: str) -> str:
        command = self._command(project, *arguments)
        finished = subprocess.run(command, cwd=project.path, capture_output=True, text=True, check=False)
        if finished.returncode:
            said = "\n".join(f"{finished.stdout}{finished.stderr}".splitlines()[-_TAIL:])
            raise EngineError(f"{project.name}: `docker compose {arguments[0]}` failed:\n{said}")
        return finished.stdout

    def _command(self, project: Project, *arguments: str) -> list[str]:
        if not self._usable:
            require_docker()
            self._usable = True
        if not (project.path / COMPOSE_FILE).is_file():
            raise EngineError(f"{project.name} has no {COMPOSE_FILE}: `manage.py generate` writes it.")
        return ["docker", "compose", "--file", COMPOSE_FILE, *arguments]


def require_docker() -> None:
    """Raise EngineError, with what is missing, unless Docker can be used."""
    remedy = "or leave out `--engine docker`: engine `process` needs none."
    if shutil.which("docker") is None:
        raise EngineError(f"Engine `docker` needs Docker with Compose, which is not installed: install it, {remedy}")
    for question, missing in (
        (["compose", "version"], "Docker's Compose plugin, which is not installed: install it"),
        (["info", "--format", "{{.ServerVersion}}"], "a Docker daemon, which does not answer: start it"),
    ):
        asked = subprocess.run(["docker", *question], capture_output=True, text=True, check=False)
        if asked.returncode:
            said = f"{asked.stdout}{asked.stderr}".strip().partition("\n")[0]
            raise EngineError(f"Engine `docker` needs {missing}, {remedy}\n  docker says: {said}")
