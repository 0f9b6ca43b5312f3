"""What a project's processes say: one file, bounded, with the time and the process's name on each line."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

#: Bytes after which a new file is begun; the one before is kept.
LARGEST = 5 * 1024 * 1024

#: Seconds between two looks for new lines.
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a process."""

    time: str
    name: str
    text: str

    @classmethod
    def parse(cls, raw: bytes) -> Line:
        time, _, rest = raw.decode(errors="replace").rstrip("\n").partition(" ")
        name, _, text = rest.partition(" ")
        return cls(time, name, text)


class Journal:
    """Write lines, read the last ones, or follow them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = path.with_name(f"{path.name}.1")

    def write(self, name: str, text: str) -> None:
        """Add a line; for one writing process."""
        if self._size() > LARGEST:
            self.path.replace(self._before)
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.write(f"{time} {name} {text}\n".encode(errors="replace"))

    def last(self, count: int) -> list[Line]:
        """Return the last lines, oldest first."""
        return self._before_position(self._end()[0], count)

    def clear(self) -> None:
        """Begin anew."""
        for path in (self.path, self._before):
            path.unlink(missing_ok=True)

    def follow(self, stop: threading.Event, *, after: int = 0) -> Iterator[Line]:
        """Give the last `after` lines and then each new one, until `stop` is set and all of them are given."""
        position, inode = self._end()
        yield from self._before_position(position, after)
        last_round = False
        while True:
            try:
                with self.path.open("rb") as file:
                    here = os.fstat(file.fileno()).st_ino
                    if here != inode:
                        # The rest of the file before, then this one from its start.
                        yield from self._rest(position, inode)
                        position, inode = 0, here
                    file.seek(position)
                    for raw in file:
                        if not raw.endswith(b"\n"):
                            break
                        position += len(raw)
                        yield Line.parse(raw)
            except FileNotFoundError:
                pass
            if last_round:
                return
            last_round = stop.wait(_POLL)

    def _rest(self, position: int, inode: int) -> Iterator[Line]:
        with suppress(FileNotFoundError), self._before.open("rb") as file:
            if os.fstat(file.fileno()).st_ino == inode:
                file.seek(position)
                yield from map(Line.parse, file)

    def _before_position(self, position: int, count: int) -> list[Line]:
        found: list[bytes] = []
        for path, end in ((self.path, position), (self._before, None)):
            if len(found) < count:
                with suppress(FileNotFoundError):
                    found = [*path.read_bytes()[:end].splitlines(), *found]
        return [Line.parse(line) for line in found[max(0, len(found) - count) :]]

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _end(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_size, found.st_ino
