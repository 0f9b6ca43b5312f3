"""A component in one process: commands, a log in memory, and a Sink that the test drives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any, Self

import msgspec
from django.http import HttpRequest

from byron.api.execution import GraphQLService
from byron.broker.connection import use_broker
from byron.broker.memory import MemoryBroker
from byron.cache.roles import Role, acting_as
from byron.commands.user import User
from byron.events.event import Event
from byron.events.payloads import PayloadCodec
from byron.schema.installed import ComponentConfig
from byron.schema.model import Command
from byron.schema.reads import arguments_of, entity_name
from byron.schema.types import SCALARS
from byron.sink.runner import Sink
from byron.testing.survival import Survival


class GraphQLFailure(AssertionError):
    """A GraphQL request that was answered with errors."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        self.errors = errors
        super().__init__("; ".join(error["message"] for error in errors))

    @property
    def code(self) -> str | None:
        """The first error's `extensions.code`, or None."""
        code: str | None = self.errors[0].get("extensions", {}).get("code")
        return code


class ComponentUnderTest:
    """One component, as its clients and its log see it. Each process's role holds here too."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config
        self.broker = MemoryBroker(config.component.namespace)
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
            answer = self._service.execute(document, _json(variables), request=self._request)
        if answer.body.get("errors"):
            raise GraphQLFailure(answer.body["errors"])
        data: dict[str, Any] = answer.body["data"]
        return data

    def query(self, name: str, /, **arguments: Any) -> Any:
        """Run a query of schema.yaml and return its value, with every attribute but references."""
        return self._command("query", name, arguments)

    def mutate(self, name: str, /, **arguments: Any) -> Any:
        """Run a mutation of schema.yaml and return its value, with every attribute but references."""
        return self._command("mutation", name, arguments)

    def settle(self) -> int:
        """Apply every event that is in the log and not yet in the Cache; return how many those were.

        Raises what a handler raises.
        """
        with acting_as(Role.SINK):
            return self._sink.settle()

    def survives(self, *events: Event, across_keys: bool = True, examples: int = 30, seed: int | None = None) -> None:
        """Require that the Cache ends the same whatever happens to the Sink, for what was emitted and these events.

        Generated fault schedules have events delivered again, processes that end at any step, handlers that fail
        once, several lanes, other orders across keys, and a Cache that is lost. They are the same `examples` each
        time, others for each `seed`. Each begins with an empty Cache, and leaves this component as it was. Without
        `across_keys` there is one lane, and nothing passes an event of another key. Raises SurvivalError, an
        AssertionError that tells the smallest schedule found; MissingExtraError; EventError and LookupError for
        events that this component cannot get.
        """
        __tracebackhide__ = True
        Survival(self.config, self.broker, events, across_keys=across_keys).check(examples=examples, seed=seed)

    @property
    def events(self) -> list[Event]:
        """Everything that was emitted, in order."""
        return [self._payloads.read(message) for message in self.broker.messages]

    def _command(self, kind: str, name: str, arguments: Mapping[str, Any]) -> Any:
        command = self.config.component.commands.get(name)
        if command is None or command.type != kind:
            known = [each.name for each in self.config.component.content.commands if each.type == kind]
            raise LookupError(f"schema.yaml declares no {kind} {name!r}; there are: {', '.join(known) or 'none'}")
        return self.graphql(self._document(command, arguments), **self._by_declared_name(command, arguments))[name]

    def _document(self, command: Command, arguments: Mapping[str, Any]) -> str:
        given = self._by_declared_name(command, arguments)
        passed = [argument for argument in arguments_of(self.config.component, command) if argument.name in given]
        variables = ", ".join(f"${argument.name}: {argument.type}" for argument in passed)
        values = ", ".join(f"{argument.name}: ${argument.name}" for argument in passed)
        head = f"{command.type}({variables})" if variables else command.type
        call = f"{command.name}({values})" if values else command.name
        return f"{head} {{ {call}{self._selection(command)} }}"

    def _by_declared_name(self, command: Command, arguments: Mapping[str, Any]) -> dict[str, Any]:
        declared = {argument.python_name: argument.name for argument in arguments_of(self.config.component, command)}
        unknown = [name for name in arguments if name not in declared and name not in declared.values()]
        if unknown:
            taken = ", ".join(declared) or "none"
            raise LookupError(f"{command.name} takes no argument {', '.join(unknown)}; it takes: {taken}")
        return {declared.get(name, name): value for name, value in arguments.items()}

    def _selection(self, command: Command) -> str:
        component = self.config.component
        kind = component.types.get(entity_name(command))
        if kind is None:
            return ""
        plain = [a.name for a in kind.attributes if a.type.name in SCALARS or a.type.name in component.enums]
        entity = f"{{ {' '.join(['id', *plain])} }}"
        if command.returns_pages:
            return f" {{ nodes {entity} pageInfo {{ hasNextPage endCursor }} totalCount }}"
        return f" {entity}"


def _json(variables: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(dict(variables))
    return plain
