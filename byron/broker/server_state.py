"""What is known of an embedded broker: its directory, the files in it and the process they speak of."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from filelock import FileLock, Timeout

from byron.broker.ports import BROKERS, free_port, is_free
from byron.conf import byron_settings
from byron.exceptions import BrokerError

#: Seconds that a start may take until the server answers.
START_DEADLINE = 10.0

#: Seconds to wait for another process that starts or stops the server.
_LOCK_DEADLINE = 30.0

_HOST = "127.0.0.1"
_USER = "byron"
#: Seconds that a process may show no command line because it is being replaced by exec.
_EXEC_DEADLINE = 0.2
_POLL = 0.01
_NAMESPACE = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_LISTEN = re.compile(r'^listen: "127\.0\.0\.1:(\d+)"$', re.MULTILINE)

_CONFIGURATION = """\
# Written by Byron at each start of the embedded broker of namespace {namespace}; changes are lost.
server_name: {server_name}
listen: "127.0.0.1:{port}"
pid_file: {pid_file}
log_file: {log_file}
logfile_size_limit: 10MB
logfile_max_num: 3
max_payload: 1MB
jetstream {{
  store_dir: {store_dir}
  # With the default, a power cut takes up to the last minutes' acknowledged events with it.
  sync_interval: always
}}
authorization {{
  user: {user}
  password: {password}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedServer:
    """A running embedded broker. The URL holds its password."""

    namespace: str
    url: str
    pid: int
    directory: Path


class ServerState:
    """One embedded broker's directory and what its files say."""

    def __init__(self, namespace: str, state_path: Path | None) -> None:
        if not _NAMESPACE.fullmatch(namespace):
            raise BrokerError(f"{namespace!r} cannot name a namespace: a letter and then only letters and digits can.")
        self.namespace = namespace
        root = state_path if state_path is not None else byron_settings().state_path
        self.directory = root.absolute() / namespace.lower()
        self.configuration = self.directory / "nats.conf"
        self.log = self.directory / "nats.log"
        # Tells this server from one of another user or state directory that has the same namespace.
        digest = hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]
        self.server_name = f"byron-{namespace.lower()}-{digest}"

    def make(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)

    def locked(self) -> FileLock:
        return _Lock(self.directory / "lock", timeout=_LOCK_DEADLINE)

    def recorded(self) -> tuple[int, int]:
        """Return the process id and the port of the last start, 0 for what is unknown."""
        try:
            record = json.loads((self.directory / "server.json").read_text())
            pid, port = int(record["pid"]), int(record["port"])
            if not 0 < port < 65536:
                raise ValueError(f"{port} is no port")
            return pid, port
        except (OSError, ValueError, TypeError, KeyError):
            # Missing or damaged. The server may run all the same: its own files tell.
            return self._recorded_by_server()

    def _recorded_by_server(self) -> tuple[int, int]:
        try:
            pid = int((self.directory / "nats.pid").read_text())
        except (OSError, ValueError):
            pid = 0
        try:
            listen = _LISTEN.search(self.configuration.read_text())
        except (OSError, ValueError):
            listen = None
        return pid, int(listen[1]) if listen else 0

    def record(self, *, pid: int, port: int) -> None:
        _write_privately(self.directory / "server.json", json.dumps({"pid": pid, "port": port}))

    def password(self) -> str:
        """Return the server's password, made at the first call."""
        path = self.directory / "password"
        try:
            known = path.read_text().strip()
        except FileNotFoundError:
            known = ""
        if known:
            return known
        made = secrets.token_urlsafe(24)
        _write_privately(path, made)
        return made

    def write_configuration(self, port: int) -> None:
        # JSON's strings are strings of the server's configuration language too.
        text = _CONFIGURATION.format(
            namespace=self.namespace,
            server_name=json.dumps(self.server_name),
            port=port,
            pid_file=json.dumps(str(self.directory / "nats.pid")),
            log_file=json.dumps(str(self.log)),
            store_dir=json.dumps(str(self.directory / "data")),
            user=json.dumps(_USER),
            password=json.dumps(self.password()),
        )
        _write_privately(self.configuration, text)

    def owns(self, pid: int) -> bool:
        """Whether the process is alive and a server started with this directory's configuration."""
        if pid <= 0:
            return False
        with suppress(ChildProcessError):
            # A server that this very process started stays a zombie until it is waited for.
            os.waitpid(pid, os.WNOHANG)
        return str(self.configuration) in _command_of(pid)

    def find_running(self) -> EmbeddedServer | None:
        pid, port = self.recorded()
        if port and self.owns(pid) and _server_name_at(port) == self.server_name:
            return self._server(pid, port)
        return None

    def _server(self, pid: int, port: int) -> EmbeddedServer:
        url = f"nats://{_USER}:{self.password()}@{_HOST}:{port}"
        return EmbeddedServer(namespace=self.namespace, url=url, pid=pid, directory=self.directory)

    def await_ready(self, pid: int, port: int) -> EmbeddedServer:
        """Return the server once it answers. Raises BrokerError when it ends or the deadline passes."""
        deadline = monotonic() + START_DEADLINE
        while _server_name_at(port) != self.server_name:
            if not self.owns(pid):
                raise self._failure("ended while it started")
            if monotonic() > deadline:
                raise self._failure(f"does not answer on port {port} after {START_DEADLINE:g} seconds")
            sleep(_POLL)
        return self._server(pid, port)

    def _failure(self, what: str) -> BrokerError:
        try:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        except OSError:
            tail = "(no log)"
        return BrokerError(f"The embedded broker of namespace {self.namespace!r} {what}. {self.log} ends with:\n{tail}")

    def choose_port(self, remembered: int) -> int:
        """Return the remembered port, on which other processes look for the server, or a free one."""
        if remembered and is_free(remembered):
            return remembered
        if remembered and _server_name_at(remembered) == self.server_name:
            # A second server on the same data would ruin them.
            raise BrokerError(
                f"An embedded broker of namespace {self.namespace!r} listens on port {remembered}, but its process "
                f"is not on record in {self.directory}. End that nats-server and try again."
            )
        return free_port(BROKERS)


class _Lock(FileLock):
    """A file lock whose timeout is a BrokerError."""

    def __enter__(self) -> _Lock:
        try:
            super().__enter__()
        except Timeout as error:
            raise BrokerError(f"Another process holds {self.lock_file} for too long.") from error
        return self


def _write_privately(path: Path, text: str) -> None:
    # Readers do not take the lock, so they must never see half a file.
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


def _server_name_at(port: int) -> str | None:
    """Return the name of the NATS server on this port, None when none answers."""
    try:
        with socket.create_connection((_HOST, port), timeout=1.0) as connection, connection.makefile("rb") as stream:
            keyword, _, info = stream.readline(64 * 1024).partition(b" ")
        name = json.loads(info).get("server_name") if keyword == b"INFO" else None
    except (OSError, ValueError, AttributeError):
        return None
    return str(name)


def _command_of(pid: int) -> list[str]:
    """Return a live process's command line, empty for none and for a zombie."""
    deadline = monotonic() + _EXEC_DEADLINE
    while True:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            break
        # In the middle of exec a process has no command line yet: a server spawned a moment ago may be there.
        if command or _is_zombie(pid) or monotonic() > deadline:
            return command.split("\0")
        sleep(0.001)
    if Path("/proc/self").exists():
        return []
    shown = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.rstrip("\n").split(" -c ")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return True
