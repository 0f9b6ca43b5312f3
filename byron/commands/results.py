"""What a command returns: loaded, and held against its return type before anything is published."""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models.query import ModelIterable

from byron.commands.pages import Page
from byron.exceptions import ContractError
from byron.schema.forms import FORMS
from byron.schema.model import Command, Component, ObjectType
from byron.schema.type_ref import TypeRef
from byron.schema.values import check_decimal, check_json


def load_rows(value: Any, columns: Collection[str]) -> Any:
    """Return a queryset's entities, by id unless they are ordered; else the value.

    They have only these attributes, unless the developer chose some.
    """
    if not isinstance(value, models.QuerySet):
        return value
    query = value.query
    if not (value.ordered or query.is_sliced or query.distinct_fields or query.combinator or value._result_cache):
        # Each engine has an order of its own where none is asked for.
        value = value.order_by("pk")
    is_plain = query.deferred_loading == (frozenset(), True) and not query.select_related and not query.combinator
    if columns and is_plain and value._result_cache is None and value._iterable_class is ModelIterable:
        return list(value.only(*columns))
    return list(value)


def check_result(component: Component, command: Command, value: Any) -> None:
    """Raise ContractError when a value cannot be what schema.yaml says the command returns.

    An event cannot be taken back, so this comes before its publication. References are not followed:
    they are resolved from the Cache.
    """
    if command.returns_pages and isinstance(value, Page):
        return
    problem = _problem(component, command.return_type, value)
    if problem:
        raise ContractError(f"{command.name} must return {command.return_type}, but {problem}. Nothing was published.")


def _problem(component: Component, wanted: TypeRef, value: Any) -> str:
    if value is None:
        return "it returned None" if wanted.required else ""
    if not wanted.is_list:
        return _item_problem(component, wanted.name, value)
    if not isinstance(value, list | tuple):
        return f"it returned {_shown(value)}, which is no list"
    if wanted.items_required and any(item is None for item in value):
        return "its list holds None"
    problems = (_item_problem(component, wanted.name, item) for item in value if item is not None)
    return next(filter(None, problems), "")


def _item_problem(component: Component, name: str, value: Any) -> str:
    if name in component.types:
        return _entity_problem(component, component.types[name], value)
    return "" if _fits(component, name, value) else f"it returned {_shown(value)}, which is no {name}"


def _entity_problem(component: Component, kind: ObjectType, value: Any) -> str:
    if isinstance(value, models.Model):
        if value._meta.object_name != kind.name:
            return f"it returned a {value._meta.object_name}, which is no {kind.name}"
        # What the Cache holds is what its columns take.
        return _attributes_problem(component, kind, _of_model(kind, value)) if value._state.adding else ""
    if not isinstance(value, Mapping):
        return f"it returned {_shown(value)}, which is no {kind.name}"
    if value.get("id") is None:
        return f"its {kind.name} has no id"
    given = {each.python_name: value.get(each.python_name, value.get(each.name)) for each in kind.attributes}
    return _attributes_problem(component, kind, given)


def _of_model(kind: ObjectType, entity: models.Model) -> dict[str, Any]:
    columns = {each.python_name: entity._meta.get_field(each.python_name) for each in kind.attributes}
    return {name: getattr(entity, getattr(column, "attname", name)) for name, column in columns.items()}


def _attributes_problem(component: Component, kind: ObjectType, given: Mapping[str, Any]) -> str:
    for attribute in kind.attributes:
        value, wanted = given[attribute.python_name], attribute.type
        if value is None:
            if wanted.required:
                return f"its {kind.name} has no {attribute.python_name}"
            continue
        items = value if wanted.is_list and isinstance(value, list | tuple) else [value]
        unfit = [item for item in items if not _attribute_fits(component, wanted, item)]
        if unfit or wanted.is_list != isinstance(value, list | tuple) and wanted.name != "JSON":
            shown = _shown(unfit[0] if unfit else value)
            return f"the {attribute.python_name} of its {kind.name} is {shown}, which is no {wanted}"
    return ""


def _attribute_fits(component: Component, wanted: TypeRef, value: Any) -> bool:
    if value is None:
        return not wanted.items_required
    if wanted.name in component.types:
        # A reference is an id or the entity itself, whose attributes are its own command's to check.
        return isinstance(value, str | Mapping | models.Model)
    return _fits(component, wanted.name, value)


def _fits(component: Component, name: str, value: Any) -> bool:
    if name in component.enums:
        return value in component.enums[name].values
    return _SCALARS[name](value)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def _is_float(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_decimal(value: Any) -> bool:
    if not isinstance(value, Decimal | int) or isinstance(value, bool):
        return False
    try:
        check_decimal(Decimal(value))
    except ValueError:
        return False
    return True


def _is_moment(value: Any) -> bool:
    return isinstance(value, datetime.datetime) and value.tzinfo is not None


def _is_day(value: Any) -> bool:
    return isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)


def _is_json(value: Any) -> bool:
    try:
        check_json(value)
    except ValueError:
        return False
    return True


def _or_text(scalar: str, fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Return a test that also takes text of the form in which clients write the scalar."""

    def test(value: Any) -> bool:
        if not isinstance(value, str):
            return fits(value)
        try:
            FORMS[scalar].value(value)
        except ValueError:
            return False
        return True

    return test


#: What Python values stand for each scalar: its own type, or text as an event's payload has it.
_SCALARS: dict[str, Callable[[Any], bool]] = {
    "ID": lambda value: isinstance(value, str | int | uuid.UUID) and not isinstance(value, bool),
    "String": lambda value: isinstance(value, str),
    "Int": _is_int,
    "Float": _is_float,
    "Boolean": lambda value: isinstance(value, bool),
    "DateTime": _or_text("DateTime", _is_moment),
    "Date": _or_text("Date", _is_day),
    "Time": _or_text("Time", lambda value: isinstance(value, datetime.time)),
    "Decimal": _or_text("Decimal", _is_decimal),
    "UUID": _or_text("UUID", lambda value: isinstance(value, uuid.UUID)),
    "JSON": _is_json,
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
