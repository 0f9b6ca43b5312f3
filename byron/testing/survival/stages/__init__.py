"""Where faults are rehearsed: a Cache that is as it was afterwards, in which a process may end before each commit."""

from __future__ import annotations

from django.db import connections

from byron.exceptions import CacheError
from byron.schema.installed import ComponentConfig
from byron.testing.survival.stages.base import Stage
from byron.testing.survival.stages.savepoints import SavepointStage

__all__ = ["Stage", "stage_for"]


def stage_for(config: ComponentConfig) -> Stage:
    """Return the stage of a component's Cache. Raises CacheError for an engine that has none."""
    connection = connections[config.alias]
    if connection.features.uses_savepoints:
        return SavepointStage(config)
    if getattr(connection, "is_cache", False):
        # Late: it needs an extra.
        from byron.testing.survival.stages.mongodb import MongoStage

        return MongoStage(config)
    raise CacheError(f"Byron does not know how to undo what faults do to a Cache on {connection.vendor}.")
