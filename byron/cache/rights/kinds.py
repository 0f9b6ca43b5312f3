"""Which engine gives its users rights in which way."""

from __future__ import annotations

from importlib import import_module

from django.db import connections

from byron.cache.rights.base import Rights
from byron.cache.rights.postgresql import PostgresRights
from byron.cache.rights.sqlite import SQLiteRights
from byron.exceptions import CacheError
from byron.schema.installed import ComponentConfig

_KINDS: dict[str, type[Rights]] = {"sqlite": SQLiteRights, "postgresql": PostgresRights}


def rights_for(config: ComponentConfig) -> Rights:
    """Return the rights of a component's Cache. Raises CacheError for an engine that Byron knows nothing of."""
    vendor = connections[config.alias].vendor
    if vendor == "mongodb":
        # Late: it needs an extra.
        made: Rights = import_module("byron.cache.rights.mongodb").MongoRights(config)
        return made
    if vendor not in _KINDS:
        raise CacheError(f"Byron does not know how {vendor} gives its users rights; see to it by yourself.")
    return _KINDS[vendor](config)
