"""Files of a directory that holds secrets: written whole, and secrets never twice."""

from __future__ import annotations

import os
from pathlib import Path


def write_new(path: Path, text: str, *, secret: bool = False) -> None:
    """Write a file that is not there yet; a secret one for this user only. Raises FileExistsError."""
    draft = _draft(path, text, 0o600 if secret else 0o644)
    try:
        # Unlike a rename, this never replaces what another process has written meanwhile.
        os.link(draft, path)
    finally:
        draft.unlink()


def write_over(path: Path, text: str) -> str:
    """Write a file unless it says so already; return what was done to it."""
    known = path.read_text() if path.exists() else None
    if known == text:
        return "unchanged"
    _draft(path, text, 0o644).replace(path)
    return "created" if known is None else "updated"


def _draft(path: Path, text: str, mode: int) -> Path:
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return draft
