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
from byron.commands.user import User
from byron.events.event import Event, StoredMessage
from byron.events.payloads import PayloadCodec
from byron.schema.installed import ComponentConfig
from byron.testing.commands import Commands, as_json
from byron.testing.failures import ComponentDown, GraphQLFailure, SystemFailure
from byron.testing.processes import Process, ProcessGroup
from byron.testing.progress import Progress, read_progress
from byron.testing.real_broker import RealLog
from byron.testing.real_places import Places
from byron.testing.real_users import user_header

_HOST = "127.0.0.1"
#: What Django's server says of a port that another process has taken since it was found free.
_TAKEN = "port is already in use"


class RealComponent(Commands):
    """One component in processes of its own, as its clients see it."""

    def __init__(
        self, config: ComponentConfig, places: Places, group: ProcessGroup, log: RealLog, url: str, patience: float
    ) -> None:
        super().__init__(config)
        self._places, self._group, self._log, self._patience = places, group, log, patience
        self._environment = places.environment(url)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._payloads = PayloadCodec(config.component)
        self._prefix = reverse("healthz").removesuffix("healthz")
        self._running = _Running()

    @property
    def label(self) -> str:
        return self.config.label

    @property
    def broker(self) -> Any:
        """The log's broker, for what the test itself publishes."""
        return self._log.broker

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
        user = User(id=id, roles=frozenset(roles), claims={"sub": id, **claims})
        acting._headers = {**self._headers, **user_header(user)}
        return acting

    def with_idempotency_key(self, key: str, /) -> RealComponent:
        """Return this component as it is for requests with an Idempotency-Key."""
        acting = copy(self)
        acting._headers = {**self._headers, "Idempotency-Key": key}
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

    @property
    def events(self) -> list[Event]:
        """Everything that was emitted in this component's namespace, in order."""
        self._log.read()
        return [self._payloads.read(message) for message in self._log.messages]

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

    def progress(self) -> Progress:
        """Return how far the Cache is."""
        return read_progress(self._places.cache(self.config.alias), self.config.consumer_name)

    def to_apply(self, *, after: int) -> list[StoredMessage]:
        """Return what the log, as far as it was read, holds for this component beyond a position."""
        return self._log.of(self.handled, after=after)

    @property
    def handled(self) -> Collection[str]:
        """The names of the events that this component handles."""
        return self.config.component.handlers

    def _ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = HTTPConnection(_HOST, self._running.port, timeout=self._patience)
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
        self.is_down = self.is_ready = False
