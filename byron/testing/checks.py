"""What is wrong with the project by itself: told beside a test that fails, since it may be the reason."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import ERROR, CheckMessage, Error, run_checks
from django.db.migrations.loader import MigrationLoader

from byron.checks import TAG
from byron.codegen.migrations import new_migration
from byron.exceptions import GenerationError
from byron.schema.installed import ComponentConfig, installed_components
from byron.testing.reports import cut

#: Checks of where a component is deployed, which tests have nothing to do with: the broker's address, tokens, access.
_OF_DEPLOYMENT = frozenset(
    {
        "byron.E001",
        "byron.E009",
        "byron.E010",
        "byron.E011",
        "byron.E012",
        "byron.E013",
        "byron.E015",
        "byron.E019",
    }
)

#: The check that a component's models are those of its schema.yaml, without which its migrations are behind as well.
_MODELS = "byron.E014"


def project_problems() -> str:
    """Return the errors that Byron's system checks find, and migrations that are missing, with their remedies.

    An empty text when there are none. Raises nothing: what the checks themselves fail by is told in a line.
    """
    try:
        return "\n".join(cut([line for message in _errors() for line in _shown(message).splitlines()]))
    except (Exception, SystemExit) as error:
        # They import the project's files, which may do anything.
        return f"Byron's checks could not be run: {type(error).__name__}: {error}"


def _errors() -> Iterator[CheckMessage]:
    found = [message for message in run_checks(tags=[TAG]) if message.level >= ERROR and not message.is_silenced()]
    yield from (message for message in found if message.id not in _OF_DEPLOYMENT)
    if all(message.id != _MODELS for message in found):
        for config in installed_components():
            yield from _migrations(config)


def _migrations(config: ComponentConfig) -> Iterator[CheckMessage]:
    module, _ = MigrationLoader.migrations_module(config.label)
    # Without one, tables are made of the models: pytest-django's --nomigrations.
    if module is None or config.schema_problems:
        return
    try:
        missing = new_migration(config.component, config.label)
    except GenerationError as error:
        yield Error(str(error))
        return
    if missing is not None:
        yield Error(
            f"The migrations of {config.label} do not make the tables of its schema.yaml: {missing.name} is missing.",
            hint="Run `manage.py generate`, which writes it.",
        )


def _shown(message: CheckMessage) -> str:
    head = f"{message.id}: {message.msg}" if message.id else str(message.msg)
    return f"{head}\n  HINT: {message.hint}" if message.hint else head
