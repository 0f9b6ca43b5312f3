"""Processes of a test: each with its log, all in one group that ends with the test, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

#: Lines of a log that are shown when something went wrong.
TAIL = 20

#: The guard reads from a pipe that this process holds: when this one is gone, it ends the group that it leads.
_GUARD = ("/bin/sh", "-c", "read _; kill -KILL 0")


class Process:
    """A process whose output is in a file."""

    def __init__(
        self, name: str, command: Sequence[str], directory: Path, environment: Mapping[str, str], log: Path, group: int
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=group,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, negative for the signal that ended it; None while the process runs."""
        return self._process.poll()

    def wait(self, patience: float) -> int:
        """Wait for the end and return the exit status. Raises subprocess.TimeoutExpired."""
        return self._process.wait(patience)

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def tail(self, lines: int = TAIL) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) or "(nothing)"

    def describe(self) -> str:
        """Say what became of the process, and what it said last."""
        return f"{self.name} {self._fate()}. The last lines of its log, {self.log}:\n{_indented(self.tail())}"

    def _fate(self) -> str:
        status = self.status
        if status is None:
            return f"runs, as process {self.pid}"
        if status < 0:
            return f"(process {self.pid}) was ended by {signal.Signals(-status).name}"
        return f"(process {self.pid}) ended with exit status {status}"


class ProcessGroup:
    """The processes of a test. At the end of the `with` block none of them is left, nor what they started.

    Nor is any when this process is killed meanwhile.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        logs.mkdir(parents=True, exist_ok=True)
        self._processes: list[Process] = []

    def __enter__(self) -> Self:
        self._guard = subprocess.Popen(_GUARD, stdin=subprocess.PIPE, process_group=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The guard was not waited for, so the group's number is still its own.
        os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.communicate()
        for process in self._processes:
            process.kill()

    def start(
        self, name: str, command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a process; its log is named after it, and continued when it is started again."""
        log = self._logs / f"{name.replace(' ', '-')}.log"
        group, variables = self._guard.pid, os.environ if environment is None else environment
        process = Process(name, command, directory, variables, log, group)
        self._processes.append(process)
        return process


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
