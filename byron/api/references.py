"""References in an answer, loaded one statement a level instead of one an entity."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.db import models
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
)

from byron.commands.context import component_models
from byron.schema.installed import ComponentConfig
from byron.schema.model import Attribute, ObjectType

#: Where a request keeps what was loaded: by type and id; None for what the Cache does not know.
Loaded = dict[tuple[str, str], Any]


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

    def __init__(
        self, config: ComponentConfig, fragments: Mapping[str, FragmentDefinitionNode], loaded: Loaded
    ) -> None:
        self._types = config.component.types
        self._db = component_models(config)
        self._fragments = fragments
        self._loaded = loaded

    def load(self, entities: Iterable[Any], kind: ObjectType, selection: SelectionSetNode | None) -> None:
        """Load the references of these entities of one type that a selection asks for, level by level."""
        sources = [entity for entity in entities if entity is not None]
        if not sources or selection is None:
            return
        for field in self._fields(selection):
            attribute = kind.attribute.get(field.name.value)
            if attribute is None or attribute.type.name not in self._types:
                continue
            target = self._types[attribute.type.name]
            given = list(self._given(sources, attribute))
            identities = dict.fromkeys(value for value in given if not is_entity(value))
            self._fetch(target.name, identities)
            found = [value for value in given if is_entity(value)]
            found += [self._loaded[target.name, identity] for identity in identities]
            self.load(found, target, field.selection_set)

    def _given(self, sources: Iterable[Any], attribute: Attribute) -> Iterator[Any]:
        for source in sources:
            value = attribute_value(source, attribute)
            yield from (item for item in (value if isinstance(value, list | tuple) else [value]) if item)

    def _fetch(self, name: str, wanted: Iterable[str]) -> None:
        missing = [identity for identity in wanted if (name, identity) not in self._loaded]
        if not missing:
            return
        model: type[models.Model] = getattr(self._db, name)
        known = model._default_manager.in_bulk(missing)
        self._loaded.update({(name, identity): known.get(identity) for identity in missing})

    def _fields(self, selection: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selection.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, InlineFragmentNode):
                yield from self._fields(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value in self._fragments:
                yield from self._fields(self._fragments[node.name.value].selection_set)
