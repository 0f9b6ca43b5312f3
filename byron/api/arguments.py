"""What a client passes to a command, as the command gets it."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from typing import Any

from byron.exceptions import CommandError
from byron.schema.values import check_text

#: Levels of lists and objects in a JSON argument, at most.
_DEEPEST = 100


def plain_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments as plain dicts and lists, enum values by their names.

    Raises CommandError, which names the argument, for what no Cache or event can hold.
    """
    return {name: _plain(value, name, 0) for name, value in arguments.items()}


def _plain(value: Any, name: str, depth: int) -> Any:
    if depth > _DEEPEST:
        raise _refusal(f"{name} is nested more than {_DEEPEST} levels deep.")
    if isinstance(value, str):
        return value.value if isinstance(value, enum.Enum) else _text(value, name)
    if isinstance(value, Mapping):
        return {_plain(key, name, depth + 1): _plain(item, name, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, name, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise _refusal(f"{name} holds {value}, which JSON cannot hold.")
    return value.value if isinstance(value, enum.Enum) else value


def _text(value: str, name: str) -> str:
    try:
        check_text(value)
    except ValueError as error:
        raise _refusal(f"{name} holds {error}.") from None
    return value


def _refusal(message: str) -> CommandError:
    return CommandError(message, code="BAD_USER_INPUT")
