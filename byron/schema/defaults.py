"""Values that schema.yaml gives itself, such as `default:`: whether each fits its type, and what it is elsewhere.

A value has three forms: as YAML has it, as an event's JSON has it (plain), and as Python has it.
"""

from __future__ import annotations

import datetime
import math
from typing import Any

from byron.schema.forms import FORMS
from byron.schema.model import Component, Emit, Member, ObjectType
from byron.schema.problems import did_you_mean, listed, quoted
from byron.schema.type_ref import TypeRef
from byron.schema.types import LONGEST_ID
from byron.schema.values import plain_float

#: Integers within JSON that the log and every Cache hold exactly.
_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1


class UnfitValueError(ValueError):
    """A value of schema.yaml that is none of its type; the message says why, and what to write."""


def plain_default(component: Component, member: Member) -> Any:
    """Return a default as JSON has it, and None where there is none."""
    return None if member.default is None else plain_value(component, member.type, member.default)


def default_value(component: Component, member: Member) -> Any:
    """Return a default as Python has it, and None where there is none. A list or an object is a new one each time."""
    return python_value(member.type, plain_default(component, member))


def plain_fixed(component: Component, entity: ObjectType, emit: Emit) -> dict[str, Any]:
    """Return the values under `set:` as JSON has them, by the attributes' names in Python."""
    return {
        each.python_name: plain_value(component, each.type, emit.set[each.name])
        for each in entity.attributes
        if each.name in emit.set
    }


def fixed_values(component: Component, entity: ObjectType, emit: Emit) -> dict[str, Any]:
    """Return the values under `set:` as Python has them, by the attributes' names in Python."""
    plain = plain_fixed(component, entity, emit)
    return {
        each.python_name: python_value(each.type, plain[each.python_name])
        for each in entity.attributes
        if each.python_name in plain
    }


def plain_value(component: Component, reference: TypeRef, written: Any) -> Any:
    """Return a value of schema.yaml as JSON has it: each in one form. Raises UnfitValueError."""
    if written is None:
        if reference.required:
            raise UnfitValueError(f"null is no {quoted(str(reference))}; write a value")
        return None
    if not reference.is_list:
        return _plain_item(component, reference.name, written)
    if not isinstance(written, list):
        raise UnfitValueError(f"{_shown(written)} is no list; put it between brackets")
    if reference.items_required and None in written:
        raise UnfitValueError(f"{quoted(str(reference))} holds no null; remove it")
    return [None if item is None else _plain_item(component, reference.name, item) for item in written]


def python_value(reference: TypeRef, plain: Any) -> Any:
    """Return a plain value as Python has it: dates, times, decimals and UUIDs as such."""
    form = FORMS.get(reference.name)
    if form is None or plain is None:
        return plain
    if reference.is_list:
        return [None if item is None else form.value(item) for item in plain]
    return form.value(plain)


def is_shown_by_graphql(reference: TypeRef, value: Any) -> bool:
    """Whether a value can be a default in the GraphQL schema: graphql-core shows no object or list as a scalar's."""
    items = value if reference.is_list and isinstance(value, list) else [value]
    return reference.name != "JSON" or not any(isinstance(item, dict | list) for item in items)


def _plain_item(component: Component, name: str, written: Any) -> Any:
    if name in component.inputs:
        raise UnfitValueError(f"{quoted(name)} is an input; give its attributes defaults instead")
    if name in component.enums:
        return _enum_value(component.enums[name].values, name, written)
    if name in component.types:
        return _identity(written, name)
    return _SCALARS[name](written, name)


def _enum_value(values: tuple[str, ...], name: str, written: Any) -> str:
    if not isinstance(written, str):
        raise UnfitValueError(f"{_shown(written)} is no {name}; put it between quotes")
    if written not in values:
        hint = did_you_mean(written, values) or f"; it is one of {listed(values)}"
        raise UnfitValueError(f"{quoted(written)} is no {name}{hint}")
    return written


def _identity(written: Any, name: str) -> str:
    if _text(written, name) == "" or len(written) > LONGEST_ID:
        raise UnfitValueError(f"{quoted(written)} is no id of {name}: it has 1 to {LONGEST_ID} characters")
    return str(written)


def _text(written: Any, name: str) -> str:
    if not isinstance(written, str):
        raise UnfitValueError(f"{_shown(written)} is no {name}; put it between quotes")
    if "\0" in written:
        raise UnfitValueError(f"{quoted(written)} holds the character U+0000, which cannot be stored; remove it")
    return written


def _id(written: Any, name: str) -> str:
    if len(_text(written, name)) > LONGEST_ID:
        raise UnfitValueError(f"{quoted(written)} is no ID: it has {LONGEST_ID} characters at most")
    return str(written)


def _integer(written: Any, name: str) -> int:
    if not isinstance(written, int) or isinstance(written, bool) or not -(2**31) <= written < 2**31:
        raise UnfitValueError(f"{_shown(written)} is no {name}; write a whole number of 32 bits in plain digits")
    return written


def _float(written: Any, name: str) -> float:
    try:
        number = float(written) if isinstance(written, int | float) and not isinstance(written, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise UnfitValueError(f"{_shown(written)} is no {name}; write a number such as 1.5")
    return plain_float(number)


def _boolean(written: Any, name: str) -> bool:
    if not isinstance(written, bool):
        raise UnfitValueError(f"{_shown(written)} is no {name}; write true or false")
    return written


def _formed(written: Any, name: str) -> str:
    form = FORMS[name]
    # A whole number is exact as YAML reads it; one with a point is not.
    text = str(written) if name == "Decimal" and isinstance(written, int) and not isinstance(written, bool) else written
    try:
        value = form.value(text) if isinstance(text, str) else None
    except ValueError:
        value = None
    if value is None:
        raise UnfitValueError(f'{_shown(written)} is no {name}; write it as "{form.example}", between quotes')
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
    return str(value.isoformat()) if isinstance(value, datetime.date | datetime.time) else str(value)


def _json(written: Any, name: str) -> Any:
    if isinstance(written, dict):
        return {_text(key, "String"): _json(item, name) for key, item in written.items()}
    if isinstance(written, list):
        return [_json(item, name) for item in written]
    if isinstance(written, str):
        return _text(written, "String")
    if isinstance(written, float) and not math.isfinite(written):
        raise UnfitValueError(f"{written} is no number that JSON holds; put it between quotes")
    if isinstance(written, int) and not _SMALLEST_INTEGER <= written <= _LARGEST_INTEGER:
        raise UnfitValueError(f"{_shown(written)} has more than 64 bits; put it between quotes")
    return written


_SCALARS = {
    "ID": _id,
    "String": _text,
    "Int": _integer,
    "Float": _float,
    "Boolean": _boolean,
    **dict.fromkeys(FORMS, _formed),
    "JSON": _json,
}


def _shown(written: Any) -> str:
    """Return a value as a message shows it, in YAML's words."""
    if isinstance(written, bool):
        return str(written).lower()
    if isinstance(written, dict | list):
        return "a mapping" if isinstance(written, dict) else "a list"
    return quoted(written) if isinstance(written, str) else quoted(written).strip('"')
