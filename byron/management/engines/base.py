"""What an engine can do with a project."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from byron.exceptions import ByronError
from byron.management.engines.journal import Line
from byron.management.systems.projects import Project

#: Takes a project's name and what it is doing right now.
Say = Callable[[str, str], None]


class EngineError(ByronError):
    """Something that an engine cannot do; the text names the project and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How a project is: `up`, `starting`, `restarting`, `stopping`, `died`, or `down`."""

    component: str
    project: str
    state: str
    namespaces: list[str] = field(default_factory=list)
    port: int | None = None
    pids: dict[str, int] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    #: ISO 8601, UTC.
    since: str | None = None
    #: Events set aside by all of its components; None while that is not known.
    parked: int | None = None
    #: The components whose log does not hold what their Cache has applied; their Sinks wait.
    another_log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str | None:
        return f"http://127.0.0.1:{self.port}/graphql/" if self.port else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """How a project is to be brought up."""

    project: Project
    #: What `manage.py describe` told, or the engine's `facts`.
    facts: dict[str, Any] | None = None
    port: int | None = None
    #: Whether it ends with this process.
    attached: bool = False
    #: Set when the caller has changed its mind.
    cancelled: threading.Event = field(default_factory=threading.Event)


class Engine(ABC):
    """Brings projects up and down. Every operation can be repeated: what is so already is no error.

    All of them raise EngineError. A project that `up` fails to start is down afterwards.
    """

    #: Whether the components find the embedded brokers of this machine, and tell what they are by `describe`.
    supports_embedded_broker = False

    def __init__(self, root: Path) -> None:
        #: Byron's state directory.
        self.root = root

    def prepare(self, project: Project) -> list[str]:
        """Check what can be checked before anything starts, and make what is missing; return what was made."""
        return []

    @abstractmethod
    def build(self, project: Project) -> None:
        """Make a project ready to run."""

    @abstractmethod
    def is_up(self, project: Project) -> bool:
        """Whether the project runs."""

    @abstractmethod
    def choose_port(self, project: Project, asked: int | None = None) -> int:
        """Return the port of the project's API, and remember it. Raises EngineError when it is taken."""

    @abstractmethod
    def facts(self, project: Project) -> dict[str, Any] | None:
        """Return what is known of a project without asking it; None for nothing."""

    @abstractmethod
    def up(self, order: Order, say: Say) -> Row:
        """Start the project's processes; return once they work."""

    @abstractmethod
    def restart(self, order: Order, only: Sequence[str], say: Say) -> Row:
        """Start the processes of a project that is up anew, or those of these names, one after the other.

        What goes wrong before the first of them is stopped leaves all as it was.
        """

    @abstractmethod
    def down(self, project: Project) -> bool:
        """Stop the project's processes; return whether there were any."""

    @abstractmethod
    def status(self, project: Project) -> Row:
        """Return how the project is. The end of one that died is told once and then cleared away."""

    @abstractmethod
    def projects(self) -> list[Project]:
        """Return the projects that this engine knows to be up, or to have died."""

    @abstractmethod
    def logs(self, project: Project, *, last: int, follow: threading.Event | None = None) -> Iterator[Line]:
        """Give a project's last lines, and then those to come until `follow` is set when there is such an event."""
