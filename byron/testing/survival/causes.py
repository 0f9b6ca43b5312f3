"""What pytest shows of an error of a handler below a report: the project's code alone."""

from __future__ import annotations

from types import TracebackType

from byron.testing.frames import is_own


def own_part(error: BaseException) -> BaseException | None:
    """Take out of an error what is not of the project's code: frames, and errors before it that were caught elsewhere.

    Where Byron raised another one because of the project's, such as for a SystemExit, that of the project is returned;
    None when no error came out of a function of the project.
    """
    found: BaseException | None = error
    while found is not None and (frames := _own_frames(found.__traceback__)) is None:
        found = _before(found)
    if found is None:
        return None
    found.__traceback__ = frames
    current = found
    while (before := _before(current)) is not None:
        if before.__traceback__ is not None and not _is_own(before.__traceback__):
            # Such as the database's own error behind Django's, or what a handler raised when it was tried before.
            current.__cause__ = None
            break
        before.__traceback__ = _own_frames(before.__traceback__)
        current = before
    return found


def _before(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _own_frames(traceback: TracebackType | None) -> TracebackType | None:
    frames = []
    while traceback is not None:
        if _is_own(traceback):
            frames.append(traceback)
        traceback = traceback.tb_next
    found: TracebackType | None = None
    for each in reversed(frames):
        found = TracebackType(found, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return found


def _is_own(traceback: TracebackType) -> bool:
    return is_own(traceback.tb_frame.f_code.co_filename)
