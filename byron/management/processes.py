"""Child processes whose output is shown line by line, each with its name in its colour."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from time import monotonic, sleep

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from byron.schema.places import CALLER, caller_directory

SYSTEM = "dev"

#: Names the process that a ChildProcess is to end with.
PARENT = "BYRON_PARENT_PROCESS"
#: Names the descriptor of a pipe on which a child says that its work begins.
READY = "BYRON_READY_PIPE"
#: Seconds between two looks at it.
_LOOK = 0.5


class Output:
    """The terminal, shared by several processes."""

    def __init__(self, names: Sequence[str]) -> None:
        self._printer = Printer(sys.stdout, width=max(len(name) for name in (*names, SYSTEM)))
        self._colours = dict(zip(names, get_colours(), strict=False))
        self._lock = threading.Lock()

    def write(self, name: str, data: str | bytes) -> None:
        """Show text under a process's name."""
        message = Message(type="line", data=data, time=datetime.now(), name=name, colour=self._colours.get(name))
        with self._lock:
            self._printer.write(message)


def ending(code: int) -> str:
    """Say how a process ended whose exit code this is: `with 1`, `by SIGKILL`."""
    try:
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with {code}"
    except ValueError:
        return f"by signal {-code}"


def end_with_parent() -> None:
    """Have this process end when the one that started it as a ChildProcess is gone, however that went."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return

    def watch() -> None:
        while str(os.getppid()) == parent:
            sleep(_LOOK)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def tell_ready() -> None:
    """Tell the process that started this one, if it asked to be told, that the work begins now."""
    descriptor = os.environ.pop(READY, "")
    if descriptor.isdecimal():
        with suppress(OSError):
            os.write(int(descriptor), b"!")
            os.close(int(descriptor))


class ChildProcess:
    """A process in a group of its own, so that a Ctrl-C in the terminal reaches only its parent."""

    def __init__(self, name: str, command: Sequence[str], directory: Path, output: Output) -> None:
        self.name = name
        self._output = output
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "DJANGO_RUNSERVER_HIDE_WARNING": "true",
                PARENT: str(os.getpid()),
                CALLER: caller_directory(),
            },
        )
        self._reader = threading.Thread(target=self._relay, name=f"output-{name}", daemon=True)
        self._reader.start()

    @property
    def exit_code(self) -> int | None:
        """The process's exit code, or None while it runs."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for the process to end, and for its last line to be shown; return its exit code."""
        code = self._process.wait()
        self._close()
        return code

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process and whatever it started."""
        self._signal(signal.SIGTERM)

    def stop(self, patience: float) -> None:
        """Wait up to `patience` seconds for a process that was asked to stop, then kill its group."""
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._output.write(SYSTEM, f"{self.name} did not stop within {patience:.0f} s: killed")
        # The group may hold more than its leader, which has ended.
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._close()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return

    def _relay(self) -> None:
        if self._process.stdout is not None:
            for line in self._process.stdout:
                self._output.write(self.name, line)

    def _close(self) -> None:
        self._reader.join(timeout=2)
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()


def stop_all(children: Sequence[ChildProcess], *, patience: float = 10.0) -> None:
    """Stop processes at the same time, and kill those that take longer than `patience` seconds."""
    for child in children:
        child.ask_to_stop()
    deadline = monotonic() + patience
    for child in children:
        child.stop(max(0.1, deadline - monotonic()))
