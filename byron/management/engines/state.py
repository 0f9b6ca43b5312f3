"""What is known on disk of a project that engine `process` runs.

A project has a directory below `<state path>/process-engine`, for this user only, while it is up:

- `project.json`: what to run, for its supervisor;
- `supervisor.json`: the supervisor's process, its children's, and how they are; the supervisor writes it;
- `log`, `log.1`: what all of them say; `supervisor.log`: what went wrong in the supervisor itself;
- `lock`, held while the project is brought up or down.

What outlasts it is `ports.json` beside them: the port that each project had. POSIX systems only.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from byron.management.engines.identity import Identity
from byron.management.engines.journal import Journal

#: Seconds to wait for another command that brings the same project up or down.
LOCK_DEADLINE = 150.0

_POLL = 0.02


class BusyError(Exception):
    """Another command holds the lock for too long."""


@dataclass(kw_only=True)
class ChildRecord:
    """One process of a project; `pid` is 0 while it waits for its restart."""

    pid: int = 0
    started: str = ""
    restarts: int = 0

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)


@dataclass(kw_only=True)
class Record:
    """What a supervisor tells of itself: `starting`, `up`, `restarting`, `stopping`, or `failed` with an error."""

    pid: int
    started: str
    state: str
    since: str
    error: str = ""
    #: The last restart that was asked for and is over; `error` says why it failed.
    restarted: str = ""
    children: dict[str, ChildRecord] = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        return Identity(self.pid, self.started)


class ProjectState:
    """One project's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal = Journal(directory / "log")

    @classmethod
    def of(cls, root: Path, project: Path) -> ProjectState:
        """Return the state of the project in this folder."""
        digest = hashlib.sha256(str(project).encode()).hexdigest()[:12]
        return cls(root / f"{project.name}-{digest}")

    def order(self) -> dict[str, Any] | None:
        """Return what was to be run; None when there is nothing on record."""
        return _read(self.directory / "project.json")

    def write_order(self, order: dict[str, Any]) -> None:
        _write(self.directory / "project.json", order)

    def record(self) -> Record | None:
        """Return what the supervisor told last."""
        found = _read(self.directory / "supervisor.json")
        try:
            if found is None:
                return None
            children = {name: ChildRecord(**child) for name, child in found.pop("children").items()}
            return Record(**found, children=children)
        except (TypeError, KeyError, AttributeError):
            return None

    def write_record(self, record: Record) -> None:
        _write(self.directory / "supervisor.json", asdict(record))

    def forget(self) -> None:
        """Forget the project but for its log; to be called with the lock held."""
        for name in ("project.json", "supervisor.json"):
            (self.directory / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Forget the project; to be called with the lock held."""
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextmanager
    def locked(self, *, patience: float = LOCK_DEADLINE) -> Iterator[None]:
        """Keep other commands from this project meanwhile. Raises BusyError.

        The file goes with the directory when the project goes down, so whoever gets the lock looks whether it is
        still the one in place.
        """
        deadline = monotonic() + patience
        while (descriptor := self._try_lock()) is None:
            if monotonic() > deadline:
                raise BusyError
            sleep(_POLL)
        try:
            yield
        finally:
            # Nothing but the lock: then there is nothing to keep.
            if {entry.name for entry in _entries(self.directory)} == {"lock"}:
                self.remove()
            os.close(descriptor)

    def _try_lock(self) -> int | None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.directory / "lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        os.close(descriptor)
        return None


def _entries(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


def known_projects(root: Path) -> list[Path]:
    """Return the folders of the projects that are on record."""
    orders = [ProjectState(directory).order() for directory in sorted(_entries(root)) if directory.is_dir()]
    return [Path(order["project"]) for order in orders if order is not None and "project" in order]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    # Readers do not take the lock, so they must never see half a file.
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file)
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
