"""A command's hooks: what those before it make of its arguments, and those after it of what it returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from byron.commands.context import Context
from byron.commands.functions import HOOKS, load_function
from byron.commands.unwritten import hook_at_work
from byron.exceptions import ContractError
from byron.schema.installed import ComponentConfig
from byron.schema.model import Command, InputType, Parameter
from byron.schema.problems import did_you_mean, quoted
from byron.schema.reads import additions, arguments_of, function_arguments
from byron.schema.type_ref import TypeRef


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What a command takes: its arguments, by the names in Python, and the shapes of what is within them."""

    names: Sequence[str]
    arguments: Mapping[str, Parameter]
    shapes: Mapping[str, InputType]


class Hooks:
    """Run the hooks of one component's commands."""

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config
        self._taken: dict[str, _Taken] = {}

    def before(self, context: Context, command: Command, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return a command's arguments as its before hooks leave them: changed in place, or replaced.

        An argument that a hook takes away is as if the client had left it out. Raises ContractError, which names the
        hook, for arguments that the command does not take, or cannot be without; and whatever hooks raise.
        """
        for hook in command.hooks.before:
            returned = self._run(context, hook, arguments)
            if returned is not None and not isinstance(returned, Mapping):
                raise ContractError(
                    f"The hook {hook} of {command.name} returned {quoted(repr(returned))}: a hook before a command "
                    "returns its arguments, a mapping, or None when it changed them in place."
                )
            arguments = arguments if returned is None else dict(returned)
            problem = next(_problems(self._taken_by(command), arguments), "")
            if problem:
                raise ContractError(f"The hook {hook} of {command.name} {problem}")
        return arguments

    def after(self, context: Context, command: Command, value: Any) -> None:
        """Run a command's after hooks on what it returned. Raises whatever they do."""
        for hook in command.hooks.after:
            self._run(context, hook, value)

    def _run(self, context: Context, hook: str, value: Any) -> Any:
        with hook_at_work(hook):
            return load_function(self._config, HOOKS, hook)(context, value)

    def _taken_by(self, command: Command) -> _Taken:
        taken = self._taken.get(command.name)
        if taken is None:
            component = self._config.component
            read = () if command.read is None else additions(component).inputs
            taken = self._taken[command.name] = _Taken(
                names=function_arguments(component, command),
                arguments={each.python_name: each for each in arguments_of(component, command)},
                # Hooks may give a function more within an argument. Of what is declared, nobody would ever see it.
                shapes=component.inputs | {each.name: each for each in read} if command.is_declared else {},
            )
        return taken


def _problems(taken: _Taken, arguments: Mapping[str, Any]) -> Iterator[str]:
    for name in arguments:
        if name not in taken.names:
            hint = did_you_mean(str(name), taken.names) or "."
            known = ", ".join(taken.names) or "none"
            yield f"added the argument {name!r}, which it does not take{hint} It takes {known}."
    for name in taken.names:
        argument = taken.arguments[name]
        if name in arguments:
            yield from _unknown(taken.shapes, argument.type, name, arguments[name])
        elif argument.type.required:
            yield f"took the argument {name!r} away, which it cannot do without."


def _unknown(shapes: Mapping[str, InputType], kind: TypeRef, where: str, given: Any) -> Iterator[str]:
    shape = shapes.get(kind.name)
    if shape is None or kind.is_list or not isinstance(given, Mapping):
        return
    known = {attribute.python_name: attribute for attribute in shape.attributes}
    for name, value in given.items():
        if name in known:
            yield from _unknown(shapes, known[name].type, f"{where}.{name}", value)
        else:
            hint = did_you_mean(str(name), known) or "."
            yield f"added {name!r} to {where}, which {shape.name} does not have{hint} It has {', '.join(known)}."
