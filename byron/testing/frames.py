"""Whose code an error came from: what a test shows of a traceback is the developer's part of it."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType

import byron

_BYRON = f"{Path(byron.__file__).parent}{os.sep}"
_STANDARD = f"{sysconfig.get_path('stdlib')}{os.sep}"
_INSTALLED = ("site-packages", "dist-packages")


def is_own(file: str) -> bool:
    """Whether a file is of the project under test: none of Byron's, of Python's, or of an installed package."""
    return not file.startswith((_BYRON, _STANDARD, "<")) and not any(name in file for name in _INSTALLED)


def place(error: BaseException) -> str:
    """Return where in the project an error was raised, as `auth/api/commands/create_user.py:12`; or an empty text."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    return f"{_shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def _shown(file: str) -> str:
    return os.path.relpath(file) if file.startswith(f"{os.getcwd()}{os.sep}") else file


def keep_own(error: BaseException) -> None:
    """Take out of an error's traceback what leads to the project's code; nothing when it did not get there."""
    found = error.__traceback__
    while found is not None and not is_own(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    if found is not None:
        error.__traceback__ = _without_byron(found)


def _without_byron(found: TracebackType) -> TracebackType:
    """Return a traceback that begins with the same frame, without Byron's frames, unless one raised the error."""
    frames = []
    current: TracebackType | None = found
    while current is not None:
        frames.append(current)
        current = current.tb_next
    last = frames[-1]
    kept = [each for each in frames if each is last or not each.tb_frame.f_code.co_filename.startswith(_BYRON)]
    after: TracebackType | None = None
    for each in reversed(kept):
        after = TracebackType(after, each.tb_frame, each.tb_lasti, each.tb_lineno)
    assert after is not None
    return after
