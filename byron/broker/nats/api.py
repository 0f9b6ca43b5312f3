"""JetStream's JSON API, and the stream as Byron declares it.

Requests are built here, not by nats-py's dataclasses, which lag behind the server's options.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from byron.broker.base import LogInfo
from byron.broker.nats.session import Request, Session, UnansweredError, parse_headers
from byron.events.event import StoredMessage
from byron.exceptions import BrokerError, BrokerUnavailableError

#: A second in the API's durations.
SECOND = 1_000_000_000

#: Seconds that an API request may take.
API_TIMEOUT = 5.0

#: JetStream's error codes that Byron tells apart.
STREAM_NOT_FOUND = 10059
CONSUMER_NOT_FOUND = 10014
STREAM_NAME_IN_USE = 10058
MESSAGE_NOT_FOUND = 10037
WRONG_LAST_MESSAGE_ID = 10070
WRONG_LAST_SEQUENCE = 10071
BATCH_INCOMPLETE = 10176
BATCH_HAS_DUPLICATE = 10201

#: HTTP-like codes of errors that pass: overloaded, or between two leaders. (A server that shuts down calls the batch
#: on its way incomplete.)
_PASSING_CODES = frozenset({408, 409, 429, 503})


class JetStreamError(BrokerError):
    """An error that JetStream answered with, with its codes."""

    def __init__(self, description: str, *, code: int, error_code: int) -> None:
        super().__init__(f"JetStream refused: {description} (error {error_code}).")
        self.code = code
        self.error_code = error_code

    @property
    def passes(self) -> bool:
        """Whether trying again soon may succeed."""
        return self.code in _PASSING_CODES or self.error_code == BATCH_INCOMPLETE


class NoResponderError(BrokerError):
    """Nobody listens on a subject: no stream covers it, or JetStream is not ready yet."""


def parse_answer(data: bytes, headers: Mapping[str, str] | None) -> dict[str, Any]:
    """Return a JSON answer. Raises JetStreamError for an error, NoResponderError for status 503."""
    if headers and headers.get("Status") == "503":
        raise NoResponderError("Nothing at the broker listens on this subject.")
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise BrokerError(f"The broker's answer {data[:80]!r} is not JetStream's.") from error
    if not isinstance(answer, dict):
        raise BrokerError(f"The broker's answer {data[:80]!r} is not JetStream's.")
    if problem := answer.get("error"):
        raise JetStreamError(
            str(problem.get("description", "no description")),
            code=int(problem.get("code", 0)),
            error_code=int(problem.get("err_code", 0)),
        )
    return answer


async def call_api(session: Session, subject: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Send a request to JetStream's API and return its answer; `subject` is what comes after `$JS.API.`.

    Raises BrokerUnavailableError without an answer, JetStreamError and BrokerError otherwise.
    """
    encoded = json.dumps(body).encode() if body is not None else b""
    try:
        message = await session.exchange([Request(subject=session.api(subject), body=encoded)], API_TIMEOUT)
        return parse_answer(message.data, message.headers)
    except UnansweredError as error:
        raise BrokerUnavailableError(f"The broker did not answer {session.api(subject)}: {error}") from error
    except NoResponderError as error:
        raise BrokerUnavailableError("The broker answers, but its JetStream is off or not ready.") from error


async def find(session: Session, subject: str) -> dict[str, Any] | None:
    """Return the answer of an INFO request, or None when there is no such stream or consumer."""
    try:
        return await call_api(session, subject)
    except JetStreamError as error:
        if error.error_code in (STREAM_NOT_FOUND, CONSUMER_NOT_FOUND):
            return None
        raise


def stream_config(name: str, subjects: Sequence[str], replicas: int) -> dict[str, Any]:
    """Return the configuration of an event log: nothing is ever dropped from it."""
    return {
        "name": name,
        "subjects": list(subjects),
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_msg_size": -1,
        "max_consumers": -1,
        "num_replicas": replicas,
        "duplicate_window": 600 * SECOND,
        "deny_delete": True,
        "deny_purge": True,
        "allow_atomic": True,
    }


def bucket_config(name: str, subjects: Sequence[str], replicas: int) -> dict[str, Any]:
    """Return the configuration of a key-value bucket whose entries have a time to live each."""
    return {
        "name": name,
        "subjects": list(subjects),
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "max_msgs_per_subject": 1,
        "num_replicas": replicas,
        "allow_msg_ttl": True,
        "allow_rollup_hdrs": True,
    }


def log_info(stream: Mapping[str, Any]) -> LogInfo:
    """Return what a stream's INFO says as the contract's value."""
    state = stream["state"]
    # Python reads six digits of a second; the server writes up to nine.
    return LogInfo(
        created=datetime.fromisoformat(stream["created"]),
        first=state["first_seq"],
        last=state["last_seq"],
    )


def stored_message(found: Mapping[str, Any]) -> StoredMessage:
    """Return a message of a stream from what STREAM.MSG.GET answers for it."""
    return StoredMessage(
        subject=found["subject"],
        headers=parse_headers(base64.b64decode(found.get("hdrs", ""))),
        body=base64.b64decode(found.get("data", "")),
        position=found["seq"],
        logged=datetime.fromisoformat(found["time"]).timestamp(),
    )
