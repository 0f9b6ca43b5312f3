"""Byron as a Django app, and the base of every component's app."""

from __future__ import annotations

from django.apps import AppConfig

from byron.cache.connections import prepare_connections
from byron.schema.installed import ComponentConfig

__all__ = ["ByronConfig", "ComponentConfig"]


class ByronConfig(AppConfig):
    """Byron's own tables, checks and connection settings."""

    name = "byron"
    default = True
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        prepare_connections()
        # Importing registers the checks.
        from byron import checks  # noqa: F401
