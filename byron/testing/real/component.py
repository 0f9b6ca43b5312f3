"""A component that runs in processes of its own: an API that is asked over HTTP, and a Sink."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterable
from copy import copy
from http.client import HTTPConnection, HTTPException
from typing import Any

from django.urls import reverse

from byron.broker.ports import free_port
from byron.events.codec import decode
from byron.events.event import StoredMessage
from byron.schema.installed import ComponentConfig
from byron.testing.commands import as_json
from byron.testing.failures import ComponentDown, GraphQLFailure, SystemFailure
from byron.testing.members import Reader
from byron.testing.real.broker import RealLog
from byron.testing.real.patience import Patience
from byron.testing.real.places import Places
from byron.testing.real.processes import Process, ProcessGroup
from byron.testing.real.progress import CacheProgress, read_progress
from byron.testing.real.users import user_header
from byron.testing.subject import Subject, acting_user, idempotency_key

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

_HOST = "127.0.0.1"
#: What a component in the test's own process has besides.
_IN_PROCESS_ONLY = frozenset(
    {"broker", "choose_ids", "connected", "examples", "forget_pending", "stop_clock", "survives"}
)
#: What Django's server says of a port that another process has taken since it was found free.
_TAKEN = "port is already in use"


class RealComponent(Subject):
    """One component in processes of its own, as its clients and its log see it."""

    def __init__(
        self,
        config: ComponentConfig,
        places: Places,
        group: ProcessGroup,
        log: RealLog,
        url: str,
        patience: Patience,
        names: Collection[str],
        reader: Reader,
    ) -> None:
        """Prepare a component whose broker is at a URL, and which may be told of events by these names."""
        super().__init__(config, log, names, reader.read)
        self._places, self._group, self._real_log, self._patience = places, group, log, patience
        self._environment = places.environment(url)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._prefix = reverse("healthz").removesuffix("healthz")
        self._running = _Running()

    @property
    def label(self) -> str:
        return self.config.label

    def __getattr__(self, name: str) -> Any:
        if name in _IN_PROCESS_ONLY:
            raise AttributeError(
                f"`{name}` is for tests in one process; {self.label} runs in processes of its own, since this test is "
                "marked `real`."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    @property
    def is_down(self) -> bool:
        """Whether the test has this component down at the moment."""
        return self._running.is_down

    @property
    def processes(self) -> list[Process]:
        """The component's API and its Sink, while it is not down."""
        return [] if self.is_down else self._running.processes

    def as_user(self, id: str, /, *, roles: Iterable[str] = (), **claims: Any) -> RealComponent:
        """Return this component as it is for a user: with `ctx.user` set. No token is made."""
        acting = copy(self)
        acting._headers = {**self._headers, **user_header(acting_user(id, roles, claims))}
        return acting

    def with_idempotency_key(self, key: str, /) -> RealComponent:
        """Return this component as it is for requests with an Idempotency-Key."""
        acting = copy(self)
        acting._headers = {**self._headers, "Idempotency-Key": idempotency_key(key)}
        return acting

    def graphql(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """Run a GraphQL document and return its data.

        Raises GraphQLFailure, ComponentDown while the component is down, and SystemFailure when there is no answer.
        """
        if self.is_down:
            raise ComponentDown(f"{self.label} is down: its API does not answer.")
        body = json.dumps({"query": document, "variables": as_json(variables)}).encode()
        try:
            status, answer = self._ask("POST", f"{self.label}/graphql/", body)
        except (OSError, HTTPException) as error:
            api = self._running.processes[0]
            raise SystemFailure(f"{self.label} did not answer: {error!r}. {api.describe()}") from error
        try:
            said = json.loads(answer)
            if said.get("errors"):
                raise GraphQLFailure(said["errors"])
            data: dict[str, Any] = said["data"]
        except (ValueError, KeyError, AttributeError) as error:
            start = answer[:500].decode(errors="replace")
            raise SystemFailure(f"{self.label} answered with status {status}, and not with GraphQL: {start}") from error
        return data

    def settle(self) -> int:
        """Wait until this component has applied what the log holds for it; return how many events since the last time.

        Its own cascades are included; other components go on as they like. Nothing is waited for while it is down.
        Raises SystemFailure.
        """
        if self.is_down:
            return 0
        self._patience.wait(self._is_settled, f"{self.label} to apply everything", self.describe_pending)
        return self.count_applied()

    def _is_settled(self) -> bool:
        before = self._real_log.read()
        if not self.is_idle():
            return False
        # What its Cache has applied, and does not hold in its outbox, is in the log by now.
        self._real_log.read()
        return not self.to_apply(after=before)

    def is_idle(self) -> bool:
        """Whether it has applied the log, as far as that was read, and has nothing left to emit.

        Raises SystemFailure for a parked event.
        """
        progress = self.progress()
        for event in progress.aside:
            if event.is_parked:
                raise SystemFailure(f"{self.label} has parked an event: {event}.\n{event.traceback}")
        return not progress.aside and not progress.waiting and not self.to_apply(after=progress.position)

    def count_applied(self) -> int:
        """Return how many events were applied since this was asked last."""
        position = self.progress().position
        # Up to there at least the log is to be known.
        self._real_log.read()
        news = self.to_apply(after=self._running.counted)
        self._running.counted = position
        return sum(message.position <= position for message in news)

    def describe_pending(self) -> str:
        """Say what this component still has to do; nothing when it is idle."""
        progress = self.progress()
        pending = self.to_apply(after=progress.position)
        lines = []
        if pending:
            first = decode(pending[0])
            lines.append(
                f"{self.label} has applied the log up to position {progress.position}; {len(pending)} events "
                f"wait, first {first.name} of {first.source} at position {first.position}."
            )
        if progress.waiting:
            lines.append(f"{self.label} has {progress.waiting} emitted events that are not in the log yet.")
        lines += [f"{self.label} has set aside {event}." for event in progress.aside]
        return "\n".join([*lines, *(process.describe() for process in self.processes)]) if lines else ""

    def start(self) -> None:
        """Start the API and the Sink; `is_ready` says when the API answers."""
        parts = [self._start_api()]
        if self.config.component.handlers:
            parts.append(self._start("sink", "runsink", self.label))
        self._running.processes = parts
        self._running.is_down = self._running.is_ready = False

    def _start_api(self) -> Process:
        self._running.port = free_port()
        return self._start("api", "runserver", "--noreload", f"{_HOST}:{self._running.port}")

    def _start(self, part: str, *arguments: str) -> Process:
        command = [sys.executable, "-m", "django", *arguments]
        return self._group.start(f"{self.label} {part}", command, self._places.project, self._environment)

    def is_ready(self) -> bool:
        """Whether the API answers. One that found its port taken is started again on another one."""
        if self._running.is_ready:
            return True
        api = self._running.processes[0]
        if api.status is not None and _TAKEN in api.tail(5):
            self._running.processes[0] = self._start_api()
            return False
        try:
            # The process first: what answers on its port may be another one.
            self._running.is_ready = api.status is None and self._ask("GET", "healthz")[0] == 200
        except (OSError, HTTPException):
            return False
        return self._running.is_ready

    def kill(self) -> None:
        """End the API and the Sink at once, as a power cut would."""
        for process in self._running.processes:
            process.kill()
        self._running.is_down = True

    def progress(self) -> CacheProgress:
        """Return how far the Cache is."""
        return read_progress(self._places.cache(self.config.alias), self.config.consumer_name)

    def to_apply(self, *, after: int) -> list[StoredMessage]:
        """Return what the log, as far as it was read, holds for this component beyond a position."""
        return self._real_log.of(self.handled, after=after)

    @property
    def handled(self) -> Collection[str]:
        """The names of the events that this component handles."""
        return self.config.component.handlers

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = HTTPConnection(_HOST, self._running.port, timeout=self._patience.seconds)
        try:
            connection.request(method, self._prefix + path, body, self._headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


class _Running:
    """The processes of a component, which it shares with what it is for users."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.port = 0
        #: Up to which position `count_applied` has counted.
        self.counted = 0
        self.is_down = self.is_ready = False
