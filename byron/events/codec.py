"""Events to messages and back: CloudEvents 1.0, binary mode, with the JSON payload alone as body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec

from byron.events.event import Event, Message, StoredMessage
from byron.events.subjects import event_subject, parse_subject
from byron.exceptions import EventError
from byron.schema.values import check_finite

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"

#: Characters of an event's id that tell it from others.
LONGEST_ID = 255

#: From a body's bytes to the payload that handlers see; raises ValueError when it breaks its contract.
PayloadDecoder = Callable[[bytes], Mapping[str, Any]]


def time_as_text(value: Any) -> str:
    """Return a moment, a date or a time of a subclass, as libraries of times make them and msgspec refuses them.

    It has the form that msgspec gives Python's own. Raises TypeError for any other value.
    """
    kinds: tuple[Any, ...] = (datetime, date, time)
    for kind in kinds:
        if isinstance(value, kind):
            # As Python's own class has it, whatever the subclass adds. What freezes time puts subclasses in the place
            # of these names, too, so that making an instance here would help nobody.
            text = str(kind.isoformat(value))
            return f"{text.removesuffix('+00:00')}Z" if text.endswith("+00:00") else text
    raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")


_encoder = msgspec.json.Encoder(enc_hook=time_as_text, decimal_format="string", uuid_format="canonical")
_untyped = msgspec.json.Decoder(dict[str, Any])


def _source(namespace: str, component: str) -> str:
    return f"/{namespace}/{component}"


def encode_payload(payload: Mapping[str, Any]) -> bytes:
    """Return the payload as JSON. Decimals become strings; dates, times, also of subclasses, and UUIDs their ISO forms.

    Raises EventError for values that JSON cannot hold, NaN and infinities included.
    """
    try:
        # msgspec would write NaN as null: a silent change of the fact.
        check_finite(payload)
        return _encoder.encode(payload)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise EventError(f"The payload cannot be written as JSON: {str(error).rstrip('.')}.") from error


def decode_untyped(body: bytes) -> Mapping[str, Any]:
    """Return a body as a plain dict of JSON values."""
    return _untyped.decode(body)


def encode(event: Event, body: bytes) -> Message:
    """Return the message that carries an event with this encoded payload."""
    headers = {
        "ce-specversion": SPEC_VERSION,
        "ce-id": event.id,
        "ce-type": event.name,
        "ce-source": _source(event.namespace, event.source),
        "ce-time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "ce-subject": _header_text(event.key),
        "ce-schemaversion": str(event.version),
        "content-type": CONTENT_TYPE,
        "Nats-Msg-Id": event.id,
    }
    optional = {
        "ce-correlationid": event.correlation_id,
        "ce-causationid": event.causation_id,
        "traceparent": event.traceparent,
    }
    headers.update({name: value for name, value in optional.items() if value})
    return Message(subject=event_subject(event.namespace, event.name, event.key), headers=headers, body=body)


def _header_text(value: str) -> str:
    # CloudEvents' rule for header values: percent-encode what is not printable ASCII, the quote and the percent sign.
    return "".join(
        char if "!" <= char <= "~" and char not in '"%' else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in value
    )


def message_id(message: StoredMessage) -> str:
    """Return a stored message's event id as any database can hold it; empty when it has none."""
    return message.headers.get("ce-id", "")[:LONGEST_ID].replace("\x00", "")


def decode(message: StoredMessage, decode_payload: PayloadDecoder = decode_untyped) -> Event:
    """Return the event that a stored message carries.

    Raises EventError when a header that Byron needs is missing or the body breaks its contract.
    """
    subject = parse_subject(message.subject)
    headers = message.headers
    if "ce-id" not in headers:
        # CloudEvents' names are in lower case; NATS keeps them as they were sent.
        headers = {name.lower(): value for name, value in headers.items()}
    try:
        namespace, source = headers["ce-source"].strip("/").split("/", 1)
        event_id, moment = headers["ce-id"], datetime.fromisoformat(headers["ce-time"])
        version = int(headers.get("ce-schemaversion", "1"))
    except (KeyError, ValueError) as error:
        raise EventError(f"Message {message.position} lacks a usable CloudEvents header: {error}.") from error
    try:
        payload = decode_payload(message.body)
    except (ValueError, RecursionError) as error:
        raise EventError(f"Message {message.position} ({subject.event}) has an unusable payload: {error}.") from error
    return Event(
        id=event_id,
        name=subject.event,
        key=subject.key,
        payload=payload,
        namespace=namespace,
        source=source,
        time=moment,
        version=version,
        correlation_id=headers.get("ce-correlationid"),
        causation_id=headers.get("ce-causationid"),
        traceparent=headers.get("traceparent"),
        position=message.position,
    )
