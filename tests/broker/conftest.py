"""A real nats-server, one for the whole run and one of their own for tests that mistreat it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from byron.broker.nats import NatsBroker
from byron.broker.server import find_binary
from tests.broker.conformance import eventually
from tests.processes import free_port

_CONFIGURATION = """
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{directory}/data" }}
authorization {{
  users: [
    {{ user: admin, password: secret }}
    {{ user: limited, password: secret, permissions: {{
         publish: {{ allow: ["$JS.API.>", "*.*.*.allowed", "*.*.*.allowed.>"] }}
         subscribe: "_INBOX.>"
    }} }}
  ]
}}
"""


class RealServer:
    """A nats-server in a temporary directory that can be killed, paused and started again in place."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = self.url_for("admin")
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "nats.conf").write_text(_CONFIGURATION.format(port=self.port, directory=directory))

    def url_for(self, user: str, password: str = "secret") -> str:
        return f"nats://{user}:{password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        with open(self.directory / "nats.log", "ab") as log:
            self._process = subprocess.Popen(
                [str(find_binary()), "-c", str(self.directory / "nats.conf")], stdout=log, stderr=log
            )
        eventually(self.answers, "nats-server answers")

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    def send(self, *lines: bytes) -> None:
        """Send lines of the protocol as they are, as a foreign client might."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            hello = b'CONNECT {"user":"admin","pass":"secret","verbose":false,"headers":true}\r\n'
            connection.sendall(hello + b"".join(lines) + b"PING\r\n")
            received = b""
            while b"PONG" not in received:
                chunk = connection.recv(65536)
                assert chunk, f"the server hung up: {received!r}"
                received += chunk

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        process = self._send(signal.SIGSTOP)
        # The signal is on its way when kill returns; this returns when every thread has stopped.
        os.waitpid(process.pid, os.WUNTRACED)

    def resume(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> subprocess.Popen[bytes]:
        assert self._process is not None
        os.kill(self._process.pid, number)
        return self._process


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    server = RealServer(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server
    server.end()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RealServer]:
    server = RealServer(tmp_path)
    server.start()
    yield server
    server.end()


@pytest.fixture
def own_broker(own_server: RealServer, namespace: str) -> Iterator[NatsBroker]:
    with NatsBroker(namespace, own_server.url) as broker:
        broker.ensure_log()
        yield broker


@pytest.fixture
def namespace() -> str:
    """A namespace that no other test uses."""
    return f"T{uuid4().hex[:12]}"
