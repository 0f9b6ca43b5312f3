"""JetStream consumers: where they stand, and how they are moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from byron.broker.nats.api import CONSUMER_NOT_FOUND, SECOND, JetStreamError, call_api, find
from byron.broker.nats.session import Session
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

    One that an administrator has prepared is moved, which takes no right to choose what is read. Any other one that
    stands elsewhere is replaced, since servers before 2.14 cannot move a consumer. Reading goes on where the
    Cache says, and what the old one knew is of no use.
    """
    name = config["name"]
    found = await find(session, f"CONSUMER.INFO.{stream}.{name}")
    if found is not None and is_prepared(found) and set(config["filter_subjects"]) <= filters_of(found):
        return await move(session, stream, name, config["opt_start_seq"])
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


def prepared_config(name: str, filters: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of a consumer that is made for someone who may read by it and not change it."""
    config = consumer_config(name, filters, 0, durable=True)
    del config["opt_start_seq"]
    # It can be moved to any position then; for one with a start, the server allows none before that.
    return {**config, "deliver_policy": "all"}


def is_prepared(consumer: Mapping[str, Any]) -> bool:
    """Whether a consumer, by its INFO, is such a one."""
    return str(consumer["config"].get("deliver_policy")) == "all"


def filters_of(consumer: Mapping[str, Any]) -> set[str]:
    """Return what a consumer reads, by its INFO."""
    return set(consumer["config"].get("filter_subjects") or [consumer["config"].get("filter_subject", "")])


async def move(session: Session, stream: str, name: str, position: int) -> dict[str, Any]:
    """Have a prepared consumer deliver from a position on, and return its INFO."""
    return await call_api(session, f"CONSUMER.RESET.{stream}.{name}", {"seq": position})


async def prepare(session: Session, stream: str, name: str, filters: Sequence[str]) -> bool:
    """See to it that there is a prepared consumer that reads just this; return whether anything was to be done."""
    found = await find(session, f"CONSUMER.INFO.{stream}.{name}")
    if found is not None and is_prepared(found) and filters_of(found) == set(filters):
        return False
    if found is not None and not is_prepared(found):
        await call_api(session, f"CONSUMER.DELETE.{stream}.{name}")
    config = prepared_config(name, filters)
    await call_api(session, f"CONSUMER.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})
    return True


def _stands_at_start(consumer: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    after = config["opt_start_seq"] - 1
    actual = consumer["config"]
    return (
        all(actual.get(key) == config.get(key) for key in _COMPARED)
        and filters_of(consumer) == set(config["filter_subjects"])
        and consumer["delivered"]["stream_seq"] == after
        and consumer["ack_floor"]["stream_seq"] == after
        and not consumer["num_ack_pending"]
        and not consumer["num_redelivered"]
    )
