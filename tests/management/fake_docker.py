"""A program `docker` that only keeps account of what would run: `python fake_docker.py STATE docker's arguments`.

It must know its networks, as Docker does: what is in one that is not there does not start.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

#: What is written down of the environment of a call.
VARIABLES = ("API_PORT", "BROKER_PASSWORD", "SECRET_KEY", "SYSTEM_BROKER_PASSWORD", "SYSTEM_RECEIPT_KEY")


class FakeDocker:
    """The account: `up` has each folder's files, `calls` a folder, arguments and environment each."""

    def __init__(self, directory: Path) -> None:
        self._state = directory / "docker.json"
        self._state.write_text(json.dumps({"up": {}, "networks": [], "ports": {}, "calls": []}))
        #: To be on the PATH.
        self.bin = directory / "bin"
        self.bin.mkdir()
        program = self.bin / "docker"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{__file__}" "{self._state}" "$@"\n')
        program.chmod(0o755)

    def _known(self) -> dict[str, Any]:
        return dict(json.loads(self._state.read_text()))

    @property
    def up(self) -> set[str]:
        """The names of the folders that are up."""
        return {Path(folder).name for folder in self._known()["up"]}

    @property
    def networks(self) -> list[str]:
        return list(self._known()["networks"])

    def arguments(self, folder: Path, action: str) -> list[list[str]]:
        """Return what Compose was asked to do in a folder, of one action."""
        return [
            arguments
            for where, arguments, _ in self._known()["calls"]
            if (where, arguments[0]) == (str(folder), action)
        ]

    def calls(self, folder: Path, action: str) -> list[dict[str, str]]:
        """Return the environments with which Compose was asked to do something in a folder."""
        return [
            environment
            for where, arguments, environment in self._known()["calls"]
            if where == str(folder) and arguments[0] == action
        ]


def _network(files: list[str]) -> str:
    return str(re.findall('name: "(byron-[a-z0-9-]+)"', Path(files[-1]).read_text())[-1])


def _answer(known: dict[str, Any], arguments: list[str], folder: str) -> tuple[int, str]:
    files = [str(Path(folder, arguments[at + 1])) for at, word in enumerate(arguments) if word == "--file"]
    if arguments[0] == "compose":
        arguments = arguments[1 + 2 * len(files) :]
    environment = {name: os.environ[name] for name in VARIABLES if name in os.environ}
    known["calls"].append([folder, arguments, environment])
    up, networks = known["up"], known["networks"]
    match arguments:
        case ["network", "inspect", name]:
            return int(name not in networks), ""
        case ["network", "create", name]:
            networks.append(name)
        case ["network", "rm", name]:
            networks.remove(name)
        case ["ls", *_]:
            return 0, json.dumps([{"ConfigFiles": ",".join(each)} for each in up.values()])
        case ["ps", "--all", "--quiet", "--filter", which]:
            return 0, "\n".join(each for each, of in up.items() if which == f"network={_network(of)}")
        case ["ps", *_] if folder in up:
            published = [{"PublishedPort": int(known["ports"][folder])}] if known["ports"][folder] else []
            migration = {"Service": "app-migrate", "State": "exited", "ExitCode": 0}
            api = {"Service": "app-api", "State": "running", "Health": "healthy", "Publishers": published}
            return 0, "\n".join(json.dumps(each) for each in (migration, api))
        case ["up", *_] if _network(files) not in networks:
            return 1, "no such network"
        case ["up", *_]:
            up[folder], known["ports"][folder] = files, environment.get("API_PORT")
            return (1, "it is broken") if Path(folder, "broken").exists() else (0, "")
        case ["down", *_]:
            up.pop(folder, None)
    return 0, ""


def main() -> int:
    with open(sys.argv[1], "r+") as state:
        fcntl.flock(state, fcntl.LOCK_EX)
        known = json.load(state)
        code, said = _answer(known, sys.argv[2:], os.getcwd())
        state.seek(0)
        state.truncate()
        json.dump(known, state)
    print(said)
    return code


if __name__ == "__main__":
    sys.exit(main())
