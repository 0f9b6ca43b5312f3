"""The types against which payloads are held, made of the shapes that schema.yaml declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import GenericAlias
from typing import Annotated, Any, Literal

import msgspec

from byron.schema.model import Attribute, Component, InputAttribute, InputType, ObjectType
from byron.schema.type_ref import TypeRef
from byron.schema.types import LONGEST_ID, SCALARS, WITHOUT_NUL
from byron.schema.values import CHECKS, check_indexed

#: Looks at a payload that has its types, or goes on reading it. Raises ValueError.
_Check = Callable[[Any], None]

EntityId = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID, pattern=WITHOUT_NUL)]


class PayloadStructs:
    """The structs of one component's shapes; `strict` ones take no attribute that is not declared."""

    def __init__(self, component: Component) -> None:
        self._component = component
        self._known: dict[tuple[str, bool], type[msgspec.Struct]] = {}
        self._decoders: dict[tuple[str, bool], msgspec.json.Decoder[Any]] = {}
        self._building: set[str] = set()

    def whole(self, shape: ObjectType | InputType, *, strict: bool) -> type[msgspec.Struct]:
        """Return the struct of a payload of which nothing may be missing."""
        return self._struct(shape, strict)

    def part(self, shape: ObjectType | InputType, *, strict: bool) -> type[msgspec.Struct]:
        """Return the struct of a payload in which nothing needs to be there."""
        return self._make_struct(shape, strict, True)

    def _struct(self, shape: ObjectType | InputType, strict: bool) -> type[msgspec.Struct]:
        known = self._known.get((shape.name, strict))
        if known is None:
            self._building.add(shape.name)
            known = self._make_struct(shape, strict, False)
            self._building.discard(shape.name)
            self._known[shape.name, strict] = known
        return known

    def _make_struct(self, shape: ObjectType | InputType, strict: bool, part: bool) -> type[msgspec.Struct]:
        """Make the type of a payload; in that of a `part` nothing needs to be there."""
        fields: list[Any] = []
        if isinstance(shape, ObjectType):
            fields.append(_field("id", EntityId, required=not part))
        for attribute in shape.attributes:
            annotation = self._annotation(attribute.type, strict)
            fields.append(_field(attribute.python_name, annotation, required=attribute.type.required and not part))
        checks = [*_checks(shape), *self._groups_within(shape, strict)]
        return msgspec.defstruct(
            shape.name,
            fields,
            kw_only=True,
            forbid_unknown_fields=strict,
            rename={attribute.python_name: attribute.name for attribute in shape.attributes},
            namespace={"__post_init__": _all_of(checks)} if checks else None,
        )

    def _annotation(self, reference: TypeRef, strict: bool) -> Any:
        item = self._item(reference.name, strict)
        if reference.is_list:
            is_open = reference.items_required or item is msgspec.Raw
            item = GenericAlias(list, (item if is_open else item | None,))
        # Any value is null, too, where it is not looked at yet.
        return item if reference.required or item in (Any, msgspec.Raw) else item | None

    def _item(self, name: str, strict: bool) -> Any:
        component = self._component
        if name in component.types:
            return EntityId
        if name in component.enums:
            return Literal[tuple(component.enums[name].values)]
        if name in component.inputs:
            # An input may contain itself, in a list or as an optional: such a part is read once its struct is there.
            return msgspec.Raw if name in self._building else self._struct(component.inputs[name], strict)
        return SCALARS[name].payload

    def _groups_within(self, shape: ObjectType | InputType, strict: bool) -> list[_Check]:
        """Return what reads a payload's attributes of the inputs that are being made, which contain it."""
        return [
            partial(self._read_within, attribute=attribute, strict=strict)
            for attribute in shape.attributes
            if attribute.type.name in self._component.inputs and attribute.type.name in self._building
        ]

    def _read_within(self, payload: Any, *, attribute: Attribute | InputAttribute, strict: bool) -> None:
        value = getattr(payload, attribute.python_name)
        kind = attribute.type

        def read(item: msgspec.Raw, required: bool) -> Any:
            if bytes(item) == b"null":
                if required:
                    raise ValueError(f"{attribute.name}: null is not among the values of {kind}.")
                return None
            try:
                return self._decoder(kind.name, strict).decode(item)
            except msgspec.ValidationError as error:
                raise ValueError(f"{attribute.name}: {error}") from error

        if isinstance(value, msgspec.Raw):
            setattr(payload, attribute.python_name, read(value, kind.required))
        elif isinstance(value, list):
            setattr(payload, attribute.python_name, [read(item, kind.items_required) for item in value])

    def _decoder(self, name: str, strict: bool) -> msgspec.json.Decoder[Any]:
        if (name, strict) not in self._decoders:
            self._decoders[name, strict] = msgspec.json.Decoder(self._struct(self._component.inputs[name], strict))
        return self._decoders[name, strict]


def _field(name: str, annotation: Any, *, required: bool) -> tuple[Any, ...]:
    return (name, annotation) if required else (name, annotation | msgspec.UnsetType, msgspec.UNSET)


def _all_of(checks: Sequence[_Check]) -> _Check:
    def check(payload: Any) -> None:
        for each in checks:
            each(payload)

    return check


def _checks(shape: ObjectType | InputType) -> list[_Check]:
    """Return what looks at a payload's values once they have their types, if any of them needs it."""
    checks = [
        (attribute.python_name, attribute.name, attribute.type, check_value)
        for attribute in shape.attributes
        if (check_value := _check(attribute)) is not None
    ]

    def check(payload: Any) -> None:
        for python_name, name, kind, check_value in checks:
            value = getattr(payload, python_name)
            is_list = kind.is_list and isinstance(value, list)
            for item in value if is_list else (value,):
                if item is None and (kind.items_required if is_list else kind.required):
                    # Only JSON gets here with it: any value is of its type.
                    raise ValueError(f"{name}: null is not among the values of {kind}.")
                if item is not None and item is not msgspec.UNSET:
                    try:
                        check_value(item)
                    except ValueError as error:
                        raise ValueError(f"{name}: {error}") from error

    return [check] if checks else []


def _check(attribute: Attribute | InputAttribute) -> Callable[[Any], None] | None:
    """Return what looks at one value of an attribute, if its type alone lets too much pass."""
    if attribute.type.name == "String" and isinstance(attribute, Attribute) and (attribute.unique or attribute.index):
        return check_indexed
    return CHECKS.get(attribute.type.name)
