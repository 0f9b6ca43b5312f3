"""JetStream consumers: where they stand, and how they are moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from byron.broker.nats_api import CONSUMER_NOT_FOUND, SECOND, JetStreamError, call_api, find
from byron.broker.nats_session import Session
from byron.exceptions import LogMismatchError

#: Seconds without an acknowledgement after which the broker sends again. Only ever useless work: whoever takes over a
#: lane opens its consumer anew at the checkpoint, and a slow handler keeps its lane by its process's signs of life.
_ACK_WAIT = 24 * 3600

#: Seconds after which the broker forgets a consumer that is not durable and that nobody reads.
_FORGOTTEN_AFTER = 300

#: What of a consumer must be as declared, for it to be used again.
_COMPARED = ("durable_name", "ack_policy", "ack_wait", "max_deliver", "max_ack_pending")


def consumer_config(name: str, filters: Sequence[str], after: int, *, durable: bool) -> dict[str, Any]:
    """Return the configuration of a pull consumer that starts after a position."""
    return {
        "name": name,
        **({"durable_name": name} if durable else {"inactive_threshold": _FORGOTTEN_AFTER * SECOND}),
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": after + 1,
        "ack_policy": "all",
        "ack_wait": _ACK_WAIT * SECOND,
        # JetStream would skip an event silently at a limit.
        "max_deliver": -1,
        "max_ack_pending": 10_000,
        "filter_subjects": list(filters),
    }


async def require_log(session: Session, stream: str, after: int) -> None:
    """Raise LogMismatchError when there is no such stream, or when it ends before a position."""
    found = await find(session, f"STREAM.INFO.{stream}")
    if found is None:
        raise LogMismatchError(f"The event log {stream!r} does not exist at the broker.")
    last = found["state"]["last_seq"]
    if last < after:
        raise LogMismatchError(
            f"The event log {stream!r} ends at position {last}, but this consumer already has position {after}."
        )


async def place(session: Session, stream: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the consumer's INFO, after making it one that stands where its configuration starts.

    JetStream cannot move a consumer, so one that stands elsewhere is replaced. Reading goes on
    where the Cache says, and what the old one knew is of no use.
    """
    name = config["name"]
    found = await find(session, f"CONSUMER.INFO.{stream}.{name}")
    if found is not None and _stands_at_start(found, config):
        return found
    if found is not None:
        try:
            await call_api(session, f"CONSUMER.DELETE.{stream}.{name}")
        except JetStreamError as error:
            if error.error_code != CONSUMER_NOT_FOUND:
                raise
    request = {"stream_name": stream, "config": config, "action": "create"}
    return await call_api(session, f"CONSUMER.CREATE.{stream}.{name}", request)


def _stands_at_start(consumer: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    after = config["opt_start_seq"] - 1
    actual = consumer["config"]
    filters = actual.get("filter_subjects") or [actual.get("filter_subject", "")]
    return (
        all(actual.get(key) == config.get(key) for key in _COMPARED)
        and set(filters) == set(config["filter_subjects"])
        and consumer["delivered"]["stream_seq"] == after
        and consumer["ack_floor"]["stream_seq"] == after
        and not consumer["num_ack_pending"]
        and not consumer["num_redelivered"]
    )
