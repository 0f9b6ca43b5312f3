"""Whose code an error came from: what a test shows of a traceback is the developer's part of it."""

from __future__ import annotations

import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import byron

_BYRON = f"{Path(byron.__file__).parent}{os.sep}"
_STANDARD = f"{sysconfig.get_path('stdlib')}{os.sep}"
_INSTALLED = ("site-packages", "dist-packages")


_is_everything_shown = False


def is_own(file: str) -> bool:
    """Whether a file is of the project under test: none of Byron's, of Python's, or of an installed package."""
    return not file.startswith((_BYRON, _STANDARD, "<")) and not any(name in file for name in _INSTALLED)


def place(error: BaseException) -> str:
    """Return where in the project an error was raised, as `auth/api/commands/create_user.py:12`; or an empty text."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    return f"{_shown(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""


def _shown(file: str) -> str:
    return os.path.relpath(file) if file.startswith(f"{os.getcwd()}{os.sep}") else file


def show_everything() -> None:
    """Leave out nothing from now on, as pytest's `--full-trace` asks for: the mistake may be Byron's."""
    global _is_everything_shown
    _is_everything_shown = True


def is_everything_shown() -> bool:
    """Whether nothing is left out."""
    return _is_everything_shown


def own_part(error: BaseException) -> BaseException | None:
    """Take out of an error what is not of the project's code: frames, and errors before it that were caught elsewhere.

    Where Byron raised another one because of the project's, such as for a SystemExit, that of the project is returned;
    None when no error came out of a function of the project.
    """
    if _is_everything_shown:
        return error
    chain = list(_chain(error))
    found = next((each for each in chain if _own(each.__traceback__) is not None), None)
    if found is None:
        return None
    last = found
    for each in chain[chain.index(found) :]:
        is_elsewhere = each.__traceback__ is not None and not is_own(each.__traceback__.tb_frame.f_code.co_filename)
        if is_elsewhere and each is not found:
            # Such as the database's own error behind Django's, or what a handler raised when it was tried before.
            last.__cause__ = None
            break
        each.__traceback__ = _own(each.__traceback__)
        last = each
    return found


def keep_own(error: BaseException) -> bool:
    """Take out of the tracebacks of an error, and of those that led to it, all but the project's own frames.

    Whether any frame is left: an error that has none never reached the project's code, or came to be without it. One
    that led to another and says just the same, as a database's own error does, is left out.
    """
    if _is_everything_shown:
        return True
    reached = False
    for each in _chain(error):
        each.__traceback__ = _own(each.__traceback__)
        reached = reached or each.__traceback__ is not None
        passed = {id(each)}
        while (before := _before(each)) is not None and str(before) == str(each) and not place(before):
            if id(before) in passed:
                break
            passed.add(id(before))
            each.__cause__ = before.__cause__
            each.__context__ = before.__context__
            each.__suppress_context__ = before.__suppress_context__
    return reached


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and those that led to it, each once: one may be its own cause."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = _before(current)


def _before(error: BaseException) -> BaseException | None:
    """Return the error that led to another one, and is shown with it."""
    return error.__cause__ if error.__suppress_context__ else error.__cause__ or error.__context__


def _own(found: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames that are not the project's."""
    frames = []
    while found is not None:
        if is_own(found.tb_frame.f_code.co_filename):
            frames.append(found)
        found = found.tb_next
    after: TracebackType | None = None
    for each in reversed(frames):
        after = TracebackType(after, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return after
