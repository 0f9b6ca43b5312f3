"""Which port a project's API has: the one it had before, else the first free one."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from byron.broker.ports import is_free
from byron.management.engines.base import EngineError
from byron.management.systems.projects import Project

#: Where the search begins.
FIRST = 8000


class PortTakenError(Exception):
    """The port is in use by another process."""

    def __init__(self, port: int, *, remembered: bool) -> None:
        super().__init__(port)
        self.port, self.remembered = port, remembered


class Ports:
    """The ports of this user's projects, in one file."""

    def __init__(self, root: Path) -> None:
        self._root, self._path = root, root / "ports.json"

    def choose(self, project: Path, asked: int | None = None) -> int:
        """Return the project's port and remember it: the one asked for, its own, or a free one that nobody has.

        Raises PortTakenError.
        """
        with self._exclusively() as known:
            own = asked or known.get(str(project))
            if own:
                if not is_free(own):
                    raise PortTakenError(own, remembered=not asked)
                port = own
            else:
                port = _first_free(known)
            known[str(project)] = port
            return port

    def suggest(self) -> int:
        """Return a port that is free and that no project here has."""
        with self._exclusively() as known:
            return _first_free(known)

    def known(self, project: Path) -> int | None:
        """Return the port that a project has or had last; None for one that never had any."""
        with self._exclusively() as known:
            return known.get(str(project))

    def forget(self, project: Path) -> None:
        with self._exclusively() as known:
            known.pop(str(project), None)

    @contextmanager
    def _exclusively(self) -> Iterator[dict[str, int]]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            known: dict[str, int] = {}
            with suppress(ValueError, TypeError, AttributeError):
                # A damaged file costs no more than the memory.
                known = {str(project): int(port) for project, port in json.load(file).items()}
            before = dict(known)
            yield known
            if known != before:
                file.seek(0)
                file.truncate()
                json.dump(known, file, indent=1)


def choose_port(ports: Ports, project: Project, asked: int | None = None, *, command: str = "byron up -d") -> int:
    """Return the port of a project's API, and remember it. Raises EngineError, with a remedy, when it is taken."""
    try:
        return ports.choose(project.path, asked)
    except PortTakenError as error:
        who = holder(error.port) or "another process"
        had = ", which it had before," if error.remembered else ""
        raise EngineError(
            f"{project.name}: port {error.port}{had} is taken by {who}. End that, or choose another port: "
            f"{command} --port {ports.suggest()} {project.path}"
        ) from error


def _first_free(known: dict[str, int]) -> int:
    taken = set(known.values())
    return next(port for port in range(FIRST, 65536) if port not in taken and is_free(port))


def holder(port: int) -> str:
    """Say which process listens at a port, as far as the system tells; empty when it does not."""
    sockets = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError, IndexError, ValueError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{words[9]}]")
    for link in Path("/proc").glob("[0-9]*/fd/[0-9]*") if sockets else ():
        with suppress(OSError):
            if os.readlink(link) in sockets:
                pid = link.parts[2]
                command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
                return f"process {pid}, {' '.join(command.split(chr(0)))[:80].strip()}"
    return ""
