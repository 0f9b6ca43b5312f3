"""Reading single messages of the log without the right to read all of it.

A message is asked for by its position in a request's body, which no permission on subjects can narrow. So a Sink with
rights of its own reads by consumers alone: the one that was prepared for its lane, and for a search one whose filter
stands in the subject of the request that makes it, where the server does hold it against the permissions.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence

from nats.aio.msg import Msg

from byron.broker.nats.api import API_TIMEOUT, CONSUMER_NOT_FOUND, SECOND, JetStreamError, call_api, find
from byron.broker.nats.durable import is_prepared, move
from byron.broker.nats.session import Session
from byron.events.codec import message_id
from byron.events.event import StoredMessage
from byron.exceptions import BrokerPermissionError, BrokerUnavailableError

#: Messages of a search asked for at once.
_BATCH = 500

#: Statuses by which the server says that it has no more messages at the moment.
_ENDS = frozenset({"404", "408"})

#: Seconds after which the broker forgets a search that was broken off.
_FORGOTTEN_AFTER = 60


async def is_restricted(session: Session, stream: str, reader: str) -> bool:
    """Whether a consumer of this name was prepared for a process that may read nothing else."""
    found = await find(session, f"CONSUMER.INFO.{stream}.{reader}")
    return found is not None and is_prepared(found)


async def read_at(session: Session, stream: str, reader: str, position: int) -> StoredMessage | None:
    """Return the message at a position by a prepared consumer; None when that does not show it.

    The consumer stands behind it then, and has to be moved before it is read.
    """
    await move(session, stream, reader, position)
    found = await _pull(session, stream, reader, 1)
    return found[0] if found and found[0].position == position else None


async def search(
    session: Session, stream: str, name: str, subject: str, ids: Collection[str], after: int, until: float
) -> set[str]:
    """Return which of these ids messages on a subject have, beyond `after` and logged before a time.

    Reads by a consumer of this name, which it makes for that, headers alone and so many at a time.
    """
    await _forget(session, stream, name)
    config = {
        "name": name,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": after + 1,
        "ack_policy": "none",
        "filter_subject": subject,
        "headers_only": True,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _FORGOTTEN_AFTER * SECOND,
    }
    await call_api(session, f"CONSUMER.CREATE.{stream}.{name}.{subject}", {"stream_name": stream, "config": config})
    missing, found = set(ids), set[str]()
    while missing and (page := await _pull(session, stream, name, _BATCH)):
        known = {message_id(stored) for stored in page if stored.logged < until} & missing
        missing -= known
        found |= known
        if page[-1].logged >= until:
            break
    await _forget(session, stream, name)
    return found


async def _forget(session: Session, stream: str, name: str) -> None:
    try:
        await call_api(session, f"CONSUMER.DELETE.{stream}.{name}")
    except JetStreamError as error:
        if error.error_code != CONSUMER_NOT_FOUND:
            raise


async def _pull(session: Session, stream: str, name: str, limit: int) -> Sequence[StoredMessage]:
    """Return what a consumer has to deliver at once, up to a limit. Raises BrokerPermissionError."""
    inbox = session.client.new_inbox()
    subject = session.api(f"CONSUMER.MSG.NEXT.{stream}.{name}")
    answers: asyncio.Queue[Msg | BrokerPermissionError] = asyncio.Queue()
    found: list[StoredMessage] = []
    subscription = await session.subscribe(inbox, answers.put)
    try:
        with session.watched(subject, answers.put_nowait):
            request = json.dumps({"batch": limit, "no_wait": True}).encode()
            await session.client.publish(subject, request, inbox)
            async with asyncio.timeout(API_TIMEOUT):
                while len(found) < limit:
                    answer = await answers.get()
                    if isinstance(answer, BrokerPermissionError):
                        raise answer
                    if not answer.reply.startswith("$JS.ACK."):
                        _require_end(answer, subject)
                        break
                    found.append(_stored(answer))
    except TimeoutError as error:
        raise BrokerUnavailableError(f"The broker did not answer {subject}.") from error
    finally:
        await subscription.unsubscribe()
    return found


def _require_end(answer: Msg, subject: str) -> None:
    """Raise BrokerUnavailableError when it is not for want of messages that no more come: the consumer may be gone."""
    status = (answer.headers or {}).get("Status", "")
    if status not in _ENDS:
        raise BrokerUnavailableError(f"The broker ended {subject} with the status {status or 'unknown'}.")


def _stored(message: Msg) -> StoredMessage:
    metadata = message.metadata
    return StoredMessage(
        subject=message.subject,
        headers=message.headers or {},
        body=message.data,
        position=metadata.sequence.stream,
        logged=metadata.timestamp.timestamp(),
    )
