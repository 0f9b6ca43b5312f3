"""Where a Sink goes on: at its checkpoint, if the log still holds what the Cache was built from."""

from __future__ import annotations

from byron.broker.base import Broker
from byron.cache.checkpoint import read_checkpoint
from byron.exceptions import LogMismatchError
from byron.schema.installed import ComponentConfig


def starting_position(config: ComponentConfig, broker: Broker) -> int:
    """Return the position after which a component's Sink goes on.

    The log's event at the checkpoint must be the one that was applied: in a log that was recreated
    or rolled back the same numbers stand for other events, and going on by number would skip them.
    Raises LogMismatchError then, and BrokerUnavailableError.
    """
    applied = read_checkpoint(config.alias, config.consumer_name)
    if applied is None:
        return 0
    stored = broker.get(applied.position)
    if stored is not None and stored.headers.get("ce-id") == applied.event_id:
        return applied.position
    log = broker.log_info()
    raise LogMismatchError(
        f"The Cache of {config.label} has applied event {applied.event_id} at position {applied.position}, but the "
        f"log of {config.component.namespace} (positions {log.first} to {log.last}, created "
        f"{log.created:%Y-%m-%d %H:%M:%S}) does not hold it there: the log was recreated or restored. Nothing was "
        f"skipped. Restore the log, or empty the Cache (`manage.py flush --database {config.alias}`) to build it "
        "anew from this log."
    )
