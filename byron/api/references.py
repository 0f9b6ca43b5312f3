"""References in an answer, loaded one statement a level instead of one an entity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.db import models

from byron.api.documents.selection import Columns, Selection
from byron.commands.context import component_models
from byron.conf import byron_settings
from byron.exceptions import CommandError
from byron.schema.installed import ComponentConfig
from byron.schema.model import Attribute, ObjectType

#: Where a request keeps what was loaded: by type and id; None for what the Cache does not know.
Loaded = dict[tuple[str, str], Any]

#: Ids in one statement: SQLite takes 32,766 parameters at least, PostgreSQL 65,535.
_AT_ONCE = 30_000


#: How much more lists of references may hold than an operation may cost: the cost takes each to have a few.
_MORE_THAN_EXPECTED = 10

#: The code of an operation that is refused for its size, also of one whose lists turn out to be long.
TOO_LARGE = "LIMIT_EXCEEDED"


class Allowance:
    """How many fields the lists of references in an answer may still have, with all that is below them."""

    def __init__(self) -> None:
        cost = byron_settings().api_max_cost
        self._most = self._left = cost * _MORE_THAN_EXPECTED

    def spend(self, fields: int, attribute: Attribute) -> None:
        """Take these fields off. Raises CommandError when there are not so many."""
        self._left -= fields
        if self._left < 0:
            raise CommandError(
                f"{attribute.name} is too long: lists of references may have {self._most:,} fields in one answer. "
                "Ask for fewer entities or fields.",
                code=TOO_LARGE,
            )


def attribute_value(source: Any, attribute: Attribute) -> Any:
    """Return an attribute of an entity, be it a model's instance or a payload; for a reference, its id.

    A payload may hold the referenced entity itself instead of an id.
    """
    name = attribute.python_name
    if isinstance(source, Mapping):
        return source[name] if name in source else source.get(attribute.name)
    if isinstance(source, models.Model):
        # A reference's column holds the id; the attribute itself would load the entity, one by one.
        return getattr(source, getattr(source._meta.get_field(name), "attname", name))
    return getattr(source, name, None)


def is_entity(value: Any) -> bool:
    """Whether a reference's value is the entity itself, and no id that is to be looked up."""
    return isinstance(value, Mapping | models.Model)


class ReferenceLoader:
    """Load what a selection refers to, before it is resolved."""

    def __init__(self, config: ComponentConfig, columns: Columns, loaded: Loaded, allowance: Allowance) -> None:
        self._types = config.component.types
        self._db = component_models(config)
        self._columns = columns
        self._loaded = loaded
        self._allowance = allowance

    def fetch(self, name: str, identities: Iterable[str]) -> list[Any]:
        """Load entities of a type by their ids, and return those that the Cache knows."""
        wanted = dict.fromkeys(identities)
        self._fetch(name, wanted)
        return [entity for identity in wanted if (entity := self._loaded[name, identity]) is not None]

    def load(self, entities: Iterable[Any], kind: ObjectType, selection: Selection) -> None:
        """Load the references of these entities of one type that a selection asks for.

        Each level of the selection takes one statement for each type that is referred to. Raises CommandError when
        lists have more than the allowance.
        """
        level = [([entity for entity in entities if entity is not None], kind, selection, False)]
        while level:
            following: list[tuple[list[Any], ObjectType, Selection, bool]] = []
            wanted: dict[str, dict[str, None]] = {}
            for sources, source_kind, asked, in_list in level:
                for attribute in self._references(source_kind, asked):
                    given = list(self._given(sources, attribute))
                    target, below = attribute.type.name, asked.below(attribute.name)
                    is_in_list = in_list or attribute.type.is_list
                    if is_in_list:
                        self._allowance.spend(len(given) * sum(1 for _ in below), attribute)
                    wanted.setdefault(target, {}).update((item, None) for item in given if not is_entity(item))
                    following.append((given, self._types[target], below, is_in_list))
            for name, identities in wanted.items():
                self._fetch(name, identities)
            level = [
                (self._found(given, target), target, asked, in_list)
                for given, target, asked, in_list in following
                if given
            ]

    def _references(self, kind: ObjectType, asked: Selection) -> Iterator[Attribute]:
        for name in asked:
            attribute = kind.attribute.get(name)
            if attribute is not None and attribute.type.name in self._types:
                yield attribute

    def _given(self, sources: Iterable[Any], attribute: Attribute) -> Iterator[Any]:
        for source in sources:
            value = attribute_value(source, attribute)
            yield from (item for item in (value if isinstance(value, list | tuple) else [value]) if item)

    def _found(self, given: Sequence[Any], kind: ObjectType) -> list[Any]:
        entities = (item if is_entity(item) else self._loaded.get((kind.name, item)) for item in given)
        return [entity for entity in entities if entity is not None]

    def _fetch(self, name: str, wanted: Iterable[str]) -> None:
        missing = [identity for identity in wanted if (name, identity) not in self._loaded]
        self._loaded.update({(name, identity): None for identity in missing})
        model: type[models.Model] = getattr(self._db, name)
        for start in range(0, len(missing), _AT_ONCE):
            rows = model._default_manager.filter(pk__in=missing[start : start + _AT_ONCE])
            self._loaded.update({(name, row.pk): row for row in rows.only(*self._columns.get(name, {"id"}))})
