"""One worker process of the API's server: granian around the project's WSGI application.

A worker leaves without dropping a request. An HTTP client may send its next request at any moment on a
connection that it keeps alive, so closing one that is idle can lose a request. The worker says
`Connection: close` with each answer for a while first; clients then go elsewhere by themselves. What is
idle after that is closed, and what is being answered is finished.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import sleep
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.staticfiles.handlers import StaticFilesHandler
from django.core.checks import run_checks
from django.core.management.base import SystemCheckError
from django.db import connections
from django.utils.module_loading import import_string

from byron.api.identity.last_good import LAST_GOOD
from byron.commands.bulkhead import limit_waits

#: What a worker says once the application is loaded.
READY = "ready"
#: What a worker is told: that others accept connections now, or that nobody does.
LEAVE, STOP = "leave", "stop"

#: Seconds in which a leaving worker takes further requests on the connections that it has.
FAREWELL = 1.0
#: Connections that a worker holds, idle ones included. Further ones wait in the socket's queue, which is bounded too.
CONNECTIONS = 512
#: Milliseconds until a connection on which nothing arrives is closed: longer than proxies keep an idle one,
#: usually 60 s, since who closes first is safe from sending into a connection that is gone.
IDLE = 75_000
#: Seconds after which a thread without work ends, and with it its database connections; granian's longest.
THREAD_IDLE = 600

#: Seconds after which a connection to a SQLite file is opened anew, in case the file is another one.
SQLITE_AGE = 60

StartResponse = Callable[..., Any]
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

log = logging.getLogger("byron.serve")


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker needs to know; it is sent to a fresh process."""

    application: str
    listener: socket.socket
    backlog: int
    threads: int
    access_log: bool
    #: A directory of the parent's in which workers leave public keys for those that come after them.
    kept: str | None = None


class LeavingApplication:
    """A WSGI application that can be told to have its connections closed, one answer at a time."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self.leaving = False

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if self.leaving:
                headers = [*headers, ("Connection", "close")]
            return start_response(status, headers, exc_info)

        return self._application(environ, start)


def run_worker(work: Work, parent: Connection) -> None:
    """Answer requests until the parent says to stop, or is gone."""
    # Meant for the parent alone, but a terminal that is closed tells every process.
    signal.signal(signal.SIGHUP, lambda *_: None)
    # So does Ctrl-C, which the parent answers by telling its workers to stop; granian's own handler comes later.
    signal.signal(signal.SIGINT, lambda *_: None)
    limit_waits(work.threads)
    LAST_GOOD.use(work.kept)

    def load() -> LeavingApplication:
        try:
            application = LeavingApplication(_with_static_files(import_string(work.application)))
            _check()
            _keep_connections()
            # Its module needs models, which are there now.
            import_string("byron.api.warming.warm_up")()
        except Exception as error:
            parent.send(f"{type(error).__name__}: {error}")
            raise
        if not work.access_log:
            logging.getLogger("byron.access").disabled = True
        threading.Thread(target=_obey, args=(parent, application, work), name="parent", daemon=True).start()
        return application

    _run_granian(work, load, lambda: parent.send(READY))


def _with_static_files(application: Any) -> Any:
    """Have an application answer for its static files under DEBUG, as runserver does: GraphiQL needs them."""
    if settings.DEBUG and apps.is_installed("django.contrib.staticfiles"):
        return StaticFilesHandler(application)
    return application


def _check() -> None:
    """Import all that requests will need, and refuse code with problems. Raises SystemCheckError."""
    problems = [found for found in run_checks() if found.is_serious() and not found.is_silenced()]
    if problems:
        raise SystemCheckError("\n".join(str(problem) for problem in problems))


def _keep_connections() -> None:
    """Let the few, long-lived threads keep their connections to SQLite: opening one costs as much as a query."""
    for database in connections.databases.values():
        if database["ENGINE"] == "django.db.backends.sqlite3" and not database["CONN_MAX_AGE"]:
            database["CONN_MAX_AGE"] = SQLITE_AGE


def _obey(parent: Connection, application: LeavingApplication, work: Work) -> None:
    try:
        message = parent.recv()
    except (EOFError, OSError):
        log.error("the parent process is gone: stopping pid=%d", os.getpid())
        message = STOP
    application.leaving = True
    if message == LEAVE:
        _accept_no_more(work.listener)
    sleep(FAREWELL)
    # granian's own handler stops it: idle connections are closed, requests under way answered.
    os.kill(os.getpid(), signal.SIGTERM)


def _accept_no_more(listener: socket.socket) -> None:
    """Leave the shared socket's connections to other processes.

    granian accepts until it stops, and would close a connection that it has just accepted. It keeps its
    file descriptor, which leads to a socket of no use from here on.
    """
    with socket.create_server(("127.0.0.1", 0)) as unused:
        unused.setblocking(False)
        os.dup2(unused.fileno(), listener.fileno())


def _run_granian(work: Work, load: Callable[[], LeavingApplication], ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    granian's own supervisor gives each worker a socket of its own, whose queue is lost with the worker, and starts
    workers by fixed delays. So one worker is taken from it without the rest; the names with an
    underscore are why setup.cfg holds granian to one minor version.
    """
    from granian._granian import SocketHolder
    from granian.constants import HTTPModes, Interfaces, RuntimeModes
    from granian.http import HTTP1Settings
    from granian.log import LogLevels
    from granian.server.mp import MPServer

    def loader() -> LeavingApplication:
        application = load()
        ready()
        return application

    granian: Any = MPServer(
        work.application,
        interface=Interfaces.WSGI,
        runtime_mode=RuntimeModes.mt,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=IDLE),
        websockets=False,
        backlog=work.backlog,
        backpressure=CONNECTIONS,
        blocking_threads=work.threads,
        blocking_threads_idle_timeout=THREAD_IDLE,
        log_level=LogLevels.warning,
        # The project's own handlers print what granian has to say.
        log_dictconfig={"formatters": {}, "handlers": {}, "loggers": {"_granian": {"propagate": True}}},
    )
    granian._ssp, granian._sso = None, work.listener
    granian._shd = SocketHolder(work.listener.fileno(), False, work.backlog)  # type: ignore[call-arg]
    worker = granian._spawn_worker(0, granian._spawn_wsgi_worker, loader)
    # In this process, which was made for it.
    worker.inner.run()
    _leave()


def _leave() -> None:
    """End this process in order, but for the interpreter: granian's threads abort when they meet one that ends."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
