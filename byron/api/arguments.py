"""What a client passes to a command, as the command gets it."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from typing import Any

from byron.exceptions import CommandError
from byron.schema.model import Component, InputType, Member
from byron.schema.reads import additions
from byron.schema.values import check_text, plain_float

#: Levels of inputs within inputs, at most.
_DEEPEST = 100


class Arguments:
    """Hold a component's arguments to what every Cache and event can hold, in one walk.

    GraphQL has seen to their types, and each scalar of Byron's to its values: what is left are texts, floats and enums.
    """

    def __init__(self, component: Component) -> None:
        inputs = (*component.content.inputs, *additions(component).inputs)
        self._inputs: Mapping[str, InputType] = {each.name: each for each in inputs}

    def plain(self, members: Iterable[Member], given: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments as plain dicts and lists, enum values by their names; `members` are those that may be given.

        Raises CommandError, which says where the value is in the client's words, for what cannot be held.
        """
        return self._group(members, given, "", 0)

    def _group(self, members: Iterable[Member], given: Mapping[str, Any], place: str, depth: int) -> dict[str, Any]:
        if depth > _DEEPEST:
            raise _refusal(f"{place.partition('.')[0]} is nested more than {_DEEPEST} levels deep.")
        prefix = f"{place}." if place else ""
        return {
            each.python_name: self._value(each.type.name, given[each.python_name], f"{prefix}{each.name}", depth)
            for each in members
            if each.python_name in given
        }

    def _value(self, kind: str, value: Any, place: str, depth: int) -> Any:
        if value is None:
            return None
        if isinstance(value, list) and kind != "JSON":
            return [self._value(kind, item, f"{place}[{index}]", depth) for index, item in enumerate(value)]
        if kind in ("String", "ID"):
            return _text(value, place)
        if kind == "Float":
            return _number(value, place)
        if kind in self._inputs:
            return self._group(self._inputs[kind].attributes, value, place, depth + 1)
        return value.value if isinstance(value, enum.Enum) else value


def _text(value: str, place: str) -> str:
    try:
        check_text(value)
    except ValueError as error:
        raise _refusal(f"{place} holds {error}.") from None
    return value


def _number(value: float, place: str) -> float:
    if not math.isfinite(value):
        # Only a number in the document's text gets here.
        raise _refusal(f"{place} is beyond the numbers of 64 bits.")
    return plain_float(value)


def _refusal(message: str) -> CommandError:
    return CommandError(message, code="BAD_USER_INPUT")
