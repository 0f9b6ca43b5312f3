"""What a developer may not expect at a first start: a log that has events already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import DatabaseError, connections

from byron.broker.connection import broker_for
from byron.cache.checkpoint import last_position
from byron.exceptions import ByronError
from byron.models import Checkpoint
from byron.schema.installed import ComponentConfig


def waiting_events(components: Iterable[ComponentConfig]) -> list[str]:
    """Return a line for each component whose Cache is empty while the log has events that it handles.

    What cannot be asked is left out.
    """
    return [line for config in components for line in _waiting(config)]


def _waiting(config: ComponentConfig) -> Iterator[str]:
    namespace = config.component.namespace
    events = list(config.component.handlers)
    try:
        if not events or not _is_empty(config):
            return
        broker = broker_for(namespace)
        if broker.backlog_age(events, 0) > 0:
            yield (
                f"the log of {namespace} has {broker.log_info().last:,} events already: those that {config.label} "
                "handles are being applied to its empty Cache"
            )
    except (ByronError, DatabaseError):
        return


def _is_empty(config: ComponentConfig) -> bool:
    # Before the first migration there is nothing to ask.
    tables = connections[config.alias].introspection.table_names()
    return Checkpoint._meta.db_table not in tables or last_position(config.alias, config.consumer_name) == 0
