"""What declarations add to the GraphQL schema: arguments, conditions, orders, pages and versions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from byron.schema.defaults import is_shown_by_graphql
from byron.schema.model import (
    CONNECTION,
    Attribute,
    Command,
    Component,
    EnumType,
    InputAttribute,
    InputType,
    Parameter,
    Read,
)
from byron.schema.names import pascal_case, snake_case
from byron.schema.type_ref import TypeRef

EDGE = "Edge"
PAGE_INFO = "PageInfo"
WHERE, ORDER_BY, FIRST, AFTER = "where", "orderBy", "first", "after"

#: The argument of commands that take a version, and the field of the types that have one.
VERSION = "version"

#: Arguments that a list or a count has besides its filters.
OWN_ARGUMENTS = (WHERE, ORDER_BY, FIRST, AFTER)

_CONDITION = "Condition"
_ORDERED = frozenset({"String", "Int", "Float", "DateTime", "Date", "Time", "Decimal"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Additions:
    """The GraphQL types that declared reads bring with them."""

    inputs: tuple[InputType, ...]
    enums: tuple[EnumType, ...]
    #: Names of the types that are returned in pages.
    paged: tuple[str, ...]

    @property
    def names(self) -> set[str]:
        pages = {PAGE_INFO} if self.paged else set()
        pages |= {f"{name}{suffix}" for name in self.paged for suffix in (CONNECTION, EDGE)}
        return pages | {each.name for each in self.inputs} | {each.name for each in self.enums}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One attribute that entities are ordered by."""

    attribute: str
    descending: bool

    @property
    def python_name(self) -> str:
        return snake_case(self.attribute)


def arguments_of(component: Component, command: Command) -> tuple[Parameter, ...]:
    """Return what a client may pass to a command: its parameters and the version, or what its `read:` implies."""
    if command.read is None:
        own = tuple(_with_default(component, command, parameter) for parameter in command.parameters)
        return (*own, version_argument(command)) if command.version else own
    return tuple(
        Parameter.model_construct(name=name, type=reference, description=description)
        for name, reference, description in _read_arguments(component, command, command.read)
    )


def _with_default(component: Component, command: Command, parameter: Parameter) -> Parameter:
    """Return a parameter with the default of the attribute that it gives, where a declared `emit:` would take that."""
    entity = component.types.get(command.return_type.name)
    attribute = entity.attribute.get(parameter.name) if entity is not None else None
    creates = command.emit is not None and command.emit.operation == "create"
    if not creates or attribute is None or parameter.default is not None or parameter.type.required:
        return parameter
    if attribute.default is None or not is_shown_by_graphql(attribute.type, attribute.default):
        return parameter
    return parameter.model_copy(update={"default": attribute.default})


def function_arguments(component: Component, command: Command) -> list[str]:
    """Return what a command's function is given, by the names in Python."""
    parameters = command.parameters if command.read is None else arguments_of(component, command)
    return [each.python_name for each in parameters]


def version_argument(command: Command) -> Parameter:
    """Return the argument that `version: true` adds to a command. No function is given it."""
    description = f"The version of the {command.return_type.name} that you have seen."
    return Parameter.model_construct(name=VERSION, type=TypeRef(name="ID", required=True), description=description)


def version_field() -> Attribute:
    """Return the field that a type with versions has besides its attributes."""
    description = "Changes whenever the entity does; send it along with a change of what you have seen."
    return Attribute.model_construct(name=VERSION, type=TypeRef(name="ID", required=True), description=description)


def entity_name(command: Command) -> str:
    """Return the name of the type that a command returns, be it one entity, a list or pages of them."""
    return command.read.target if command.read is not None and command.returns_pages else command.return_type.name


def default_order(read: Read) -> list[Order]:
    """Return the order that `order:` declares."""
    return [Order(attribute=name.removeprefix("-"), descending=name.startswith("-")) for name in read.order]


def orders(read: Read) -> dict[str, Order]:
    """Return the orders that a client may choose, by their names in the GraphQL schema."""
    chosen = dict.fromkeys([each.attribute for each in default_order(read)] + list(read.filter))
    return {
        f"{snake_case(name).upper()}_{word}": Order(attribute=name, descending=word == "DESC")
        for name in chosen
        for word in ("ASC", "DESC")
    }


def additions(component: Component) -> Additions:
    """Return what the component's declared reads add to its GraphQL schema, each name once."""
    inputs: dict[str, InputType] = {}
    enums: dict[str, EnumType] = {}
    paged: dict[str, None] = {}
    for command in component.content.commands:
        read = command.read
        if read is None or read.target not in component.types:
            continue
        if command.returns_pages:
            paged[read.target] = None
        if read.filter and read.kind != "get":
            for name in read.filter:
                condition = _condition(_type_of(component, read, name))
                inputs[condition.name] = condition
            asked = [(name, _condition_name(component, read, name)) for name in read.filter]
            inputs[_where_name(command)] = _input(_where_name(command), asked)
        if read.kind == "list" and orders(read):
            enum = EnumType.model_construct(name=_order_name(command), values=tuple(orders(read)), description=None)
            enums[enum.name] = enum
    return Additions(inputs=tuple(inputs.values()), enums=tuple(enums.values()), paged=tuple(paged))


def _read_arguments(component: Component, command: Command, read: Read) -> Iterator[tuple[str, TypeRef, str | None]]:
    if read.get:
        name = read.by or "id"
        yield name, TypeRef(name=_type_of(component, read, name), required=True), None
        return
    for name in read.filter:
        yield name, TypeRef(name=_type_of(component, read, name)), None
    if read.filter:
        yield WHERE, TypeRef(name=_where_name(command)), "All of these must hold."
    if read.list:
        if orders(read):
            yield ORDER_BY, TypeRef(name=_order_name(command), is_list=True, items_required=True), None
        yield FIRST, TypeRef(name="Int"), f"How many, at most; {read.limit} are the most."
        if command.returns_pages:
            yield AFTER, TypeRef(name="String"), "The cursor to go on after."
        else:
            yield AFTER, TypeRef(name="ID"), f"The id of the {read.list} to go on after."


def _where_name(command: Command) -> str:
    return f"{pascal_case(command.name)}Where"


def _order_name(command: Command) -> str:
    return f"{pascal_case(command.name)}Order"


def _type_of(component: Component, read: Read, name: str) -> str:
    """Return the GraphQL type of an attribute's values as a client gives them."""
    attribute = component.types[read.target].attribute.get(name)
    return "ID" if attribute is None or attribute.type.name in component.types else attribute.type.name


def _condition_name(component: Component, read: Read, name: str) -> str:
    return f"{_type_of(component, read, name)}{_CONDITION}"


def _condition(name: str) -> InputType:
    """Return the input of what can be asked of a value of a type."""
    members = [("eq", name), ("in", f"[{name}!]")]
    if name in _ORDERED:
        members += [(operator, name) for operator in ("lt", "lte", "gt", "gte")]
    if name == "String":
        members += [("contains", "String"), ("startsWith", "String")]
    return _input(f"{name}{_CONDITION}", [*members, ("isNull", "Boolean")])


def _input(name: str, members: list[tuple[str, str]]) -> InputType:
    attributes = tuple(
        InputAttribute.model_construct(name=member, type=TypeRef.parse(kind), description=None)
        for member, kind in members
    )
    return InputType.model_construct(name=name, attributes=attributes, description=None)
