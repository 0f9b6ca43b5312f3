"""Docker Compose, as a program to call: one Compose project's files, and what its containers are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byron.management.engines.base import EngineError

#: Lines of docker's output that an error shows.
_TAIL = 20
#: Seconds between two looks whether a call is still wanted.
_POLL = 0.2
#: Seconds that a call which is not wanted any more may take to end.
_PATIENCE = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compose:
    """What `docker compose` is told about one project of its own."""

    #: What messages call it.
    name: str
    #: Where it is called; `files` are relative to it.
    folder: Path
    files: Sequence[str]
    #: What is in the environment besides this process's own.
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a call."""
        return ["docker", "compose", *(word for file in self.files for word in ("--file", file)), *arguments]

    def run(self, *arguments: str, cancelled: threading.Event | None = None) -> str:
        """Call Compose and return what it printed.

        Raises EngineError with the end of its output when it fails, or when `cancelled` is set meanwhile.
        """
        with subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as process:
            printed, complained = _await(process, cancelled)
        if cancelled is not None and cancelled.is_set():
            raise EngineError(f"{self.name}: not started, as another failed or the command was interrupted.")
        if process.returncode:
            said = "\n".join(f"{printed}{complained}".splitlines()[-_TAIL:])
            raise EngineError(f"{self.name}: `docker compose {arguments[0]}` failed:\n{said}")
        return printed

    def containers(self) -> list[dict[str, Any]]:
        """Return what Compose tells of the containers, ended ones too. Raises EngineError."""
        return as_objects(self.name, self.run("ps", "--all", "--format", "json"))


def _await(process: subprocess.Popen[str], cancelled: threading.Event | None) -> tuple[str, str]:
    while cancelled is None or not cancelled.is_set():
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=None if cancelled is None else _POLL)
    process.terminate()
    try:
        return process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


def as_objects(name: str, said: str) -> list[dict[str, Any]]:
    """Read what Compose prints as JSON: an object a line, or one list, by its version. Raises EngineError."""
    said = said.strip()
    try:
        found = json.loads(said) if said.startswith("[") else [json.loads(line) for line in said.splitlines()]
    except ValueError as error:
        raise EngineError(f"{name}: `docker compose` answered with no JSON:\n{said}") from error
    return list(found)


def docker(*arguments: str) -> str | None:
    """Call docker itself; return what it printed, None when it fails."""
    finished = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    return None if finished.returncode else finished.stdout


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


def ensure_network(name: str) -> None:
    """Have a network in which the containers of several projects meet. Raises EngineError."""
    if docker("network", "inspect", name) is not None or docker("network", "create", name) is not None:
        return
    # Another project of the system may have made it at the same time.
    if docker("network", "inspect", name) is None:
        raise EngineError(f"The network {name} cannot be made: `docker network create {name}` tells why.")


def remove_network(name: str) -> None:
    """Remove a network that no container is in any more."""
    inside = docker("ps", "--all", "--quiet", "--filter", f"network={name}")
    if inside is not None and not inside.strip():
        docker("network", "rm", name)
