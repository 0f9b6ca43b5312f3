"""System checks: what is wrong with a project before it runs, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from byron.commands.functions import COMMANDS, HANDLERS, HOOKS, load_function
from byron.conf import byron_settings
from byron.exceptions import ContractError
from byron.schema.installed import ComponentConfig, installed_components

TAG = "byron"
_ROUTER = "byron.cache.routers.CacheRouter"


@register(TAG)
def check_broker(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Outside DEBUG, the broker's address must be given."""
    if byron_settings().broker_url or settings.DEBUG or not installed_components():
        return []
    return [
        Error(
            "BYRON_BROKER_URL is not set.",
            hint="Set it to your NATS server's address, such as nats://user:password@broker:4222. "
            "Only under DEBUG does Byron start a broker by itself.",
            id="byron.E001",
        )
    ]


@register(TAG)
def check_components(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Each component's schema must be valid, its Cache configured, its functions there."""
    components = installed_components()
    messages = [message for config in components for message in _component(config)]
    if components and _ROUTER not in settings.DATABASE_ROUTERS:
        hint = f'Add "{_ROUTER}" to DATABASE_ROUTERS.'
        messages.append(Error("Nothing keeps components to their own Caches.", hint=hint, id="byron.E003"))
    return messages


def _component(config: ComponentConfig) -> Iterator[CheckMessage]:
    if config.alias not in settings.DATABASES:
        yield Error(
            f"The component {config.label} has no Cache.",
            hint=f'Add "{config.alias}" to DATABASES; byron.project.cache_databases() does it for every component.',
            id="byron.E002",
        )
    if config.schema_problems:
        hint = f"Mend it, then run `manage.py generate`:\n{config.schema_problems}"
        yield Error(f"The schema of {config.label} cannot be used.", hint=hint, id="byron.E004")
        return
    yield from _functions(config)
    if not config.component.content.handlers:
        yield Warning(
            f"The component {config.label} handles no events, so its Cache stays empty.",
            hint="Declare its handlers in schema.yaml.",
            id="byron.W001",
        )


def _functions(config: ComponentConfig) -> Iterator[CheckMessage]:
    content = config.component.content
    wanted = [(COMMANDS, command.name) for command in content.commands if not command.is_declared]
    wanted += [(HANDLERS, handler.name) for handler in content.handlers if handler.apply is None]
    hooks = [owner.hooks for owner in content.commands] + [owner.hooks for owner in content.handlers]
    wanted += [(HOOKS, name) for each in hooks for name in (*each.before, *each.after)]
    for folder, name in dict.fromkeys(wanted):
        try:
            load_function(config, folder, name)
        except ContractError as error:
            hint = "`manage.py generate` writes a first version of what is missing."
            yield Error(str(error), hint=hint, id="byron.E005")
