"""First versions of the developer's files: what can be guessed from schema.yaml is written out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from byron.schema.defaults import plain_default, plain_fixed
from byron.schema.examples import example_arguments
from byron.schema.model import Command, Component, Handler, ObjectType
from byron.schema.names import ANYONE, snake_case
from byron.schema.reads import arguments_of
from byron.schema.type_ref import TypeRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """A mutation that makes an entity from its parameters, and the event that says so."""

    command: Command
    entity: ObjectType
    event: str


def event_of(component: Component, entity: ObjectType) -> str | None:
    """Return the event that announces a new entity by its name: `new.student` for Student."""
    names = [*component.events, *component.handlers]
    for name in names:
        if name.casefold() == f"new.{entity.name}".casefold():
            shape = component.payload_type(name)
            return name if shape is None or shape.name == entity.name else None
    return None


def entity_of(component: Component, handler: Handler) -> ObjectType | None:
    """Return the type that a handler's event announces, and that it is left to this handler to store.

    Told by the event's name or declaration. None when another handler of the event is declared to store the type.
    """
    others = {
        other.apply.target
        for other in component.handlers.get(handler.event, ())
        if other.apply is not None and other.apply.operation in ("create", "upsert")
    }
    for entity in component.content.types:
        if event_of(component, entity) == handler.event and entity.name not in others:
            return entity
    return None


def creation_of(component: Component, command: Command) -> Creation | None:
    """Return what a mutation creates, when its parameters are just the entity's attributes."""
    entity = component.types.get(command.return_type.name)
    if command.type != "mutation" or entity is None or command.return_type.is_list:
        return None
    if command.emit is not None and command.emit.operation != "create":
        return None
    if command.emit is not None:
        return Creation(command=command, entity=entity, event=command.emit.event)
    event = event_of(component, entity)
    given = {parameter.name: parameter.type for parameter in command.parameters}
    needed = {attribute.name for attribute in entity.attributes if attribute.needs_value}
    fits = all(
        name in entity.attribute and _matches(component, given[name], entity.attribute[name].type) for name in given
    )
    if event is None or not fits or not needed <= set(given):
        return None
    return Creation(command=command, entity=entity, event=event)


def _matches(component: Component, given: TypeRef, wanted: TypeRef) -> bool:
    name = "ID" if wanted.name in component.types else wanted.name
    return given.name == name and given.is_list == wanted.is_list and (given.required or not wanted.required)


def lists(component: Component, query: Command, entity: ObjectType) -> bool:
    """Whether a query returns a list of entities, all of them or those whose attributes are what it is given."""
    wanted = {attribute.name: attribute.type for attribute in entity.attributes}
    return (
        query.type == "query"
        and query.return_type.is_list
        and all(
            each.type.required
            and not each.type.is_list
            and each.name in wanted
            and _matches(component, each.type, wanted[each.name])
            for each in query.parameters
        )
    )


def stores(component: Component, creation: Creation) -> bool:
    """Whether a first handler of this component puts the created entity into the Cache."""
    for handler in component.handlers.get(creation.event, ()):
        if handler.apply is not None:
            if handler.apply.target == creation.entity.name and handler.apply.operation in ("create", "upsert"):
                return True
        elif entity_of(component, handler) == creation.entity:
            return True
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """A mutation and a query that must show what it made, with arguments for both."""

    creation: Creation
    arguments: dict[str, Any]
    query: Command
    #: What the mutation announces of these arguments, by the entity's attributes in Python's names.
    announced: dict[str, Any]
    #: An attribute that no two entities may share, or empty.
    unique: str

    @property
    def writer(self) -> list[str]:
        """The roles that a user needs one of, to run the mutation."""
        return roles_of(self.creation.command)

    @property
    def reader(self) -> list[str]:
        """The roles that a user needs one of, to run the query."""
        return roles_of(self.query)

    @property
    def payload(self) -> dict[str, Any]:
        """What a test says of the payload: what it must hold, and what was given. Without its id."""
        return {
            each.python_name: self.announced.get(each.python_name)
            for each in self.creation.entity.attributes
            if each.needs_value or (each.default is None and each.python_name in self.announced)
        }

    @property
    def payloads(self) -> list[dict[str, Any]]:
        """Payloads of two entities that may be there together, or of one where no second is easily made up."""
        unique = [
            each for each in self.creation.entity.attributes if each.unique and self.payload.get(each.python_name)
        ]
        if any(each.type.name not in ("String", "ID") for each in unique):
            return [self.payload]
        return [
            self.payload,
            self.payload | {each.python_name: f"{self.payload[each.python_name]} 2" for each in unique},
        ]


def round_trip(component: Component) -> RoundTrip | None:
    """Return the first end-to-end path that works without a line written by hand, if there is one."""
    for command in component.content.commands:
        creation = creation_of(component, command)
        # Hooks are no obstacle: a first version of one does nothing.
        if creation is None or not stores(component, creation):
            continue
        for query in component.content.commands:
            if _lists(query, creation.entity) or _gets(component, query, creation.entity):
                return _trip(component, creation, query)
    return None


def _trip(component: Component, creation: Creation, query: Command) -> RoundTrip:
    arguments = example_arguments(component, creation.command)
    announced = {
        each.python_name: plain_default(component, each)
        for each in creation.entity.attributes
        if each.default is not None
    }
    for parameter in creation.command.parameters:
        given = arguments.get(parameter.python_name)
        if parameter.type.name in component.inputs and not parameter.type.is_list:
            announced.update({snake_case(name): value for name, value in (given or {}).items()})
        elif parameter.python_name in arguments:
            announced[parameter.python_name] = given
    if creation.command.emit is not None:
        announced.update(plain_fixed(component, creation.entity, creation.command.emit))
    unique = [each.python_name for each in creation.entity.attributes if each.unique]
    return RoundTrip(
        creation=creation,
        arguments=arguments,
        query=query,
        announced=announced,
        unique=next((name for name in unique if announced.get(name) is not None), ""),
    )


def roles_of(command: Command) -> list[str]:
    """Return the roles that a user needs one of, for a command; none where anyone may ask."""
    roles = command.roles or ()
    return [] if ANYONE in roles else list(roles)


def _lists(query: Command, entity: ObjectType) -> bool:
    returned = query.return_type
    return query.type == "query" and not query.parameters and returned.is_list and returned.name == entity.name


def _gets(component: Component, query: Command, entity: ObjectType) -> bool:
    arguments = arguments_of(component, query)
    by_id = len(arguments) == 1 and arguments[0].name == "id"
    single = not query.return_type.is_list and query.return_type.name == entity.name
    return query.type == "query" and by_id and single
