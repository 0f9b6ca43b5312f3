"""Who may touch the Cache: each model through its component's alias, each role in its own way."""

from __future__ import annotations

from typing import Any

from django.db import models

from byron.cache.roles import Role, current_role
from byron.exceptions import CacheReadError, CacheWriteError
from byron.schema.installed import installed_component, installed_components


class CacheRouter:
    """Route components' models to their Caches; raise where a role forbids the use.

    Django asks `db_for_write` for reads that are part of a write too (`select_for_update`,
    `update_or_create`), so those pass in the Sink.
    """

    def db_for_read(self, model: type[models.Model], **hints: Any) -> str | None:
        config = installed_component(model._meta.app_label)
        if config is None:
            return None
        if current_role() is Role.SINK:
            raise CacheReadError(
                f"The Sink does not read {model.__name__}: it applies events and serves no reads. "
                "Use select_for_update(), update_or_create() or F() for a read that is part of a write."
            )
        return config.alias

    def db_for_write(self, model: type[models.Model], **hints: Any) -> str | None:
        config = installed_component(model._meta.app_label)
        if config is None:
            return None
        if current_role() is Role.API:
            raise CacheWriteError(
                f"The API cannot write {model.__name__}: only the Sink writes the Cache. "
                "Emit an event, and write in its handler."
            )
        return config.alias

    def allow_relation(self, first: models.Model, second: models.Model, **hints: Any) -> bool | None:
        labels = {first._meta.app_label, second._meta.app_label}
        if any(installed_component(label) for label in labels):
            return len(labels) == 1
        return None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        aliases = {config.alias for config in installed_components()}
        if app_label == "byron":
            return db in aliases
        config = installed_component(app_label)
        if config is not None:
            return db == config.alias
        return False if db in aliases else None
