"""Events and handlers: what an event carries, and whether that is enough for what is declared."""

from __future__ import annotations

from byron.schema.declarations import Declarations, Found
from byron.schema.loader import Path
from byron.schema.model import Apply, Attribute, EventType, Handler, InputAttribute, InputType, ObjectType
from byron.schema.problems import did_you_mean, listed, quoted
from byron.schema.type_ref import TypeRef

_ID = TypeRef(name="ID", required=True)
#: What an entity's id can be in a payload that is an input: text.
_ID_TYPES = ("ID", "String")


def check_events(declarations: Declarations) -> Found:
    """Find events without a payload or a key, and handlers that cannot do what they declare."""
    for index, event in enumerate(declarations.component.content.events):
        if not declarations.in_doubt("events", event.name):
            yield from _event(declarations, event, ("content", "events", index))
    yield from _emitters(declarations)
    for index, handler in enumerate(declarations.component.content.handlers):
        if handler.apply is not None and not declarations.in_doubt("handlers", handler.name):
            path: Path = ("content", "handlers", index, "apply", handler.apply.operation)
            yield from _apply(declarations, handler, handler.apply, path)


def _event(declarations: Declarations, event: EventType, path: Path) -> Found:
    shape = declarations.payload_of(event)
    if shape is None:
        if event.payload is None or declarations.type_in_doubt(event.payload):
            return
        yield from declarations.unknown((*path, "payload"), event.payload, declarations.shapes)
        return
    key = _attribute(shape, event.key)
    if key is None:
        hint = did_you_mean(event.key, shape.attribute) or "; add it, or name another with key:"
        yield (*path, "key"), "B019", f"{shape.name} has no attribute {quoted(event.key)} to be the key{hint}"
    elif declarations.is_sound(key) and not (key.required and _identifies(declarations, key)):
        message = f"the key {quoted(event.key)} is {quoted(str(key))}"
        remedy = "a key is required, no list, and neither an input nor JSON"
        if _identifies(declarations, key):
            remedy = f'a key is required: write "{key}!"'
        yield (*path, "key"), "B020", f"{message}; {remedy}"


def _identifies(declarations: Declarations, key: TypeRef) -> bool:
    return declarations.is_comparable(key) and key.name not in declarations.component.inputs


def _attribute(shape: ObjectType | InputType, name: str) -> TypeRef | None:
    if isinstance(shape, ObjectType) and name == "id":
        return _ID
    attribute: Attribute | InputAttribute | None = shape.attribute.get(name)
    return attribute.type if attribute else None


def _emitters(declarations: Declarations) -> Found:
    """Find one event, not declared under `events:`, that two commands give different payloads."""
    component = declarations.component
    first: dict[str, tuple[str, str]] = {}
    for index, command in enumerate(component.content.commands):
        entity = command.return_type.name
        if command.emit is None or command.emit.event in component.events or entity not in component.types:
            continue
        earlier, carried = first.setdefault(command.emit.event, (command.name, entity))
        if carried != entity and not declarations.in_doubt("commands", earlier):
            message = f"{command.emit.event} carries {carried} when {earlier} emits it, and {entity} here"
            yield ("content", "commands", index, "emit", "event"), "B022", f"{message}; name another event"


def _apply(declarations: Declarations, handler: Handler, apply: Apply, path: Path) -> Found:
    types = declarations.component.types
    if declarations.type_in_doubt(apply.target):
        return
    if apply.target not in types:
        yield from declarations.unknown(path, apply.target, types)
        return
    shape = _payload(declarations, handler.event)
    if shape is None or shape.name == apply.target or declarations.type_in_doubt(shape.name):
        return
    entity = types[apply.target]
    itself = shape.name == handler.event
    carries = handler.event if itself else f"{handler.event} carries {shape.name}, which"
    whose = f"{handler.event}: its" if itself else f"{handler.event} carries {shape.name}, whose"
    remedy = "; change the payload, or write the handler in Python"
    missing = [] if _attribute(shape, "id") else ["id"]
    if apply.operation in ("create", "upsert"):
        missing += [a.name for a in entity.attributes if a.needs_value and a.name not in shape.attribute]
    if missing:
        yield path, "B023", f"{carries} lacks {listed(missing)} of {entity.name}{remedy}"
    for misfit in _misfits(declarations, shape, entity, apply.operation):
        yield path, "B023", f"{whose} {misfit}{remedy}"


def _payload(declarations: Declarations, event: str) -> ObjectType | InputType | None:
    """Return what an event carries by its declaration or a command's `emit:`; None when neither is sound."""
    component = declarations.component
    if event in component.events:
        sound = not declarations.in_doubt("events", event)
        return declarations.payload_of(component.events[event]) if sound else None
    emitting = (c for c in component.content.commands if c.emit is not None and c.emit.event == event)
    command = next(emitting, None)
    return component.types.get(command.return_type.name) if command else None


def _misfits(
    declarations: Declarations, shape: ObjectType | InputType, entity: ObjectType, operation: str
) -> list[str]:
    found = []
    identity = _attribute(shape, "id")
    fits = identity is None or identity.name in _ID_TYPES and identity.required and not identity.is_list
    if identity and declarations.is_sound(identity) and not fits:
        found.append(f'"id" is {quoted(str(identity))} and must be "ID!"')
    if operation == "delete":
        return found
    for attribute in entity.attributes:
        given = shape.attribute.get(attribute.name)
        if given is None:
            continue
        fitting = declarations.misfit(given.type, attribute.type, complete=operation != "update")
        if fitting:
            found.append(
                f"{quoted(given.name)} is {quoted(str(given.type))}, where {entity.name} takes {quoted(str(fitting))}"
            )
    return found
