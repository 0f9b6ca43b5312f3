"""The tables of the Caches: whether they are up to date, and bringing them there."""

from __future__ import annotations

from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from filelock import FileLock

from byron.cache.files import file_of
from byron.conf import byron_settings
from byron.schema.installed import installed_components


def pending_caches() -> list[str]:
    """Return the aliases of the Caches that have migrations to come."""
    return [config.alias for config in installed_components() if is_pending(config.alias)]


def is_pending(alias: str) -> bool:
    """Whether a Cache has migrations to come."""
    file = file_of(connections.settings[alias])
    if file is not None and not file.exists():
        # The API, which only reads, cannot open it; everybody else would make it empty.
        return True
    executor = MigrationExecutor(connections[alias])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def migrate_caches(*, verbosity: int = 0) -> list[str]:
    """Migrate every Cache that needs it and return their aliases.

    An API and a Sink that start together do it one after the other.
    """
    if not pending_caches():
        return []
    byron_settings().state_path.mkdir(parents=True, exist_ok=True)
    with FileLock(byron_settings().state_path / "migrate.lock"):
        pending = pending_caches()
        for alias in pending:
            call_command("migrate", database=alias, interactive=False, verbosity=verbosity)
    return pending
