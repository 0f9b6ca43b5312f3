"""A component in one process: commands, a log in memory, and a Sink that the test drives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, Self

from django.http import HttpRequest

from byron.api.execution import GraphQLService
from byron.broker.connection import use_broker
from byron.broker.memory import MemoryBroker
from byron.cache.roles import Role, acting_as
from byron.commands.user import User
from byron.events.event import Event
from byron.events.payloads import PayloadCodec
from byron.schema.installed import ComponentConfig
from byron.sink.runner import Sink
from byron.testing.cascades import LogUnderTest
from byron.testing.commands import Commands, as_json
from byron.testing.failures import GraphQLFailure


class ComponentUnderTest(Commands):
    """One component, as its clients and its log see it. Each process's role holds here too."""

    def __init__(self, config: ComponentConfig, broker: MemoryBroker | None = None) -> None:
        """Prepare a component with a log of its own, unless a broker is given that others share."""
        super().__init__(config)
        self.broker = LogUnderTest(config.component.namespace) if broker is None else broker
        self._service = GraphQLService(config)
        self._sink = Sink(config, lambda: self.broker)
        self._request: HttpRequest | None = None
        self._payloads = PayloadCodec(config.component)

    @contextmanager
    def connected(self) -> Iterator[Self]:
        """Let commands find the log in memory for a while."""
        with use_broker(self.config.component.namespace, self.broker):
            yield self

    def as_user(self, id: str, /, *, roles: Iterable[str] = (), **claims: Any) -> ComponentUnderTest:
        """Return this component as it is for a user: the same log and Cache, with `ctx.user` set.

        `claims` are what the user's token says besides. No token is made: this is about what commands do with it.
        """
        acting = copy(self)
        acting._request = HttpRequest()
        # Django's annotation knows its own users alone.
        user: Any = User(id=id, roles=frozenset(roles), claims={"sub": id, **claims})
        acting._request.user = user
        return acting

    def graphql(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """Run a GraphQL document and return its data. Raises GraphQLFailure."""
        with acting_as(Role.API):
            answer = self._service.execute(document, as_json(variables), request=self._request)
        if answer.body.get("errors"):
            raise GraphQLFailure(answer.body["errors"])
        data: dict[str, Any] = answer.body["data"]
        return data

    def settle(self) -> int:
        """Apply every event that is in the log and not yet in the Cache; return how many those were.

        Raises what a handler raises.
        """
        with acting_as(Role.SINK):
            return self._sink.settle()

    @property
    def events(self) -> list[Event]:
        """Everything that was emitted, in order."""
        return [self._payloads.read(message) for message in self.broker.messages]
