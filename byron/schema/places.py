"""How messages name a file: as whoever gave the command would, from the folder they are in."""

from __future__ import annotations

import os
from pathlib import Path

#: The folder in which a command was given that runs others elsewhere, in the environment of these.
CALLER = "BYRON_CALLER_DIRECTORY"


def caller_directory() -> str:
    """Return the folder in which the command was given."""
    return os.environ.get(CALLER) or os.getcwd()


def shown(path: Path) -> str:
    """Return a file's path relative to the caller's folder."""
    return os.path.relpath(path, caller_directory())
