"""Every error that Byron raises on purpose."""

from __future__ import annotations

import re

_CODE = re.compile(r"[A-Z][A-Z0-9_]{0,99}", re.ASCII)


class ByronError(Exception):
    """Root of Byron's errors: catching it catches them all."""


class SchemaError(ByronError):
    """A schema.yaml that cannot be used; its text lists every problem found."""


class GenerationError(ByronError):
    """Files that cannot be generated; nothing was written."""


class MissingExtraError(ByronError):
    """An optional part whose extra is not installed; the text says what to install."""


class EventError(ByronError):
    """An event that cannot be encoded, addressed or decoded."""


class ReceiptError(ByronError):
    """A text that is no receipt, or one of another system."""


class BrokerError(ByronError):
    """The broker refused or failed an operation."""


class BrokerUnavailableError(BrokerError):
    """The broker cannot be reached; what was to be sent certainly was not."""


class OutcomeUnknownError(BrokerError):
    """Messages were sent but not acknowledged in time: the log may or may not hold them."""

    #: The ids of the events in question, where they are known.
    event_ids: tuple[str, ...] = ()


class BrokerPermissionError(BrokerError):
    """The broker's permissions do not allow this process what it tried."""


class PublishDeniedError(BrokerPermissionError):
    """The broker's permissions do not allow this process to publish on that subject."""


class PublishRefusedError(BrokerError):
    """The broker would not take what was to be published; certainly nothing of it was stored."""


class MessageTooLargeError(PublishRefusedError):
    """A message is larger than the broker takes; nothing was sent."""


class PartlyKnownError(BrokerError):
    """Messages that belong together, of which the log got some from someone else; nothing was stored."""


class SupersededError(ByronError):
    """Another process has taken over the mutation of an Idempotency-Key; this one published nothing."""


class StaleVersionError(BrokerError):
    """The log holds more about a key than was expected; nothing was stored."""


class SubscribeDeniedError(BrokerPermissionError):
    """The broker's permissions do not allow this process to subscribe to that subject."""


class ConsumerLostError(BrokerError):
    """A reader of the log lost its place; it is to be opened anew at the checkpoint."""


class LogMismatchError(BrokerError):
    """The log no longer holds what the Cache was built from; going on would skip events."""


class CacheError(ByronError):
    """A use of the Cache that this process's role does not allow."""


class CacheReadError(CacheError):
    """The Sink tried to serve a read from the Cache."""


class CacheWriteError(CacheError):
    """The API tried to write the Cache."""


class LaneLostError(CacheError):
    """Another Sink process applies this lane now; nothing of the batch at hand was stored."""


class AuthenticationError(ByronError):
    """A token that cannot be accepted; the text says why, which is for the log alone."""


class KeysUnavailableError(ByronError):
    """The keys that tokens are checked with cannot be had, so nobody can say who is asking."""


class CommandError(ByronError):
    """Refuse a command; the client gets the message and `extensions.code`.

    `raise CommandError("Student 7 is on leave.", code="CONFLICT")`. The code is an
    upper-case word of the component's own choice, digits and underscores included; raises ValueError for any
    other: clients compare it, and it is in the access log. Nothing is published.
    """

    def __init__(self, message: str, *, code: str = "BAD_REQUEST") -> None:
        super().__init__(message)
        if not _CODE.fullmatch(code):
            raise ValueError(f"{code!r} is no code of a CommandError: write an upper-case word such as NOT_FOUND.")
        self.message = message
        self.code = code


class ContractError(ByronError):
    """A command or handler file that does not fit its declaration in schema.yaml."""
