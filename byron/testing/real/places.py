"""Where the processes of a test marked `real` work: told to them by their environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

#: The environment variables that tell of it.
SETTINGS, DIRECTORY, BROKER = "BYRON_TEST_SETTINGS", "BYRON_TEST_DIRECTORY", "BYRON_TEST_BROKER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """A project, and the directory in which a test's processes keep everything."""

    project: Path
    #: The module of the project's settings.
    settings: str
    #: The names of its databases.
    databases: tuple[str, ...]
    directory: Path

    def cache(self, alias: str) -> Path:
        """Return the file of a Cache."""
        return self.directory / f"{alias}.sqlite3"

    def environment(self, broker: str) -> dict[str, str]:
        """Return the environment of a process, with the broker's address."""
        # Of this process's own role and broker nothing may be left.
        kept = {name: value for name, value in os.environ.items() if name not in ("BYRON_ROLE", "CACHE_URL")}
        return {
            **kept,
            "DJANGO_SETTINGS_MODULE": "byron.testing.real.settings",
            SETTINGS: self.settings,
            DIRECTORY: str(self.directory),
            BROKER: broker,
            # For settings that make more of them than Byron's own, and read by byron.project.cache_databases.
            "BYRON_BROKER_URL": broker,
            **{f"{alias.upper()}_CACHE_URL": f"sqlite:///{self.cache(alias)}" for alias in self.databases},
            "PYTHONPATH": _path(sys.path),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_RUNSERVER_HIDE_WARNING": "true",
        }


def _path(entries: Iterable[str]) -> str:
    # What this process can import, those can too: pytest may have added places.
    return os.pathsep.join(entry for entry in entries if entry)
