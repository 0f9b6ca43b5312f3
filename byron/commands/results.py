"""What a command returns, held against its return type before anything is published."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from django.db import models

from byron.exceptions import ContractError
from byron.schema.model import Command, Component, ObjectType
from byron.schema.type_ref import TypeRef

#: What Python values stand for the scalars that GraphQL has itself; the others take what their column takes.
_PLAIN: dict[str, type[Any] | tuple[type[Any], ...]] = {
    "String": str,
    "Int": int,
    "Float": numbers.Real,
    "Boolean": bool,
}


def check_result(component: Component, command: Command, value: Any) -> None:
    """Raise ContractError when a value cannot be what schema.yaml says the command returns.

    An event cannot be taken back, so this comes before its publication. References are not followed:
    they are resolved from the Cache.
    """
    problem = _problem(component, command.return_type, value)
    if problem:
        raise ContractError(f"{command.name} must return {command.return_type}, but {problem}. Nothing was published.")


def _problem(component: Component, wanted: TypeRef, value: Any) -> str:
    if value is None:
        return "it returned None" if wanted.required else ""
    if not wanted.is_list:
        return _item_problem(component, wanted.name, value)
    if isinstance(value, models.QuerySet):
        return ""
    if not isinstance(value, list | tuple):
        return f"it returned {_shown(value)}, which is no list"
    if wanted.items_required and any(item is None for item in value):
        return "its list holds None"
    problems = (_item_problem(component, wanted.name, item) for item in value if item is not None)
    return next(filter(None, problems), "")


def _item_problem(component: Component, name: str, value: Any) -> str:
    if name in component.types:
        return _entity_problem(component, component.types[name], value)
    if name in component.enums and value not in component.enums[name].values:
        return f"{_shown(value)} is none of {', '.join(component.enums[name].values)}"
    plain = _PLAIN.get(name)
    if plain is None:
        return ""
    fits = isinstance(value, plain) and (isinstance(value, bool) == (name == "Boolean"))
    return "" if fits else f"it returned {_shown(value)}"


def _entity_problem(component: Component, kind: ObjectType, value: Any) -> str:
    if isinstance(value, models.Model):
        return ""
    if not isinstance(value, Mapping):
        return f"it returned {_shown(value)}, which is no {kind.name}"
    if value.get("id") is None:
        return f"its {kind.name} has no id"
    for attribute in kind.attributes:
        given = value.get(attribute.python_name, value.get(attribute.name))
        if given is None and attribute.type.required:
            return f"its {kind.name} has no {attribute.python_name}"
    return ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
