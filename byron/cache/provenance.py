"""Whether the log is the one that the Cache was made from."""

from __future__ import annotations

from byron.broker.base import Broker, LogInfo
from byron.cache.checkpoint import Applied
from byron.events.codec import message_id


def is_in_log(applied: Applied, broker: Broker, *, reader: str = "") -> bool:
    """Tell whether the log holds, at its position, the event that a Cache has applied last.

    In a log that was recreated or rolled back the same positions stand for other events. `reader` is as for
    `Broker.get`. Raises BrokerPermissionError when this process may not read the event, which leaves `may_be_log`;
    LogMismatchError when there is no log; and BrokerUnavailableError.
    """
    stored = broker.get(applied.position, reader=reader)
    return stored is not None and message_id(stored) == applied.event_id


def may_be_log(applied: Applied, log: LogInfo) -> bool:
    """Tell, without reading it, whether a log is the one that a Cache has applied, so far as its identity says."""
    return applied.log_created == log.created and applied.position <= log.last
