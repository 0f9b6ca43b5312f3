"""The API's server: a socket, and worker processes that answer what arrives there.

The parent process binds the socket and shares it with its workers, so that connections wait in one queue
while workers come and go: none of them is lost with the worker that it would have gone to. It replaces
workers one by one on SIGHUP and stops them on SIGTERM and SIGINT; `serving_worker` says how a worker leaves.

POSIX systems only.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryDirectory
from time import monotonic

from byron.exceptions import ByronError, MissingExtraError
from byron.management.processes import tell_ready
from byron.management.serving.worker import LEAVE, READY, STOP, Work, run_worker

log = logging.getLogger("byron.serve")

#: Seconds that a worker may take to load the application.
LOADING = 60.0
#: Seconds between two starts of workers that end by themselves.
_PAUSE = 1.0

# A fresh interpreter for each worker: a fork would go on with the modules of this process, not with new code.
_processes = multiprocessing.get_context("spawn")


class ServingError(ByronError):
    """A server that cannot start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """How the API is served; `grace` is in seconds."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    threads: int = 4
    backlog: int = 1024
    grace: float = 25.0
    access_log: bool = True


def available_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def require_granian() -> None:
    """Raise MissingExtraError when the server's library is not installed."""
    if find_spec("granian") is None:
        raise MissingExtraError("`serve` needs granian, which is not installed: pip install 'byron-framework[serve]'")


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Return a listening socket. Raises ServingError when the address is taken or cannot be used."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it: the end of an answer does not wait for the client's acknowledgement of its begin.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(backlog)
    except OSError as error:
        if listener is not None:
            listener.close()
        raise ServingError(
            f"{host}:{port} cannot be listened at: {error.strerror}. Choose another address with --host and --port."
        ) from error
    return listener


def refuse_connections(listener: socket.socket) -> None:
    """Let no further connection begin, without losing those that wait to be accepted; on Linux only.

    Closing the socket would reset them. A filter drops the packets that ask for a connection instead;
    who sent one tries again, and is refused once the socket is closed.
    """
    if sys.platform != "linux":
        return
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in _DROP_SYN)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(_DROP_SYN), ctypes.addressof(buffer))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)


_SO_ATTACH_FILTER = 26
#: A classic BPF program: load the TCP header's flags; where SYN is set drop the packet, else keep all of it.
_DROP_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))


class Worker:
    """A worker process as its parent sees it."""

    def __init__(self, work: Work) -> None:
        self._pipe, theirs = _processes.Pipe()
        self._process = _processes.Process(target=run_worker, args=(work, theirs), name="byron-worker")
        self._process.start()
        theirs.close()
        self.sentinel = self._process.sentinel
        #: When a worker that was asked to leave is to be gone.
        self.deadline: float | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid

    @property
    def pipe(self) -> Connection:
        """Has something to read once the worker is ready, or could not be."""
        return self._pipe

    @property
    def exit_code(self) -> int | None:
        """The process's exit code, or None while it runs."""
        return self._process.exitcode

    def problem(self) -> str:
        """Return what the worker has said: empty when it is ready, else why it cannot work."""
        try:
            said = str(self._pipe.recv())
        except (EOFError, OSError):
            self._process.join(_PAUSE)
            return f"the worker ended with {self._process.exitcode}"
        return "" if said == READY else said

    def ask(self, message: str, grace: float) -> None:
        """Have the worker finish its requests and end."""
        self.deadline = monotonic() + grace
        with suppress(OSError):
            self._pipe.send(message)

    def end(self) -> None:
        """Kill the worker if it still runs, and forget it."""
        if not wait([self.sentinel], 0.0):
            if self.deadline is not None:
                log.warning("killed pid=%s: it did not finish in time", self.pid)
            self._process.kill()
        self._process.join()
        self._process.close()
        self._pipe.close()


class Server:
    """Serve a WSGI application until SIGTERM or SIGINT."""

    def __init__(self, listener: socket.socket, application: str, serving: Serving) -> None:
        self._listener, self._serving = listener, serving
        self._kept = _private_directory()
        kept = None if self._kept is None else self._kept.name
        self._work = Work(application, listener, serving.backlog, serving.threads, serving.access_log, kept)
        self._current: list[Worker] = []
        self._leaving: list[Worker] = []
        self._stopping = self._reloading = False
        self._wake, self._waker = os.pipe()
        self._next_start = 0.0

    def run(self) -> None:
        """Serve. Raises ServingError when the application cannot be loaded at the start."""
        before = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        try:
            self._start_all()
            while not self._stopping:
                self._turn()
        finally:
            self._stop()
            if self._kept is not None:
                self._kept.cleanup()
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._wake)
            os.close(self._waker)

    def _on_signal(self, number: int, frame: object) -> None:
        if number == signal.SIGHUP:
            self._reloading = True
        else:
            self._stopping = True
        os.write(self._waker, b"!")

    def _start_all(self) -> None:
        # All at once: nobody is served yet who would be slowed down.
        self._current = [Worker(self._work) for _ in range(self._serving.workers)]
        for worker in self._current:
            problem = self._ready(worker)
            if problem:
                raise ServingError(f"The application cannot be loaded: {problem}.")
        if not self._stopping:
            address = self._listener.getsockname()
            log.info(
                "serving at http://%s:%s workers=%d threads=%d",
                f"[{address[0]}]" if ":" in address[0] else address[0],
                address[1],
                self._serving.workers,
                self._serving.threads,
            )
            tell_ready()

    def _ready(self, worker: Worker) -> str:
        """Wait until a worker is ready; return why it will not be, or nothing when this server is to stop."""
        deadline = monotonic() + LOADING
        while not self._stopping:
            ready = wait([worker.pipe, self._wake], max(0.0, deadline - monotonic()))
            if self._wake in ready:
                os.read(self._wake, 1)
            if worker.pipe in ready:
                return worker.problem()
            if monotonic() > deadline:
                return f"it took more than {LOADING:.0f} s"
        return ""

    def _turn(self) -> None:
        """Wait until something happens, and deal with it."""
        times = [worker.deadline for worker in self._leaving if worker.deadline is not None]
        # Asked once: a worker that ends after this is among those that are waited for, and wakes the wait.
        ended = self._ended()
        if ended:
            times.append(self._next_start)
        if self._reloading:
            times.append(0.0)
        running = [worker.sentinel for worker in (*self._current, *self._leaving) if worker not in ended]
        ready = wait([self._wake, *running], max(0.0, min(times) - monotonic()) if times else None)
        if self._wake in ready:
            os.read(self._wake, 1)
        self._bury()
        if self._reloading and not self._stopping:
            self._reloading = False
            self._reload()
        if self._ended() and not self._stopping and monotonic() >= self._next_start:
            self._replace()

    def _ended(self) -> list[Worker]:
        return [worker for worker in self._current if worker.exit_code is not None]

    def _bury(self) -> None:
        now = monotonic()
        for worker in list(self._leaving):
            if worker.exit_code is not None or (worker.deadline is not None and worker.deadline <= now):
                worker.end()
                self._leaving.remove(worker)

    def _replace(self) -> None:
        """Start a worker for each one that ended by itself."""
        self._next_start = monotonic() + _PAUSE
        for worker in self._ended():
            log.error("worker ended pid=%s exit_code=%s: starting another", worker.pid, worker.exit_code)
            self._current[self._current.index(worker)] = fresh = Worker(self._work)
            worker.end()
            problem = self._ready(fresh)
            if problem:
                log.error("worker cannot start pid=%s error=%s", fresh.pid, problem)

    def _reload(self) -> None:
        """Replace the workers one by one, each when its successor is ready; keep them when one will not be."""
        log.info("reloading")
        for index, old in enumerate(self._current):
            fresh = Worker(self._work)
            problem = self._ready(fresh)
            if problem or self._stopping:
                if problem:
                    log.error("reload given up, the workers before go on error=%s", problem)
                fresh.end()
                return
            self._current[index] = fresh
            self._leaving.append(old)
            old.ask(LEAVE, self._serving.grace)
        log.info("reloaded")

    def _stop(self) -> None:
        log.info("stopping")
        refuse_connections(self._listener)
        for worker in self._current:
            worker.ask(STOP, self._serving.grace)
        _join([*self._current, *self._leaving])
        self._listener.close()
        log.info("stopped")


def _private_directory() -> TemporaryDirectory[str] | None:
    """Make a directory for this user alone; None where there is no place for one, and workers do without."""
    try:
        return TemporaryDirectory(prefix="byron-serve-", ignore_cleanup_errors=True)
    except OSError as error:
        log.warning("workers cannot leave each other keys, there is no temporary directory error=%s", error)
        return None


_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def _join(workers: Sequence[Worker]) -> None:
    """Wait for workers that were asked to end, each until its deadline."""
    for worker in workers:
        patience = (worker.deadline or 0.0) - monotonic()
        wait([worker.sentinel], max(0.0, patience))
    for worker in workers:
        worker.end()
