"""Durable JetStream consumers: where they stand, and how they are moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from byron.broker.nats_api import CONSUMER_NOT_FOUND, SECOND, JetStreamError, call_api, find
from byron.broker.nats_session import Session
from byron.exceptions import LogMismatchError

#: What of a durable consumer must be as declared, for it to be used again.
_COMPARED = ("ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "durable_name")


def consumer_config(name: str, filters: Sequence[str], after: int) -> dict[str, Any]:
    """Return the configuration of a durable pull consumer that starts after a position."""
    return {
        "name": name,
        "durable_name": name,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": after + 1,
        "ack_policy": "all",
        "ack_wait": 30 * SECOND,
        # JetStream would skip an event silently at a limit.
        "max_deliver": -1,
        "max_ack_pending": 10_000,
        "filter_subjects": list(filters),
    }


async def require_log(session: Session, stream: str, *, after: int, created: str) -> str:
    """Return the stream's time of creation once it is sure that going on after a position skips nothing.

    Raises LogMismatchError when there is no such stream, when it is not the one created at `created`
    (empty: any), or when it ends before that position.
    """
    found = await find(session, f"STREAM.INFO.{stream}")
    if found is None:
        raise LogMismatchError(f"The event log {stream!r} does not exist at the broker.")
    if created and found["created"] != created:
        raise LogMismatchError(f"The event log {stream!r} is another one: it was created anew.")
    last = found["state"]["last_seq"]
    if last < after:
        raise LogMismatchError(
            f"The event log {stream!r} ends at position {last}, but this consumer already has position {after}."
        )
    return str(found["created"])


async def place(session: Session, stream: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the durable consumer's INFO, after making it one that stands where its configuration starts.

    JetStream cannot move a consumer, so one that stands elsewhere is replaced. Reading goes on
    where the Cache says, and what the old one knew is of no use.
    """
    name = config["durable_name"]
    durable = await find(session, f"CONSUMER.INFO.{stream}.{name}")
    if durable is not None and _stands_at_start(durable, config):
        return durable
    if durable is not None:
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
        all(actual.get(key) == config[key] for key in _COMPARED)
        and set(filters) == set(config["filter_subjects"])
        and consumer["delivered"]["stream_seq"] == after
        and consumer["ack_floor"]["stream_seq"] == after
        and not consumer["num_ack_pending"]
        and not consumer["num_redelivered"]
    )
