"""What the broker's permissions refuse, in the words of whoever has to do something about it."""

from __future__ import annotations

from collections.abc import Callable

from byron.exceptions import BrokerPermissionError, PublishDeniedError, SubscribeDeniedError

Denied = Callable[[BrokerPermissionError], None]

#: What to do about a denied request, by how its subject begins, in lower case and without what differs.
_REMEDIES = {
    "api.stream.create.": "The log and the claims' bucket are made by `byron infrastructure prepare`.",
    "api.consumer.": "The readers of Sinks are made from schema.yaml by `byron infrastructure prepare`.",
    "api.": "What each role may ask is written by `byron infrastructure config`.",
    "kv.": "What each role may claim is written by `byron infrastructure config`.",
    "_byron.": "What each role may signal is written by `byron infrastructure config`.",
}

_EVENT_REMEDY = (
    "If it is this component's to emit, say so in schema.yaml (`emit:`, `emits:`), run `byron infrastructure config` "
    "again and reload the broker."
)

_INBOX_REMEDY = "Set BYRON_BROKER_CREDENTIALS to the seed file of the user whose name the broker knows."


def publish_denied(subject: str) -> PublishDeniedError:
    """Return the error for a subject that this process may not publish on."""
    # The API of the log's account begins otherwise in another account.
    lowered = subject.lower().removeprefix("$")
    lowered = lowered.removeprefix("js.") if lowered.startswith("js.api.") else lowered
    remedy = next((text for start, text in _REMEDIES.items() if lowered.startswith(start)), _EVENT_REMEDY)
    return PublishDeniedError(f"The broker's permissions do not allow publishing on {subject!r}. {remedy}")


def subscribe_denied(subject: str) -> SubscribeDeniedError:
    """Return the error for a subject that this process may not subscribe to."""
    inbox = subject.lower().startswith("_inbox")
    remedy = _INBOX_REMEDY if inbox else "What each role may hear is written by `byron infrastructure config`."
    return SubscribeDeniedError(f"The broker's permissions do not allow subscribing to {subject!r}. {remedy}")
