"""A command's hooks: what those before it make of its arguments, and those after it of what it returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from byron.commands.context import Context
from byron.commands.functions import HOOKS, load_function
from byron.commands.unwritten import hook_at_work
from byron.exceptions import ContractError
from byron.schema.model import Command, Component, InputType
from byron.schema.problems import did_you_mean, quoted
from byron.schema.reads import additions, arguments_of, function_arguments
from byron.schema.type_ref import TypeRef


def run_before(context: Context, command: Command, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a command's arguments as its before hooks leave them: changed in place, or replaced.

    An argument that a hook takes away is as if the client had left it out. Raises ContractError, which names the
    hook, for arguments that the command does not take, or cannot be without; and whatever hooks raise.
    """
    component = context.config.component
    for hook in command.hooks.before:
        returned = _run(context, hook, arguments)
        if returned is not None and not isinstance(returned, Mapping):
            raise ContractError(
                f"The hook {hook} of {command.name} returned {quoted(repr(returned))}: a hook before a command returns "
                "its arguments, a mapping, or None when it changed them in place."
            )
        arguments = arguments if returned is None else dict(returned)
        problem = next(_problems(component, command, arguments), "")
        if problem:
            raise ContractError(f"The hook {hook} of {command.name} {problem}")
    return arguments


def run_after(context: Context, command: Command, value: Any) -> None:
    """Run a command's after hooks on what it returned. Raises whatever they do."""
    for hook in command.hooks.after:
        _run(context, hook, value)


def _run(context: Context, hook: str, value: Any) -> Any:
    with hook_at_work(hook):
        return load_function(context.config, HOOKS, hook)(context, value)


def _problems(component: Component, command: Command, arguments: Mapping[str, Any]) -> Iterator[str]:
    taken = function_arguments(component, command)
    for name in arguments:
        if name not in taken:
            hint = did_you_mean(str(name), taken) or "."
            yield f"added the argument {name!r}, which it does not take{hint} It takes {', '.join(taken) or 'none'}."
    # Hooks may give a function more within an argument. Of what is declared, nobody would ever see it.
    shapes = _shapes(component, command) if command.is_declared else {}
    for argument in arguments_of(component, command):
        name = argument.python_name
        if name in arguments:
            yield from _unknown(shapes, argument.type, name, arguments[name])
        elif name in taken and argument.type.required:
            yield f"took the argument {name!r} away, which it cannot do without."


def _shapes(component: Component, command: Command) -> Mapping[str, InputType]:
    read = () if command.read is None else additions(component).inputs
    return component.inputs | {each.name: each for each in read}


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
