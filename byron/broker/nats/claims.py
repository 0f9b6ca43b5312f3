"""Claims on names in JetStream: one small message each, in a bucket beside the log.

The bucket is a key-value bucket as other tools know them, so that `nats kv` shows what is claimed. It is kept on
disk: a claim must outlive a restart of the broker, since the Cache may not know yet what it stands for.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import math
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from byron.broker.base import Claim
from byron.broker.nats.api import (
    API_TIMEOUT,
    MESSAGE_NOT_FOUND,
    STREAM_NAME_IN_USE,
    STREAM_NOT_FOUND,
    WRONG_LAST_SEQUENCE,
    JetStreamError,
    NoResponderError,
    bucket_config,
    call_api,
    find,
    parse_answer,
)
from byron.broker.nats.link import Link
from byron.broker.nats.publisher import TRIES
from byron.broker.nats.session import Request, Session, UnansweredError
from byron.events.subjects import claim_subject, claims_stream
from byron.exceptions import BrokerError, BrokerUnavailableError

log = logging.getLogger("byron.broker")

#: Seconds before the next try when the server refused for a reason that passes, or is away.
_PAUSE = 0.25

#: Seconds between looks for a claim that a message without an answer may have made: the broker may have it still.
_LATE = (0.1, 0.4, 1.0, 2.0)

#: Seconds until a bucket that was just made takes messages.
_MOMENT = 0.01


class NatsClaims:
    """One namespace's claims, over one link. Lives on the link's event loop."""

    def __init__(self, link: Link, namespace: str, replicas: int) -> None:
        self._link = link
        self._namespace = namespace
        self._stream = claims_stream(namespace)
        self._replicas = replicas

    async def claim(
        self, name: str, holder: str, seconds: float, timeout: float, over: Claim | None, note: str
    ) -> Claim:
        """Claim a name as `Broker.claim` says."""
        # By this a claim that a try without an answer has made is known again.
        token = uuid4().hex
        session: Session | None = None
        try:
            async with asyncio.timeout(timeout):
                session = await self._link.session()
                return await self._claim(session, name, holder, token, seconds, timeout / TRIES, over, note)
        except (TimeoutError, BrokerUnavailableError) as error:
            if session is not None:
                # Whoever tries again must not meet what this one may have left.
                self._link.spawn(self._undo(name, token, seconds))
            if isinstance(error, BrokerUnavailableError):
                raise
            raise BrokerUnavailableError("The broker did not confirm the claim in time.") from error

    async def _undo(self, name: str, token: str, seconds: float) -> None:
        """Free a claim, if this call made it, as soon as the broker is back; a late message may still make it then."""
        clock = self._link.loop.time
        deadline = clock() + seconds
        looks = len(_LATE)
        while looks and clock() < deadline:
            try:
                session = await self._link.session_within(deadline - clock())
                standing, stands_by = await self._standing(session, name)
            except BrokerError as error:
                if not isinstance(error, BrokerUnavailableError):
                    return
                await asyncio.sleep(_PAUSE)
                continue
            if standing is not None and stands_by == token:
                await self.release(replace(standing, seconds=seconds))
                return
            await asyncio.sleep(_LATE[-looks])
            looks -= 1

    async def _claim(
        self,
        session: Session,
        name: str,
        holder: str,
        token: str,
        seconds: float,
        patience: float,
        over: Claim | None,
        note: str,
    ) -> Claim:
        body = _body(holder, token, note)
        expected = over.number if over is not None else 0
        while True:
            try:
                number = await self._put(session, name, body, expected, seconds, patience)
                return Claim(name=name, holder=holder, number=number, note=note, seconds=seconds)
            except (UnansweredError, BrokerUnavailableError):
                session = await self._link.session_within(patience)
                continue
            except NoResponderError:
                await self._ensure(session)
                await asyncio.sleep(_MOMENT)
                continue
            except JetStreamError as error:
                if error.passes:
                    await asyncio.sleep(_PAUSE)
                    continue
                if error.error_code != WRONG_LAST_SEQUENCE:
                    raise
            standing, stands_by = await self._standing(session, name)
            if standing is not None and stands_by == token:
                return replace(standing, seconds=seconds)
            if standing is not None and standing.number != expected:
                return standing
            # What was in the way is gone meanwhile.
            expected = standing.number if standing is not None else 0

    async def age(self, claim: Claim) -> float:
        """Return for how long a claim has stood, as `Broker.claim_age` says."""
        session = await self._link.session()
        try:
            found = await call_api(session, f"STREAM.MSG.GET.{self._stream}", {"seq": claim.number})
            # Asked for after the claim, so that what is on the way in between makes it no younger.
            asked = await call_api(session, f"STREAM.INFO.{self._stream}")
        except JetStreamError as error:
            if error.error_code in (MESSAGE_NOT_FOUND, STREAM_NOT_FOUND):
                return 0.0
            raise
        stored = datetime.fromisoformat(found["message"]["time"])
        return max(0.0, (datetime.fromisoformat(asked["ts"]) - stored).total_seconds())

    async def note(self, claim: Claim, text: str) -> None:
        """Leave a note with a claim that still stands; what goes wrong is no matter."""
        try:
            session = await self._link.session()
            body = _body(claim.holder, uuid4().hex, text)
            await self._put(session, claim.name, body, claim.number, claim.seconds, API_TIMEOUT)
        except BrokerError as error:
            log.debug("claim without a note error=%r", str(error))

    async def release(self, claim: Claim) -> None:
        """Free exactly this claim, trying for as long as it may stand."""
        clock = self._link.loop.time
        deadline = clock() + claim.seconds
        while clock() < deadline:
            try:
                session = await self._link.session_within(deadline - clock())
                await call_api(session, f"STREAM.MSG.DELETE.{self._stream}", {"seq": claim.number, "no_erase": True})
                return
            except BrokerUnavailableError:
                await asyncio.sleep(_PAUSE)
            except JetStreamError as error:
                if not error.passes:
                    # It is gone already, or another stands in its place.
                    return
                await asyncio.sleep(_PAUSE)
            except BrokerError as error:
                log.warning("claim not released error=%r", str(error))
                return

    async def _put(
        self, session: Session, name: str, body: bytes, expected: int, seconds: float, timeout: float
    ) -> int:
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(expected),
            "Nats-TTL": f"{max(1, math.ceil(seconds))}s",
        }
        request = Request(subject=claim_subject(self._namespace, name), body=body, headers=headers)
        answer = await session.exchange([request], timeout)
        return int(parse_answer(answer.data, answer.headers)["seq"])

    async def _standing(self, session: Session, name: str) -> tuple[Claim | None, str]:
        """Return the claim that stands and by which call. Asked of the leader: a replica may be behind."""
        try:
            found = await call_api(
                session, f"STREAM.MSG.GET.{self._stream}", {"last_by_subj": claim_subject(self._namespace, name)}
            )
        except JetStreamError as error:
            if error.error_code == MESSAGE_NOT_FOUND:
                return None, ""
            raise
        message: dict[str, Any] = found["message"]
        said = json.loads(base64.b64decode(message["data"]))
        claim = Claim(name=name, holder=said["holder"], number=message["seq"], note=said["note"])
        return claim, said["token"]

    async def prepare(self, session: Session) -> bool:
        """Make the bucket; return whether it was missing. For those who claim and may not make it."""
        if await find(session, f"STREAM.INFO.{self._stream}") is not None:
            return False
        await self._ensure(session)
        return True

    async def _ensure(self, session: Session) -> None:
        config = bucket_config(self._stream, [claim_subject(self._namespace, ">")], self._replicas)
        try:
            await call_api(session, f"STREAM.CREATE.{self._stream}", config)
        except JetStreamError as error:
            if error.error_code != STREAM_NAME_IN_USE:
                raise


def _body(holder: str, token: str, note: str = "") -> bytes:
    return json.dumps({"holder": holder, "token": token, "note": note}).encode()
