"""Commands that schema.yaml alone describes: `read:` and `emit:`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from byron.schema.declarations import Declarations, Found
from byron.schema.defaults import UnfitValueError, plain_value
from byron.schema.loader import Path
from byron.schema.model import Attribute, Command, Emit, InputAttribute, ObjectType, Parameter, Read
from byron.schema.problems import did_you_mean, listed, nearest, quoted
from byron.schema.reads import OWN_ARGUMENTS
from byron.schema.type_ref import TypeRef

#: What goes with which kinds of `read:`.
_READ_OPTIONS = {"filter": ("list", "count"), "order": ("list",), "limit": ("list",), "by": ("get",)}


_ID = TypeRef(name="ID", required=True)


def check_commands(declarations: Declarations) -> Found:
    """Find declared commands that lack something, or contradict what they declare."""
    for index, command in enumerate(declarations.component.content.commands):
        if declarations.in_doubt("commands", command.name):
            continue
        path: Path = ("content", "commands", index)
        if command.emit is not None and command.type == "query":
            yield (*path, "emit"), "B022", "a query emits nothing; use type: mutation, or read:"
        elif command.emit is not None:
            yield from _Emitting(declarations, command, path).check(command.emit)
        if command.emits and command.type == "query":
            yield (*path, "emits"), "B022", "a query emits nothing; use type: mutation, or remove this"
        if command.read is not None and command.type == "mutation":
            yield (*path, "read"), "B022", "a mutation does not read; use type: query, or emit:"
        elif command.read is not None:
            yield from _Reading(declarations, command, path).check(command.read)


class _Reading:
    """A query with `read:`."""

    def __init__(self, declarations: Declarations, command: Command, path: Path) -> None:
        self._declarations, self._command, self._path = declarations, command, path

    def check(self, read: Read) -> Found:
        yield from self._options(read)
        types = self._declarations.component.types
        if self._declarations.type_in_doubt(read.target):
            return
        if read.target not in types:
            yield from self._declarations.unknown((*self._path, "read", read.kind), read.target, types)
            return
        yield from self._returned(read)
        if read.kind == "get":
            yield from self._by(read, types[read.target])
        else:
            yield from self._chosen(read, types[read.target])

    def _options(self, read: Read) -> Found:
        if self._command.parameters:
            message = "a declared read takes its parameters from filter:, or takes the id (get); remove these"
            yield (*self._path, "parameters"), "B022", message
        for key, kinds in _READ_OPTIONS.items():
            if read.kind not in kinds and key in read.model_fields_set:
                fitting = " and ".join(f"{kind}:" for kind in kinds)
                message = f"{key}: goes with {fitting}, not with {read.kind}:; remove it"
                yield (*self._path, "read", key), "B022", message
        for key, names in (("filter", read.filter), ("order", [name.removeprefix("-") for name in read.order])):
            for at, name in enumerate(names):
                if name in names[:at]:
                    yield (*self._path, "read", key, at), "B016", f"{quoted(name)} stands twice in {key}:; remove one"
        for at, name in enumerate(read.filter):
            if name in OWN_ARGUMENTS:
                message = f"{quoted(name)} is an argument that every list has, so it cannot be a filter; remove it"
                yield (*self._path, "read", "filter", at), "B015", message

    def _returned(self, read: Read) -> Found:
        returned, kind = self._command.return_type, read.kind
        path = (*self._path, "returnType")
        if self._command.returns_pages and not returned.is_list:
            return
        if not self._declarations.is_sound(returned) and not self._command.returns_pages:
            return
        wanted = "Int" if kind == "count" else read.target
        if returned.name != wanted or returned.is_list != (kind == "list"):
            fitting = {"list": f"[{read.target}!]!", "get": read.target, "count": "Int!"}[kind]
            message = f"{quoted(str(returned))} is not what {kind}: {read.target} returns; write {quoted(fitting)}"
            yield path, "B022", message
        elif kind == "get" and returned.required:
            message = f"get: finds nothing for an unknown id; write {quoted(read.target)} without the !"
            yield path, "B022", message

    def _by(self, read: Read, entity: ObjectType) -> Found:
        path = (*self._path, "read", "by")
        attribute = entity.attribute.get(read.by or "")
        if read.by is None or (attribute is not None and attribute.unique):
            return
        if attribute is not None:
            message = f"{quoted(read.by)} is not unique, so it does not tell one {entity.name}"
            yield path, "B022", f"{message}; add unique: true to it, or use list:"
        else:
            unique = [each.name for each in entity.attributes if each.unique]
            hint = did_you_mean(read.by, unique) or (f"; unique are {listed(unique)}" if unique else "; remove it")
            yield path, "B019", f"{entity.name} has no attribute {quoted(read.by)}{hint}"

    def _chosen(self, read: Read, entity: ObjectType) -> Found:
        attributes = entity.attribute
        chosen: list[tuple[str, int, str]] = [("filter", at, name) for at, name in enumerate(read.filter)]
        chosen += [("order", at, name.removeprefix("-")) for at, name in enumerate(read.order)]
        for key, at, name in chosen:
            path = (*self._path, "read", key, at)
            if name != "id" and name not in attributes:
                known = ["id", *attributes]
                hint = did_you_mean(name, known) or f"; it has {listed(known)}"
                yield path, "B019", f"{entity.name} has no attribute {quoted(name)}{hint}"
            elif name != "id" and not self._declarations.is_comparable(attributes[name].type):
                message = f"{quoted(name)} is {quoted(str(attributes[name].type))}, which cannot be compared"
                yield path, "B020", f"{message}; remove it here"


class _Emitting:
    """A mutation with `emit:`."""

    def __init__(self, declarations: Declarations, command: Command, path: Path) -> None:
        self._declarations, self._command, self._path = declarations, command, path

    def check(self, emit: Emit) -> Found:
        returned = self._command.return_type
        component = self._declarations.component
        if emit.target and not self._declarations.type_in_doubt(emit.target) and emit.target not in component.types:
            yield from self._declarations.unknown((*self._path, "emit", emit.operation), emit.target, component.types)
            return
        if not self._declarations.is_sound(returned) or returned.name in component.inputs:
            return
        if returned.name not in component.types or returned.is_list or emit.target not in ("", returned.name):
            wanted = f"{emit.target}!" if emit.target else "one of the types"
            message = f"emit: is about one entity, so returnType must be {wanted}; it is {quoted(str(returned))}"
            yield (*self._path, "returnType"), "B023", message
            return
        entity = component.types[returned.name]
        yield from self._event(emit, entity)
        yield from self._fixed(emit, entity)
        yield from self._parameters(emit, entity)

    def _event(self, emit: Emit, entity: ObjectType) -> Found:
        event = self._declarations.component.events.get(emit.event)
        shape = self._declarations.payload_of(event) if event is not None else None
        if event is None or shape is None:
            return
        carries = event.name if shape is event.inline else f"{event.name} carries {shape.name}, which"
        path = (*self._path, "emit", "event")
        if emit.operation == "create":
            if shape.name != entity.name:
                carried = "attributes of its own" if shape is event.inline else shape.name
                message = f"{event.name} carries {carried}, and this command makes {entity.name}; make them one"
                yield path, "B022", message
            return
        sent = {"id"} if emit.operation == "delete" else {"id", *(each.name for each in self._given()), *emit.set}
        known = {"id", *shape.attribute} if isinstance(shape, ObjectType) else set(shape.attribute)
        required = [each.name for each in shape.attributes if each.type.required and each.name != "id"]
        if required:
            message = f"{carries} requires {listed(required)}"
            part = "what changes" if emit.operation == "update" else "the id alone"
            remedy = "make that optional in an input, or do not declare the event"
            yield path, "B022", f"{message}, and {emit.operation}: sends {part}; {remedy}"
        elif sent - known:
            message = f"{carries} has no {listed(sorted(sent - known))}"
            yield path, "B022", f"{message}; add it there, or remove the parameter"

    def _fixed(self, emit: Emit, entity: ObjectType) -> Found:
        """Find values under `set:` that the event cannot carry, or a client gives as well."""
        event = self._declarations.component.events.get(emit.event)
        shape = self._declarations.payload_of(event) if event is not None else None
        given = {each.name for each in self._given()}
        for name, value in emit.set.items():
            path = (*self._path, "emit", "set", name)
            attribute = entity.attribute.get(name)
            if emit.operation == "delete":
                yield path, "B022", f"delete: announces the id alone; remove {quoted(name)}"
            elif attribute is None:
                hint = did_you_mean(name, entity.attribute) or f"; it has {listed(list(entity.attribute))}"
                yield path, "B019", f"{entity.name} has no attribute {quoted(name)} to be set{hint}"
            elif name in given:
                yield path, "B022", f"{quoted(name)} is set here, and given by a parameter; remove one"
            elif attribute.unique:
                yield path, "B022", f"{quoted(name)} is unique, so it cannot always be the same; take it as a parameter"
            else:
                carried = shape.attribute.get(name) if shape is not None and shape is not entity else None
                yield from self._value(path, attribute, value)
                if carried is not None and carried.type != attribute.type:
                    yield from self._value(path, carried, value)

    def _value(self, path: Path, attribute: Attribute | InputAttribute, value: object) -> Found:
        if not self._declarations.is_sound(attribute.type):
            return
        try:
            plain_value(self._declarations.component, attribute.type, value)
        except UnfitValueError as error:
            yield path, "B027", f"{quoted(attribute.name)} is set to what does not fit: {error}"

    def _given(self) -> Iterator[Parameter | InputAttribute]:
        for parameter in self._command.parameters:
            yield from self._members(parameter)

    def _parameters(self, emit: Emit, entity: ObjectType) -> Found:
        inputs = self._declarations.component.inputs
        given: dict[str, str] = {}
        misspelt: set[str | None] = set()
        complete = True
        for at, parameter in enumerate(self._command.parameters):
            path = (*self._path, "parameters", at)
            may_be_input = parameter.name not in entity.attribute or parameter.type.name in inputs
            if may_be_input and not self._declarations.is_sound(parameter.type):
                complete = False  # it may give all there is
                continue
            for member in self._members(parameter):
                if given.setdefault(member.name, parameter.name) != parameter.name:
                    both = f"{quoted(given[member.name])} and {quoted(parameter.name)}"
                    yield path, "B022", f"{both} both give {quoted(member.name)}; remove one"
                if member.name not in entity.attribute:
                    misspelt.add(nearest(member.name, entity.attribute))
                yield from self._fit(emit, path, member, entity)
                if emit.operation == "update" and member.default is not None:
                    message = f"{quoted(member.name)} has a default, which would be sent whenever it is left out"
                    yield path, "B022", f"{message}, and update: leaves that alone; remove the default"
        if not complete:
            return
        if emit.operation == "create":
            known = given.keys() | misspelt | {nearest(name, entity.attribute) or name for name in emit.set}
            missing = [each.name for each in entity.attributes if each.needs_value and each.name not in known]
        else:
            missing = [] if "id" in given else ["id"]
        if missing:
            needed = f"which {entity.name} requires" if emit.operation == "create" else f"of the {entity.name} meant"
            message = f"no parameter gives {listed(missing)}, {needed}; add it or write Python"
            yield (*self._path, "emit"), "B023", message
        elif emit.operation == "update" and given.keys() == {"id"} and not emit.set:
            yield (*self._path, "emit"), "B023", "no parameter gives what changes; add it or write Python"

    def _members(self, parameter: Parameter) -> Iterator[Parameter | InputAttribute]:
        """Give what a parameter of a declared mutation gives: itself, or its input's attributes."""
        inputs = self._declarations.component.inputs
        if parameter.type.name not in inputs or parameter.type.is_list:
            yield parameter
        else:
            members: Sequence[InputAttribute] = inputs[parameter.type.name].attributes
            yield from members

    def _fit(self, emit: Emit, path: Path, given: Parameter | InputAttribute, entity: ObjectType) -> Found:
        if given.name == "id":
            yield from self._identity(emit, path, given)
            return
        attribute = entity.attribute.get(given.name)
        if emit.operation == "delete":
            yield path, "B023", f"delete: takes the id alone; remove {quoted(given.name)}"
            return
        if attribute is None:
            hint = did_you_mean(given.name, entity.attribute) or "; remove it, or write Python"
            yield path, "B023", f"{entity.name} has no attribute {quoted(given.name)} to take this parameter{hint}"
            return
        complete = emit.operation == "create" and attribute.default is None
        fitting = self._declarations.misfit(given.type, attribute.type, complete=complete)
        if fitting:
            taken = f"{quoted(given.name)} is {quoted(str(given.type))}, and {entity.name} takes {quoted(str(fitting))}"
            yield path, "B023", f"{taken}; make them one"

    def _identity(self, emit: Emit, path: Path, given: Parameter | InputAttribute) -> Found:
        if emit.operation == "create":
            yield path, "B023", "emit: makes the id itself; remove this parameter"
        elif given.type != _ID:
            yield path, "B023", f'"id" is {quoted(str(given.type))}, and {emit.operation}: takes "ID!"; make them one'
