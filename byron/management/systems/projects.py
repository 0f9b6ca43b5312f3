"""The projects that a command is about: found by a path, asked by their own `manage.py describe`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byron.exceptions import ByronError
from byron.management.processes import PARENT, READY
from byron.schema.places import CALLER, caller_directory

# Not imported: supervisors know projects, too, and do without Django.
_SCHEMA = "schema.yaml"

#: What manage.py puts before its message.
_PREFIX = "CommandError: "

#: Lines of a command's output that an error shows.
TAIL = 20


class ProjectError(ByronError):
    """A path that is no project, or a project whose own command failed."""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with a manage.py."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def python(self) -> str:
        """The interpreter that runs the project: its own environment's, else this one."""
        own = self.path / ".venv" / "bin" / "python"
        return str(own) if own.exists() else sys.executable

    @property
    def defaults(self) -> dict[str, str]:
        """What its processes are given besides the environment.

        A project that nobody has configured yet, neither by a `.env` nor by the environment, runs as in development.
        """
        configured = (self.path / ".env").exists() or {"DEBUG", "SECRET_KEY"} & set(os.environ)
        return {} if configured else {"DEBUG": "true"}

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of one of its management commands."""
        return [self.python, "manage.py", *arguments]

    def manage(self, *arguments: str) -> str:
        """Run a management command and return what it printed. Raises ProjectError with the end of its output."""
        environment = {key: value for key, value in os.environ.items() if key not in (PARENT, READY)}
        try:
            finished = subprocess.run(
                self.command(*arguments),
                cwd=self.path,
                env={**environment, **self.defaults, CALLER: caller_directory()},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise ProjectError(f"{self.name}: {self.python} cannot be run: {error.strerror}.") from error
        if finished.returncode:
            said = "\n".join(_shortened(f"{finished.stdout}{finished.stderr}".splitlines()))
            raise ProjectError(f"{self.name}: `manage.py {arguments[0]}` failed in {self.path}:\n{said}")
        return finished.stdout

    def describe(self) -> dict[str, Any]:
        """Return what `manage.py describe` tells. Raises ProjectError, also when a schema has problems."""
        said = self.manage("describe")
        try:
            facts: dict[str, Any] = json.loads(said.splitlines()[-1])
        except (ValueError, IndexError) as error:
            raise ProjectError(f"{self.name}: `manage.py describe` answered with no description:\n{said}") from error
        return facts


def find_projects(paths: Sequence[str], known: Sequence[Project] = ()) -> list[Project]:
    """Return the project of each path, each once, or of the name of one of those that are `known`.

    Raises ProjectError, which names every path that is none.
    """
    found: dict[Path, Project] = {}
    problems = []
    for path in paths:
        folder = Path(path).resolve()
        if not (folder / "manage.py").is_file() and (folder / _SCHEMA).is_file():
            folder = folder.parent
        if (folder / "manage.py").is_file():
            found[folder] = Project(folder)
        elif len(named := [project for project in known if project.name == path]) == 1:
            found[named[0].path] = named[0]
        elif named:
            places = " or ".join(str(project.path) for project in named)
            problems.append(f"{path} is the name of several projects; name one's folder: {places}.")
        elif not Path(path).exists():
            or_name = ", nor the name of a project that is up" if known else ""
            problems.append(f"{path} is no folder that exists{or_name}.")
        else:
            problems.append(
                f"{path} is no project: it has no manage.py. Name a project's folder, or a component's folder in one."
            )
    if problems:
        raise ProjectError("\n".join(problems))
    return list(found.values())


def _shortened(lines: list[str]) -> list[str]:
    """Leave out how Python came to an error, what another message begins with, and all but the last lines."""
    lines = [line.removeprefix(_PREFIX) for line in lines]
    if any(line.startswith("Traceback ") for line in lines):
        return [line for line in lines[-TAIL:] if line.strip()][-3:]
    return lines[-TAIL:]
