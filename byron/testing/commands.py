"""The commands of a component by name: the document, its variables and the value, without writing GraphQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from byron.events.codec import time_as_text
from byron.schema.installed import ComponentConfig
from byron.schema.model import Command
from byron.schema.problems import did_you_mean
from byron.schema.reads import VERSION, arguments_of, entity_name
from byron.schema.types import SCALARS
from byron.testing.members import event_names

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True


class Commands(ABC):
    """What runs the commands of a component, in this process or in another."""

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    @abstractmethod
    def graphql(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """Run a GraphQL document and return its data. Raises GraphQLFailure."""

    def run(self, name: str, /, **arguments: Any) -> Any:
        """Run a command of schema.yaml, be it a query or a mutation, and return its value."""
        _require_name("command", name)
        commands = self.config.component.commands
        if name not in commands and name in event_names([self.config]):
            raise LookupError(f"{name!r} is an event, and no command: write event({name!r}, …)")
        if name not in commands:
            raise _not_declared("command", name, commands, did_you_mean(name, commands))
        return self._command(commands[name].type, name, arguments)

    def query(self, name: str, /, **arguments: Any) -> Any:
        """Run a query of schema.yaml and return its value, with every attribute but references."""
        return self._command("query", name, arguments)

    def mutate(self, name: str, /, **arguments: Any) -> Any:
        """Run a mutation of schema.yaml and return its value, with every attribute but references."""
        return self._command("mutation", name, arguments)

    def _command(self, kind: str, name: str, arguments: Mapping[str, Any]) -> Any:
        _require_name(kind, name)
        command = self.config.component.commands.get(name)
        if command is None or command.type != kind:
            known = [each.name for each in self.config.component.content.commands if each.type == kind]
            hint = did_you_mean(name, known) if command is None else f"; it is a {command.type}."
            raise _not_declared(kind, name, known, hint)
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
            hint = did_you_mean(unknown[0], declared.values())
            raise LookupError(f"{command.name} takes no argument {', '.join(unknown)}{hint or '.'} It takes: {taken}.")
        return {declared.get(name, name): value for name, value in arguments.items()}

    def _selection(self, command: Command) -> str:
        component = self.config.component
        kind = component.types.get(entity_name(command))
        if kind is None:
            return ""
        plain = [a.name for a in kind.attributes if a.type.name in SCALARS or a.type.name in component.enums]
        own = ["id", VERSION] if kind.name in component.versioned else ["id"]
        entity = f"{{ {' '.join([*own, *plain])} }}"
        if command.returns_pages:
            return f" {{ nodes {entity} pageInfo {{ hasNextPage endCursor }} totalCount }}"
        return f" {entity}"


def argument_names(config: ComponentConfig, name: str) -> list[str] | None:
    """Return how the arguments of a command are called in Python, in the declared order; None when there is none."""
    command = config.component.commands.get(name)
    return None if command is None else [each.python_name for each in arguments_of(config.component, command)]


def _require_name(kind: str, name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f'{name!r} is no name of a {kind}; write it as schema.yaml does: "createStudent"')


def _not_declared(kind: str, name: str, known: Collection[str], hint: str) -> LookupError:
    there = f"It declares: {', '.join(known)}." if known else "It declares none."
    return LookupError(f"schema.yaml declares no {kind} {name!r}{hint or '.'} {there}")


def as_json(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables as JSON has them."""
    plain: dict[str, Any] = msgspec.to_builtins(dict(variables), enc_hook=time_as_text)
    return plain
