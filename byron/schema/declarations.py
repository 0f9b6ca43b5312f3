"""What every check of declarations is given, and what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from byron.schema.loader import Path
from byron.schema.model import Component, EventType, InputType, ObjectType
from byron.schema.problems import did_you_mean, nearest, quoted
from byron.schema.type_ref import TypeRef
from byron.schema.types import SCALARS

#: The path of the offender, the code, and the message.
Finding = tuple[Path, str, str]
Found = Iterator[Finding]

TYPE_SECTIONS = ("types", "inputs", "enums")


@dataclass(frozen=True)
class Declarations:
    """A component as far as it was understood, and what is not to be judged.

    A check says nothing about what is in doubt, so that one mistake is one problem.
    """

    component: Component
    doubtful: frozenset[tuple[str, str]] = frozenset()
    lost: frozenset[str] = frozenset()

    def in_doubt(self, section: str, name: str) -> bool:
        """Whether not all is known of the declaration of this name."""
        return (section, name.casefold()) in self.doubtful

    def type_in_doubt(self, name: str) -> bool:
        """Whether a type, input or enum of this name is there, or may be, of which not all is known."""
        if any(self.in_doubt(section, name) for section in TYPE_SECTIONS):
            return True
        if name in self.types_of_all_kinds or self.lost.isdisjoint(TYPE_SECTIONS):
            return False
        return nearest(name, self.types_of_all_kinds) is None

    def is_sound(self, reference: TypeRef) -> bool:
        """Whether a type expression names a type of which all is known."""
        return reference.name in self.types_of_all_kinds and not self.type_in_doubt(reference.name)

    @cached_property
    def types_of_all_kinds(self) -> Mapping[str, object]:
        component = self.component
        return {**SCALARS, **component.types, **component.enums, **component.inputs}

    @cached_property
    def shapes(self) -> Mapping[str, ObjectType | InputType]:
        """Types and inputs: what has attributes."""
        return {**self.component.inputs, **self.component.types}

    def payload_of(self, event: EventType) -> ObjectType | InputType | None:
        """Return the shape of a declared payload, or None when there is none, or not all is known of it."""
        if event.payload is None:
            return None if self.in_doubt("events", event.name) else event.inline
        return None if self.type_in_doubt(event.payload) else self.shapes.get(event.payload)

    def unknown(self, path: Path, name: str, known: Mapping[str, object]) -> Found:
        """Find that a type is none of those known here."""
        hint = did_you_mean(name, known)
        if not hint and name in self.types_of_all_kinds:
            kinds = "the types and inputs" if known is self.shapes else "the types"
            yield path, "B020", f"{quoted(name)} is not one of {kinds} of this schema"
        else:
            yield path, "B012", f"unknown type {quoted(name)}{hint}"

    def is_comparable(self, reference: TypeRef) -> bool:
        """Whether values of a type can be filtered, ordered, indexed and unique."""
        scalar = SCALARS.get(reference.name)
        return not reference.is_list and (scalar is None or scalar.comparable)

    def misfit(self, given: TypeRef, wanted: TypeRef, *, complete: bool = True) -> TypeRef | None:
        """Return what should be given for an attribute of the type wanted, or None when what is given fits.

        Not `complete`: nothing may be given instead of what is required.
        """
        if given == wanted or not (self.is_sound(given) and self.is_sound(wanted)):
            return None
        name = self._stored_as(wanted)
        fitting = TypeRef(
            name=name, is_list=wanted.is_list, required=wanted.required, items_required=wanted.items_required
        )
        missing = complete and wanted.required and not given.required
        gaps = wanted.items_required and not given.items_required
        same = self._stored_as(given) == name and given.is_list == wanted.is_list
        return None if same and not missing and not gaps else fitting

    def _stored_as(self, reference: TypeRef) -> str:
        return "ID" if reference.name in self.component.types else reference.name
