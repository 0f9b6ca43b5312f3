"""Publishing to JetStream: one message as such, several as an atomic batch, none twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import uuid4

from byron.broker.base import Acknowledgement, Expected, first_about
from byron.broker.nats.api import (
    BATCH_HAS_DUPLICATE,
    WRONG_LAST_MESSAGE_ID,
    WRONG_LAST_SEQUENCE,
    JetStreamError,
    NoResponderError,
    find,
    parse_answer,
)
from byron.broker.nats.link import Link
from byron.broker.nats.session import Request, Session, UnansweredError
from byron.events.event import Message
from byron.events.subjects import key_filter
from byron.exceptions import (
    BrokerError,
    BrokerUnavailableError,
    OutcomeUnknownError,
    PartlyKnownError,
    PublishDeniedError,
    PublishRefusedError,
    StaleVersionError,
)

#: How often a publish is sent at most, always with the same message ids.
TRIES = 3

#: Messages in one atomic batch: the server's limit.
LARGEST_BATCH = 1000

#: Batches on their way at a time. The server takes 50 per stream from all its clients and refuses more.
_CONCURRENT_BATCHES = 8

#: Seconds before the next try when the server refused for a reason that passes.
_PAUSE = 0.25

#: No message has this id, so a message that expects it to be the last one is never stored.
_NEVER_AN_ID = "byron-asks-only"


class Publisher:
    """Publishes to one namespace's stream over one link. Lives on the link's event loop."""

    def __init__(self, link: Link, namespace: str, stream: str) -> None:
        self._link = link
        self._namespace = namespace
        self._stream = stream
        self._batches = asyncio.Semaphore(_CONCURRENT_BATCHES)

    async def publish(
        self,
        messages: Sequence[Message],
        timeout: float,
        *,
        only_whole: bool = False,
        expected: Expected | None = None,
    ) -> list[Acknowledgement]:
        """Publish as `Broker.publish` says.

        The time is divided among the tries. A first try without a connection fails at once: nothing
        was sent. After a try without an answer nothing short of one tells what happened, so the
        following tries also wait for the connection to come back.
        """
        unique = list({message.id: message for message in messages}.values())
        if not unique:
            return []
        if len(unique) > LARGEST_BATCH:
            raise PublishRefusedError(f"{len(unique)} messages do not fit into one batch; at most {LARGEST_BATCH} do.")
        if expected is not None:
            unique = self._conditional(unique, expected)
        clock = asyncio.get_running_loop().time
        start = clock()
        unanswered = False
        problem: BrokerError | None = None
        for attempt in range(1, TRIES + 1):
            deadline = start + timeout * attempt / TRIES
            try:
                session = await self._session(deadline - clock() if unanswered else 0, start + timeout - clock())
                stored = await self._store(session, unique, max(deadline - clock(), 0.001), only_whole)
                return _in_order(messages, stored)
            except UnansweredError as error:
                unanswered, problem = True, error
            except BrokerUnavailableError as error:
                problem = error
                if not unanswered:
                    raise
            except PublishDeniedError as error:
                problem = error
                break
            except NoResponderError as error:
                problem = error
                if not unanswered:
                    await self._require_log(session, unique[0].subject, start + timeout)
            except JetStreamError as error:
                problem = error
                if not error.passes:
                    break
            if isinstance(problem, JetStreamError | NoResponderError):
                await asyncio.sleep(max(0.0, min(_PAUSE, deadline - clock())))
        raise self._verdict(unanswered, problem) from problem

    def _conditional(self, messages: Sequence[Message], expected: Expected) -> list[Message]:
        """Have the first message about a key be stored only if what is expected of the key is so."""
        compared = first_about(messages, expected.key)
        condition = {
            "Nats-Expected-Last-Subject-Sequence": str(expected.position),
            "Nats-Expected-Last-Subject-Sequence-Subject": key_filter(self._namespace, expected.key),
        }
        conditional = replace(compared, headers={**compared.headers, **condition})
        return [conditional if message is compared else message for message in messages]

    def _verdict(self, unanswered: bool, problem: BrokerError | None) -> BrokerError:
        if isinstance(problem, JetStreamError) and problem.error_code == WRONG_LAST_SEQUENCE:
            # A key's last position only grows: what was refused for it will be refused whenever it arrives.
            return StaleVersionError(f"Nothing was stored, since what was expected is not so: {problem}")
        if unanswered:
            return OutcomeUnknownError(f"The log may or may not hold what was published: {problem}")
        if isinstance(problem, PublishDeniedError):
            return problem
        if isinstance(problem, JetStreamError) and not problem.passes:
            return PublishRefusedError(f"The broker refused the publish: {problem}")
        return BrokerUnavailableError(f"The broker did not take the publish, {TRIES} times: {problem}")

    async def _require_log(self, session: Session, subject: str, deadline: float) -> None:
        """Raise PublishRefusedError when it is for want of a stream that nobody answered a publish."""
        try:
            async with asyncio.timeout_at(deadline):
                if await find(session, f"STREAM.INFO.{self._stream}") is not None:
                    return
        except PublishDeniedError:
            # This process may not look, so what it sees must do.
            pass
        except (BrokerUnavailableError, TimeoutError):
            return
        raise PublishRefusedError(
            f"There is no event log for namespace {self._namespace!r}: no stream takes {subject!r}. "
            "Call ensure_log() before publishing."
        )

    async def _session(self, patience: float, remaining: float) -> Session:
        if patience > 0:
            return await self._link.session_within(patience)
        try:
            async with asyncio.timeout(remaining):
                return await self._link.session()
        except TimeoutError as error:
            raise BrokerUnavailableError("The broker cannot be reached in time.") from error

    async def _store(
        self, session: Session, messages: Sequence[Message], timeout: float, only_whole: bool
    ) -> dict[str, Acknowledgement]:
        if len(messages) > 1:
            async with self._batches:
                return await self._store_batch(session, messages, timeout, only_whole)
        [message] = messages
        try:
            return {message.id: await self._send(session, [_request(message, {})], timeout)}
        except JetStreamError as error:
            if error.error_code != WRONG_LAST_SEQUENCE:
                raise
            # The server compares before it looks for duplicates: what it met may be an earlier try of this message.
            held = await self._ask(session, message, timeout)
            if held is None:
                raise
            return {message.id: held}

    async def _store_batch(
        self, session: Session, messages: Sequence[Message], timeout: float, only_whole: bool
    ) -> dict[str, Acknowledgement]:
        batch = uuid4().hex
        requests = [
            _request(message, {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)})
            for number, message in enumerate(messages, 1)
        ]
        requests[-1] = _request(
            messages[-1],
            {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(len(messages)), "Nats-Batch-Commit": "1"},
        )
        try:
            last = await self._send(session, requests, timeout)
        except JetStreamError as error:
            if error.error_code not in (BATCH_HAS_DUPLICATE, WRONG_LAST_SEQUENCE):
                raise
            return await self._store_rest(session, messages, timeout, error, only_whole)
        first = last.position - len(messages) + 1
        return {message.id: Acknowledgement(position=first + index) for index, message in enumerate(messages)}

    async def _store_rest(
        self,
        session: Session,
        messages: Sequence[Message],
        timeout: float,
        refusal: JetStreamError,
        only_whole: bool,
    ) -> dict[str, Acknowledgement]:
        """Find out which messages of a refused batch the log holds, and store the others.

        Server 2.15 stores nothing of a batch when the log got any of its message ids within the
        duplicate window (error 10201), the ids of an earlier try of the same batch included. It does
        not say which id it was, nor where its message is. Of a batch it looks for duplicates first, and compares
        what is expected then.
        """
        found = await asyncio.gather(*(self._ask(session, message, timeout) for message in messages))
        held = {message.id: held for message, held in zip(messages, found, strict=True) if held is not None}
        rest = [message for message in messages if message.id not in held]
        if not held:
            raise refusal
        if rest and only_whole:
            # An earlier try of this batch would have stored all of it.
            raise PartlyKnownError(f"The log has {len(held)} of {len(messages)} messages from someone else.")
        if len(rest) == 1:
            held[rest[0].id] = await self._send(session, [_request(rest[0], {})], timeout)
        elif rest:
            held.update(await self._store_batch(session, rest, timeout, only_whole))
        return held

    async def _ask(self, session: Session, message: Message, timeout: float) -> Acknowledgement | None:
        """Ask for the position of a message by its id, within the duplicate window.

        The server looks for duplicates before it compares the last message's id, so a known id is
        acknowledged as a duplicate, and an unknown one refused.
        """
        headers = {"Nats-Msg-Id": message.id, "Nats-Expected-Last-Msg-Id": _NEVER_AN_ID}
        try:
            return await self._send(session, [Request(subject=message.subject, headers=headers)], timeout)
        except JetStreamError as error:
            if error.error_code == WRONG_LAST_MESSAGE_ID:
                return None
            raise

    async def _send(self, session: Session, requests: Sequence[Request], timeout: float) -> Acknowledgement:
        answer = await session.exchange(requests, timeout)
        acknowledged = parse_answer(answer.data, answer.headers)
        if acknowledged.get("stream") != self._stream:
            raise BrokerError(
                f"{requests[0].subject!r} went to stream {acknowledged.get('stream')!r}, not to {self._stream!r}: "
                "another stream takes this namespace's subjects."
            )
        return Acknowledgement(position=acknowledged["seq"], duplicate=acknowledged.get("duplicate", False))


def _request(message: Message, headers: dict[str, str]) -> Request:
    return Request(
        subject=message.subject, body=message.body, headers={**message.headers, "Nats-Msg-Id": message.id, **headers}
    )


def _in_order(messages: Sequence[Message], stored: dict[str, Acknowledgement]) -> list[Acknowledgement]:
    seen: set[str] = set()
    acknowledgements = []
    for message in messages:
        held = stored[message.id]
        repeated = Acknowledgement(position=held.position, duplicate=True)
        acknowledgements.append(repeated if message.id in seen else held)
        seen.add(message.id)
    return acknowledgements
