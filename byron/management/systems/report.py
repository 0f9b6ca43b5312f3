"""What the commands of a system show: progress, a table, lines with their origin."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from byron.management.engines import Row
from byron.management.engines.journal import Line

_COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")
_STATES = {"up": "green", "starting": "yellow", "restarting": "yellow", "died": "red"}


class Steps:
    """What each part of a system is doing: a moving line each on a terminal, a line a step elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        columns = (SpinnerColumn(finished_text="•"), TextColumn("{task.fields[name]}: {task.description}"))
        self._progress = (
            Progress(*columns, TimeElapsedColumn(), console=console, transient=True) if console.is_terminal else None
        )

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def say(self, name: str, doing: str) -> None:
        """Show that a part is doing something."""
        with self._lock:
            if self._progress is None:
                self._print(name, doing)
            elif name in self._tasks:
                self._progress.update(self._tasks[name], description=doing)
            else:
                self._tasks[name] = self._progress.add_task(doing, total=1, name=name)

    def done(self, name: str, what: str) -> None:
        """Show what became of a part, to stay."""
        with self._lock:
            if self._progress is not None and name in self._tasks:
                self._progress.remove_task(self._tasks.pop(name))
            self._print(name, what)

    def _print(self, name: str, text: str) -> None:
        self._console.print(Text(f"{name}: {text}"), soft_wrap=True)


def show_table(console: Console, rows: Sequence[Row]) -> None:
    """Print how projects are, one a line."""
    headings = ("COMPONENT", "STATE", "PORT", "PIDS", "SINCE", "RESTARTS", "PARKED")
    table = Table(*headings, box=None, pad_edge=False, header_style="")
    for row in rows:
        state = Text(row.state, style=_STATES.get(row.state, ""))
        pids = " ".join(f"{name}={pid}" for name, pid in row.pids.items())
        restarts = " ".join(f"{name}={count}" for name, count in row.restarts.items())
        parked = "-" if row.parked is None else str(row.parked)
        table.add_row(
            row.component, state, str(row.port or "-"), pids or "-", row.since or "-", restarts or "-", parked
        )
    if not console.is_terminal:
        # Nobody looks at a width: no line is to be cut.
        console.width = 250
    console.print(table)


def as_json(rows: Iterable[Row]) -> str:
    """Return how projects are, as JSON."""
    described: list[dict[str, Any]] = [{**asdict(row), "url": row.url} for row in rows]
    return json.dumps(described, indent=1)


class Lines:
    """Lines of several projects' processes, each with its origin in a colour of its own."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._width = 0
        self._styles: dict[str, str] = {}

    def show(self, project: str, line: Line) -> None:
        """Print one line."""
        origin = f"{project} {line.name}"
        with self._lock:
            self._width = max(self._width, len(origin))
            style = self._styles.setdefault(origin, _COLOURS[len(self._styles) % len(_COLOURS)])
            clock = line.time[11:19]
            text = Text.assemble((f"{clock} {origin:<{self._width}} | ".lstrip(), style), line.text)
            self._console.print(text, soft_wrap=True)
