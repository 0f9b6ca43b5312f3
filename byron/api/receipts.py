"""Receipts over HTTP: given after a mutation, and waited for before what comes next.

`Byron-Receipt` and `extensions.byron.receipt` give one; `Byron-After` sends it back, to any component of the
system; `Byron-Consistency: strict` would rather have an error than an answer from a Cache that is behind.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import time
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import Error
from django.http import HttpRequest, HttpResponse
from graphql import GraphQLError

from byron.api.access import Refusal
from byron.api.masking import CACHE_MESSAGE, CACHE_UNAVAILABLE
from byron.broker.base import Broker
from byron.broker.connection import broker_for
from byron.cache.applied import AppliedWatch, Standing, standing_of
from byron.cache.trouble import is_unavailable, remedy_for
from byron.commands.bulkhead import WAITS
from byron.conf import byron_settings
from byron.events.event import Event
from byron.events.receipt import Receipt
from byron.exceptions import BrokerError, ReceiptError
from byron.schema.installed import ComponentConfig

log = logging.getLogger("byron.api")

RECEIPT_HEADER, AFTER_HEADER, CONSISTENCY_HEADER = "Byron-Receipt", "Byron-After", "Byron-Consistency"

#: Seconds that a browser waits for what it was told of: longer than a Sink is behind when all is well.
_COOKIE_AGE = 60

_MESSAGES = {
    Standing.PENDING: "This component has not applied what the receipt is about yet.",
    Standing.PARKED: "This component could not apply what the receipt is about; it is set aside.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waited:
    """What a request's receipts came to: what the answer says of it, or why there is none."""

    extensions: Mapping[str, Any] = field(default_factory=dict)
    refusal: Refusal | None = None


class Receipts:
    """One component's dealings with receipts."""

    def __init__(self, config: ComponentConfig) -> None:
        self._config = config
        self._namespace = config.component.namespace
        self._watch = AppliedWatch(config.alias, config.consumer_name)

    def wait(self, request: HttpRequest) -> Waited:
        """Wait until the Cache has applied what the request's receipts are about, for some time."""
        try:
            receipts = _receipts(request)
        except ReceiptError as error:
            log.info("refused a receipt: %s", error)
            told = str(error) if settings.DEBUG else f"{AFTER_HEADER} has no receipt of this system."
            return Waited(refusal=_refusal(told, "BAD_RECEIPT", 400))
        consistency = request.headers.get(CONSISTENCY_HEADER, "eventual").lower()
        if consistency not in ("eventual", "strict"):
            return Waited(refusal=_refusal(f"{CONSISTENCY_HEADER} is strict or eventual.", "BAD_REQUEST", 400))
        handled = self._config.component.handlers
        positions = {
            each.position: each.slot
            for receipt in receipts
            if receipt.namespace.lower() == self._namespace.lower()
            for each in receipt.events
            if each.concerns(handled)
        }
        if not positions:
            return Waited()
        try:
            standing = self._standing(positions)
        except Error as error:
            if not is_unavailable(error, self._config.alias):
                raise
            remedy = remedy_for(self._config.alias)
            log.warning("component=%s error=%r%s", self._config.label, str(error), remedy)
            return Waited(refusal=_refusal(CACHE_MESSAGE, CACHE_UNAVAILABLE, 503))
        if standing is Standing.APPLIED:
            return Waited()
        if consistency == "strict":
            code = "NOT_APPLIED_YET" if standing is Standing.PENDING else "EVENT_PARKED"
            return Waited(refusal=_refusal(_MESSAGES[standing], code, 503))
        return Waited(extensions={"stale": True, "reason": standing.value})

    def _standing(self, positions: Mapping[int, int]) -> Standing:
        standing = standing_of(self._config.alias, self._config.consumer_name, positions)
        if standing is not Standing.PENDING:
            return standing
        with WAITS.place() as admitted:
            if not admitted:
                return standing
            return self._watch.wait(self._broker(), positions, byron_settings().receipt_timeout)

    def issue(self, events: Sequence[Event]) -> Receipt | None:
        """Return the receipt for what a request has emitted; None when that is nothing."""
        return Receipt.of(self._namespace, events) if events else None

    def _broker(self) -> Broker | None:
        try:
            return broker_for(self._namespace)
        except (BrokerError, ImproperlyConfigured):
            # Without signals the Cache is asked now and then.
            return None


def sealed(receipt: Receipt) -> str:
    """Return the text of a receipt as clients of this system get it."""
    return receipt.sealed(byron_settings().receipt_secret)


def give(receipt: Receipt, request: HttpRequest, response: HttpResponse) -> None:
    """Put a receipt into a response's headers, and where it is wanted into the browser's cookie."""
    own = byron_settings()
    response[RECEIPT_HEADER] = sealed(receipt)
    if own.receipt_cookie:
        earlier, kept = _from_cookie(request), receipt.told(time())
        if earlier is not None and earlier.namespace == kept.namespace:
            kept = earlier.joined(kept)
        response.set_cookie(
            own.receipt_cookie,
            sealed(kept),
            max_age=_COOKIE_AGE,
            secure=request.is_secure(),
            httponly=True,
            samesite="Lax",
        )


def _receipts(request: HttpRequest) -> list[Receipt]:
    """Return the receipts that a request has: several are separated by commas. Raises ReceiptError."""
    secret = byron_settings().receipt_secret
    texts = [text.strip() for text in request.headers.get(AFTER_HEADER, "").split(",")]
    found = [Receipt.opened(text, secret) for text in texts if text]
    kept = _from_cookie(request)
    return found or ([kept] if kept is not None else [])


def _from_cookie(request: HttpRequest) -> Receipt | None:
    """Return what a browser was told of within the last minute.

    Not less of it once this component has applied that: the cookie goes to others as well.
    """
    own = byron_settings()
    text = request.COOKIES.get(own.receipt_cookie, "") if own.receipt_cookie else ""
    try:
        # A mutation renews the cookie, so the browser cannot tell how old its parts are.
        return Receipt.opened(text, own.receipt_secret).since(time() - _COOKIE_AGE) if text else None
    except ReceiptError:
        # Of an earlier key or version: the client cannot help it.
        return None


def _refusal(message: str, code: str, status: int) -> Refusal:
    headers = {"Retry-After": "1"} if status == 503 else {}
    return Refusal(status=status, errors=(GraphQLError(message, extensions={"code": code}),), headers=headers)
