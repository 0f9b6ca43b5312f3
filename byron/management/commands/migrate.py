"""`migrate`: Django's, for every Cache of the project unless one database is named."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.core.management.commands.migrate import Command as DjangoMigrate
from django.db import DEFAULT_DB_ALIAS, connections

from byron.cache.migrations import applied_migrations, unfilled_attributes
from byron.schema.installed import installed_component, installed_components
from byron.schema.problems import listed


class Command(DjangoMigrate):
    help = "Bring the tables of every Cache, or of one database, up to date."

    def handle(self, *args: Any, **options: Any) -> None:
        for alias in self._databases(options):
            if options["verbosity"] >= 1:
                self.stdout.write(self.style.MIGRATE_HEADING(f"Database {alias}"))
            before = applied_migrations(alias)
            super().handle(*args, **{**options, "database": alias})
            self._tell_unfilled(alias, applied_migrations(alias) - before)

    def _tell_unfilled(self, alias: str, applied: Collection[tuple[str, str]]) -> None:
        """Say which rows have stand-ins for values now, and what fills them."""
        unfilled = unfilled_attributes(alias, applied) if applied else []
        if not unfilled:
            return
        message = (
            f"Rows of the Cache {alias} have a stand-in for {listed(unfilled)}. Fill them from the log, while API and "
            f"Sink go on: manage.py rebuildcache {alias}"
        )
        self.stderr.write(self.style.WARNING(message))

    def _databases(self, options: dict[str, Any]) -> list[str]:
        chosen: str = options["database"]
        if chosen != DEFAULT_DB_ALIAS:
            return [chosen]
        component = installed_component(options["app_label"] or "")
        if component is not None:
            return [component.alias]
        aliases = [config.alias for config in installed_components()]
        if connections.databases[DEFAULT_DB_ALIAS]["ENGINE"] != "django.db.backends.dummy":
            aliases.insert(0, DEFAULT_DB_ALIAS)
        return aliases
