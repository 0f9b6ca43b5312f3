"""Commands that schema.yaml alone describes: `read:` and `emit:`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from byron.commands.context import Context
from byron.commands.emits import run_emit
from byron.commands.reads import run_read
from byron.schema.model import Command


def run_declared(
    context: Context, command: Command, arguments: Mapping[str, Any], *, asked: Mapping[str, Any] | None = None
) -> Any:
    """Do what a command's `read:` or `emit:` says; `arguments` are those given, by their snake_case names.

    `asked` are those that the client gave, where hooks may have changed them. Raises CommandError, and ContractError
    for what hooks made of them.
    """
    if command.read is not None:
        return run_read(context, command, command.read, arguments)
    if command.emit is not None:
        return run_emit(context, command, command.emit, arguments, arguments if asked is None else asked)
    raise TypeError(f"{command.name} is not declared")
