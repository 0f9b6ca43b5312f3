"""A component, as schema.yaml declares it: one model for the parser, the generators and the editors' JSON Schema."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from byron.schema.declaration import ComponentName, Declaration, Description, Given
from byron.schema.operations import CONNECTION, Apply, Command, Emit, Handler, Hooks, Parameter, Read
from byron.schema.shapes import Attribute, EnumType, EventType, InputAttribute, InputType, Member, ObjectType

__all__ = [
    "CONNECTION",
    "Apply",
    "Attribute",
    "Command",
    "Component",
    "Content",
    "Emit",
    "EnumType",
    "EventType",
    "Handler",
    "Hooks",
    "InputAttribute",
    "InputType",
    "Member",
    "ObjectType",
    "Parameter",
    "Read",
]


class Content(Declaration):
    """What the component consists of."""

    types: tuple[ObjectType, ...] = ()
    inputs: tuple[InputType, ...] = ()
    enums: tuple[EnumType, ...] = ()
    events: tuple[EventType, ...] = ()
    commands: tuple[Command, ...] = ()
    handlers: tuple[Handler, ...] = ()


class Component(Declaration):
    """One component: the whole of a schema.yaml."""

    name: ComponentName
    namespace: ComponentName
    content: Content
    description: Annotated[Description | None, Given()] = None

    @cached_property
    def types(self) -> dict[str, ObjectType]:
        return {declared.name: declared for declared in self.content.types}

    @cached_property
    def inputs(self) -> dict[str, InputType]:
        return {declared.name: declared for declared in self.content.inputs}

    @cached_property
    def enums(self) -> dict[str, EnumType]:
        return {declared.name: declared for declared in self.content.enums}

    @cached_property
    def events(self) -> dict[str, EventType]:
        return {declared.name: declared for declared in self.content.events}

    @cached_property
    def commands(self) -> dict[str, Command]:
        return {declared.name: declared for declared in self.content.commands}

    @cached_property
    def versioned(self) -> frozenset[str]:
        """The types whose entities have a version, because a command takes it."""
        return frozenset(command.return_type.name for command in self.content.commands if command.version)

    @cached_property
    def handlers(self) -> dict[str, tuple[Handler, ...]]:
        """Handlers by the event they react to, each event's in the order of the file."""
        by_event: dict[str, list[Handler]] = {}
        for handler in self.content.handlers:
            by_event.setdefault(handler.event, []).append(handler)
        return {event: tuple(handlers) for event, handlers in by_event.items()}

    @cached_property
    def emitted_by_commands(self) -> tuple[str, ...]:
        """The events that its API emits, as far as schema.yaml says so."""
        return tuple(dict.fromkeys(event for command in self.content.commands for event in command.emitted))

    @cached_property
    def emitted_by_handlers(self) -> tuple[str, ...]:
        """The events that its Sink emits, as far as schema.yaml says so."""
        return tuple(dict.fromkeys(event for handler in self.content.handlers for event in handler.emits or ()))

    @property
    def silent_mutations(self) -> tuple[str, ...]:
        """The mutations of which schema.yaml does not say what they emit."""
        written = (c for c in self.content.commands if c.type == "mutation" and not c.is_declared)
        return tuple(command.name for command in written if command.emits is None)

    def payload_type(self, event: str) -> ObjectType | InputType | None:
        """Return the shape of an event's payload, or None when nothing here tells it.

        Declared under `events:`, or else what the event's declared `emit:` returns or its declared
        `apply:` stores.
        """
        if event in self.events:
            declared = self.events[event]
            name = declared.payload or ""
            return declared.inline or self.types.get(name) or self.inputs.get(name)
        for command in self.content.commands:
            if command.emit is not None and command.emit.event == event:
                return self.types.get(command.return_type.name)
        for handler in self.handlers.get(event, ()):
            if handler.apply is not None:
                return self.types.get(handler.apply.target)
        return None

    def carries_whole(self, event: str) -> bool:
        """Whether an event's payload must be complete: it is declared, emitted or stored as a whole."""
        emits = [command.emit for command in self.content.commands if command.emit is not None]
        emitted = any(emit.event == event and emit.operation == "create" for emit in emits)
        stored = any(handler.apply is not None and handler.apply.create for handler in self.handlers.get(event, ()))
        return event in self.events or emitted or stored

    def carries_part(self, event: str) -> bool:
        """Whether an event's payload may leave out what it likes, and what it holds is stored as it is."""
        applied = [handler.apply for handler in self.handlers.get(event, ()) if handler.apply is not None]
        stored = {apply.target for apply in applied if apply.operation in ("update", "upsert")}
        shape = self.payload_type(event)
        return not self.carries_whole(event) and shape is not None and stored == {shape.name}
