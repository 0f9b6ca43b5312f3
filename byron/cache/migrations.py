"""The tables of the Caches: whether they are up to date, and bringing them there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.apps import apps
from django.core.management import call_command
from django.db import connections
from django.db.migrations import Migration
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import AddField, AlterField
from django.db.migrations.operations.base import Operation
from django.db.migrations.recorder import MigrationRecorder
from filelock import FileLock

from byron.cache.fields import VersionField
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


def leaves_unfilled(operation: Operation) -> bool:
    """Whether an operation gives rows a value that only stands in for theirs, until the Cache is built anew."""
    if isinstance(operation, AddField) and isinstance(operation.field, VersionField):
        return True
    return isinstance(operation, AddField | AlterField) and not operation.preserve_default


def applied_migrations(alias: str) -> frozenset[tuple[str, str]]:
    """Return app label and name of each migration that a Cache has."""
    return frozenset(MigrationRecorder(connections[alias]).applied_migrations())


def unfilled_attributes(alias: str, migrations: Iterable[tuple[str, str]]) -> list[str]:
    """Return the columns that these migrations gave stand-ins in rows of a Cache: `Student.ingress`."""
    loader = MigrationLoader(None)
    found = (loader.disk_migrations.get(key) for key in sorted(migrations))
    columns = [column for migration in found if migration is not None for column in _unfilled(migration)]
    labels = {config.label for config in installed_components() if config.alias == alias}
    named = ((_model_with_rows(alias, label, model), column) for label, model, column in columns if label in labels)
    return [f"{model}.{column}" for model, column in named if model]


def _unfilled(migration: Migration) -> Iterator[tuple[str, str, str]]:
    for operation in migration.operations:
        if isinstance(operation, AddField | AlterField) and leaves_unfilled(operation):
            yield migration.app_label, operation.model_name, operation.name


def _model_with_rows(alias: str, label: str, name: str) -> str:
    """Return a model's name as schema.yaml has it, or an empty string when there are no rows of it."""
    try:
        model = apps.get_model(label, name)
    except LookupError:
        # A later migration renamed or dropped it: what it is called now is not told here.
        return ""
    return model.__name__ if model._default_manager.using(alias).exists() else ""
