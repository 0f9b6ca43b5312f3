"""Byron as a Django app, and the base of every component's app."""

from __future__ import annotations

from importlib import import_module

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
        # Importing it registers the checks.
        import_module("byron.checks")
