"""Payloads of declared shape: checked and converted in one step, both ways.

On the wire an attribute has the name that schema.yaml gives it; in Python it is snake_case. One that was renamed
is read by its old names, too, which the log still has, and written by its new one. One that must be there and has a
default is read, and written, as if it were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from byron.events.codec import decode, decode_untyped, encode, encode_payload
from byron.events.event import Event, Message, StoredMessage
from byron.events.nested import plain, with_wire_names
from byron.events.structs import PayloadStructs
from byron.events.subjects import split_subject
from byron.exceptions import EventError
from byron.schema.defaults import plain_default
from byron.schema.model import Attribute, Component, InputAttribute, InputType, ObjectType
from byron.schema.names import snake_case

_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])

#: The defaults of a shape by name, and its attributes of input types.
_Fillable = tuple[Mapping[str, msgspec.Raw], Sequence[Attribute | InputAttribute]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What the payload of one event is to look like, and how its attributes are called on either side."""

    name: str
    #: Whether `events:` declares it, so that nothing else may be in it.
    strict: bool
    #: Whether nothing may be missing.
    whole: bool
    #: Whether its values are held against their types.
    checked: bool
    decoder: msgspec.json.Decoder[Any]
    wire_names: Mapping[str, str]
    python_names: Mapping[str, str]
    #: The attributes that hold groups of others.
    groups: Sequence[Attribute | InputAttribute]
    #: The names, as JSON has them, that attributes had before; empty when none was renamed.
    old_names: tuple[bytes, ...]
    #: Whether any attribute has a default that may have to be filled in.
    fills: bool
    shape: ObjectType | InputType


class PayloadCodec:
    """Encode and decode the payloads of one component's events.

    An event under `events:` is strict, both ways: missing, unknown or ill-typed attributes are errors.
    One whose shape is only known from a declared `emit:` or `apply:` has its names converted, and may
    hold more; what `emit:` makes and `create:` stores must be complete, what `update:` and `upsert:` store
    may leave attributes out. Any other payload passes as it is.
    """

    def __init__(self, component: Component) -> None:
        self._component = component
        self._structs = PayloadStructs(component)
        self._forms: dict[str, _Form | None] = {}
        self._fillables: dict[str, _Fillable] = {}

    def write(self, event: Event) -> Message:
        """Return the message that carries an event. Raises EventError as `encode` does."""
        return encode(event, self.encode(event.name, event.payload))

    def read(self, message: StoredMessage) -> Event:
        """Return the event that a stored message carries. Raises EventError when it cannot be one."""
        name = split_subject(message.subject)[3]
        event = decode(message, partial(self.decode, name))
        if name in self._component.events and event.version > self.version(name):
            raise EventError(
                f"Message {message.position} ({name}) has version {event.version} of its payload; "
                f"schema.yaml knows version {self.version(name)}."
            )
        return event

    def encode(self, event: str, payload: Mapping[str, Any]) -> bytes:
        """Return a payload's JSON. Raises EventError when it is not what the event's handlers need."""
        form = self._form(event)
        if form is None:
            return encode_payload(payload)
        if form.groups:
            payload = with_wire_names(payload, form.groups, self._component)
        named = {form.wire_names.get(key, key): value for key, value in payload.items()}
        if len(named) < len(payload):
            names = ((key, name) for key, name in form.wire_names.items() if key != name)
            twice = next(f"{key} and {name}" for key, name in names if key in payload and name in payload)
            raise EventError(f"The payload of {event} has both {twice}, which are one attribute.")
        body = encode_payload(named)
        if form.whole and form.fills:
            body = self._filled(form.shape, body, nulls=False)
        if form.checked:
            try:
                form.decoder.decode(body)
            except msgspec.ValidationError as error:
                raise EventError(f"The event {event} does not fit {form.name}: {str(error).rstrip('.')}.") from error
        return body

    def decode(self, event: str, body: bytes) -> Mapping[str, Any]:
        """Return the payload that handlers see. Raises ValueError when it breaks its declaration."""
        form = self._form(event)
        if form is None:
            return decode_untyped(body)
        if form.old_names and (b"\\" in body or any(name in body for name in form.old_names)):
            body = self._renamed(form.shape, body)
        if form.fills:
            body = self._filled(form.shape, body, missing=form.whole)
        checked = form.decoder.decode(body) if form.checked else None
        if form.strict and checked is not None:
            decoded = msgspec.structs.asdict(checked)
            # What the payload leaves out is not there: an update of some attributes leaves the others alone.
            given = {name: value for name, value in decoded.items() if value is not msgspec.UNSET}
            return plain(given, form.groups, self._component) if form.groups else given
        names = form.python_names
        return {names.get(key, key): value for key, value in decode_untyped(body).items()}

    def key(self, event: str, payload: Mapping[str, Any]) -> str:
        """Return the key of an event: the payload's `id`, or the attribute that schema.yaml names.

        Raises EventError when the payload has none.
        """
        declared = self._component.events.get(event)
        name = snake_case(declared.key) if declared else "id"
        value = payload.get(name, payload.get(declared.key if declared else "id"))
        if value is None or value == "":
            raise EventError(f"The payload of {event} has no {name!r} to be its key; add it, or pass key=.")
        return str(value)

    def version(self, event: str) -> int:
        """Return the version of an event's declaration; 1 when it has none."""
        declared = self._component.events.get(event)
        return declared.version if declared else 1

    def _form(self, event: str) -> _Form | None:
        """Return the form of an event's payload; None when nothing tells it."""
        if event not in self._forms:
            shape, strict = self._component.payload_type(event), event in self._component.events
            self._forms[event] = None if shape is None else self._make_form(event, shape, strict)
        return self._forms[event]

    def _renamed(self, shape: ObjectType | InputType, body: bytes) -> bytes:
        """Return a payload with today's names, its values as they are. What has both names keeps both."""
        current = _raw_object.decode(body)
        for attribute in shape.attributes:
            old = next((name for name in attribute.renamed_from if name in current), None)
            if old is not None and attribute.name not in current:
                current[attribute.name] = current.pop(old)
            self._change_within(current, attribute, self._renamed)
        return msgspec.json.encode(current)

    def _filled(self, shape: ObjectType | InputType, body: bytes, *, missing: bool = True, nulls: bool = True) -> bytes:
        """Return a payload with the defaults of what must be there and is missing, or null."""
        defaults, groups = self._fillable(shape)
        current = _raw_object.decode(body)
        gaps = [
            name
            for name in defaults
            if (missing if (given := current.get(name)) is None else nulls and bytes(given) == b"null")
        ]
        for name in gaps:
            current[name] = defaults[name]
        for attribute in groups:
            self._change_within(current, attribute, partial(self._filled, missing=missing, nulls=nulls))
        return msgspec.json.encode(current) if gaps or groups else body

    def _fillable(self, shape: ObjectType | InputType) -> _Fillable:
        """Return the defaults of what must be there, as JSON, and the attributes that may have such within."""
        if shape.name not in self._fillables:
            self._fillables[shape.name] = (
                {
                    each.name: msgspec.Raw(msgspec.json.encode(plain_default(self._component, each)))
                    for each in shape.attributes
                    if each.type.required and each.default is not None
                },
                [each for each in shape.attributes if each.type.name in self._component.inputs],
            )
        return self._fillables[shape.name]

    def _change_within(
        self,
        payload: dict[str, msgspec.Raw],
        attribute: Attribute | InputAttribute,
        change: Callable[[InputType, bytes], bytes],
    ) -> None:
        """Change what an attribute holds of an input type, be it an object or a list of them."""
        group = self._component.inputs.get(attribute.type.name)
        if group is None or attribute.name not in payload:
            return
        value = bytes(payload[attribute.name])
        if value.startswith(b"["):
            items = map(bytes, _raw_list.decode(value))
            value = msgspec.json.encode(
                [msgspec.Raw(change(group, item) if item.startswith(b"{") else item) for item in items]
            )
        elif value.startswith(b"{"):
            value = change(group, value)
        payload[attribute.name] = msgspec.Raw(value)

    def _attributes_within(self, shape: ObjectType | InputType) -> Iterator[Attribute | InputAttribute]:
        """Give every attribute that a payload of this shape may hold, those of inputs included."""
        shapes, seen = [shape], {shape.name}
        for each in shapes:
            for attribute in each.attributes:
                yield attribute
                group = self._component.inputs.get(attribute.type.name)
                if group is not None and group.name not in seen:
                    seen.add(group.name)
                    shapes.append(group)

    def _make_form(self, event: str, shape: ObjectType | InputType, strict: bool) -> _Form:
        part, whole = self._component.carries_part(event), self._component.carries_whole(event)
        struct = self._structs.part(shape, strict=strict) if part else self._structs.whole(shape, strict=strict)
        attributes = list(self._attributes_within(shape))
        old_names = dict.fromkeys(name for attribute in attributes for name in attribute.renamed_from)
        return _Form(
            name=shape.name,
            strict=strict,
            whole=whole,
            checked=part or whole,
            decoder=msgspec.json.Decoder(struct),
            wire_names={attribute.python_name: attribute.name for attribute in shape.attributes},
            python_names={attribute.name: attribute.python_name for attribute in shape.attributes},
            groups=[each for each in shape.attributes if each.type.name in self._component.inputs],
            old_names=tuple(f'"{name}"'.encode() for name in old_names),
            fills=any(attribute.type.required and attribute.default is not None for attribute in attributes),
            shape=shape,
        )
