"""The developer's functions: one file each, found by the name that schema.yaml declares."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterable
from functools import cache, update_wrapper
from importlib import import_module
from typing import Any

from asgiref.sync import async_to_sync

from byron.commands.time_limit import interrupted_here_too, seconds_left
from byron.exceptions import ContractError
from byron.schema.installed import ComponentConfig
from byron.schema.names import snake_case

COMMANDS = "api.commands"
HANDLERS = "sink.handlers"
HOOKS = "hooks"


@cache
def load_function(config: ComponentConfig, folder: str, name: str) -> Callable[..., Any]:
    """Return the function that a file of the component holds; an `async def` comes as a plain one.

    `folder` is one of COMMANDS, HANDLERS and HOOKS, `name` the declared name. Raises ContractError
    when the file or the function is missing. An error inside the file is raised as it is.
    """
    python_name = snake_case(name)
    module_name = f"{config.name}.{folder}.{python_name}"
    file = f"{config.label}/{folder.replace('.', '/')}/{python_name}.py"
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise ContractError(f"{name} has no file {file}; `manage.py generate` writes a first one.") from error
    function: Callable[..., Any] | None = getattr(module, python_name, None)
    if not callable(function):
        raise ContractError(f"{file} has no function {python_name}; schema.yaml declares {name}.")
    if inspect.iscoroutinefunction(function):
        synchronous: Callable[..., Any] = update_wrapper(async_to_sync(_in_time(function)), function)
        return synchronous
    return function


def _in_time(function: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    async def bounded(*args: Any, **kwargs: Any) -> Any:
        # The coroutine runs in a thread of its own.
        with interrupted_here_too():
            async with asyncio.timeout(seconds_left()):
                return await function(*args, **kwargs)

    return bounded


def signature_misfit(function: Callable[..., Any], positional: int, names: Iterable[str] = ()) -> str:
    """Return why a function cannot be called with so many positional arguments and these by name; empty if it can."""
    try:
        inspect.signature(function).bind(*[None] * positional, **dict.fromkeys(names))
    except TypeError as error:
        return str(error)
    return ""
