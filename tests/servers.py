"""Database servers for tests: a process each, on loopback, with its data below a directory."""

from __future__ import annotations

import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, Self

import pytest

from tests.processes import PATIENCE, free_port, wait_for

#: How to stop: `fast` ends what is open and stores what there is, `immediate` is a crash of the server.
Mode = Literal["fast", "immediate"]


class DatabaseServer(ABC):
    """A server on a loopback port that stays its own over a restart.

    It runs while the `with` block does, and can be stopped and started again in it.
    """

    #: What messages call it.
    name: ClassVar[str]
    signals: ClassVar[Mapping[Mode, signal.Signals]]

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.data, self.log = directory / "data", directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, on the data that is there or on new data, and wait until it answers."""
        assert self._process is None, "it runs"
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                cwd=self.directory,
                # An interrupt from the keyboard is for the tests; the server ends after them.
                start_new_session=True,
            )
        try:
            wait_for(self.answers, f"{self.name} to answer")
        except BaseException:
            self.stop("immediate")
            raise

    def stop(self, mode: Mode = "fast") -> None:
        """Stop the server, if it runs, and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(self.signals[mode])
        try:
            process.wait(PATIENCE)
        except BaseException:
            # What else it has started ends when it misses this one.
            process.kill()
            process.wait()
            raise

    def restart(self, mode: Mode = "fast") -> None:
        """Stop the server and start it again, with the same port and data."""
        self.stop(mode)
        self.start()

    def answers(self) -> bool:
        """Return whether the server answers; fail the test when it has ended by itself."""
        if self._process is None:
            return False
        if self._process.poll() is not None:
            pytest.fail(f"{self.name} ended with {self._process.returncode}:\n{self.log.read_text()}")
        return self._pings()

    @abstractmethod
    def _prepare(self) -> None:
        """Put into the directory what a start needs and is not there."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the server's command line."""

    @abstractmethod
    def _pings(self) -> bool:
        """Return whether the server answers a question."""

    @abstractmethod
    def url(self, database: str) -> str:
        """Return a database's URL, for whoever may do everything."""

    @abstractmethod
    def create_database(self, name: str) -> str:
        """Create an empty database, in place of one of that name, and return its URL."""
