"""The broker that carries a namespace's events: NATS JetStream."""

from __future__ import annotations

import asyncio
import math
import os
import re
import threading
import weakref
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from byron.broker.access import PLAIN, Access
from byron.broker.base import Acknowledgement, Broker, Claim, Expected, LogInfo
from byron.broker.nats import api
from byron.broker.nats.api import call_api, find, stored_message, stream_config
from byron.broker.nats.claims import NatsClaims
from byron.broker.nats.consumer import NatsConsumer
from byron.broker.nats.durable import consumer_config, prepare
from byron.broker.nats.link import Link
from byron.broker.nats.publisher import Publisher
from byron.broker.nats.reading import is_restricted, read_at, search
from byron.broker.nats.session import Session, public_addresses
from byron.broker.nats.signals import NatsListener, send_signal
from byron.broker.patience import patience
from byron.events.codec import message_id
from byron.events.event import Message, StoredMessage
from byron.events.subjects import (
    SLOTS,
    claims_stream,
    event_filters,
    event_subject,
    key_filter,
    namespace_filter,
    search_reader,
    signal_subject,
    stream_name,
)
from byron.exceptions import BrokerError, BrokerUnavailableError, LogMismatchError

T = TypeVar("T")

_CONSUMER_NAME = re.compile(r"[A-Za-z0-9_-]+")

_NO_LOG = "There is no event log for namespace {!r}; ensure_log() creates it."


class NatsBroker(Broker):
    """A namespace's event log in JetStream.

    The connection is made at first use and found again after every loss, on a thread of its own. A
    forked process starts anew with its own. `url` may list several servers, separated by commas.
    """

    supports_persistence = True

    def __init__(
        self,
        namespace: str,
        url: str,
        *,
        replicas: int = 1,
        name: str = "byron",
        connect_timeout: float = 2.0,
        access: Access = PLAIN,
    ) -> None:
        """Remember where the broker is. Raises BrokerError for an unusable URL."""
        super().__init__(namespace)
        try:
            self.address = public_addresses(url.split(","))
        except ValueError as error:
            raise BrokerError(f"The broker's address is not a URL: {error}.") from error
        self._url = url
        self._replicas = replicas
        self._name = name
        self._connect_timeout = connect_timeout
        self._access = access
        self._stream = stream_name(namespace)
        self._closed = False
        self._start_anew()
        _brokers.add(self)

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        self._link: Link | None = None
        self._publisher: Publisher | None = None

    def _connection(self) -> tuple[Link, Publisher]:
        with self._lock:
            if self._closed:
                raise BrokerUnavailableError("The broker object is closed.")
            if self._link is None or self._publisher is None:
                self._link = Link(
                    self._url, name=self._name, connect_timeout=self._connect_timeout, access=self._access
                )
                self._publisher = Publisher(self._link, self.namespace, self._stream)
            return self._link, self._publisher

    def _call(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: object) -> T:
        """Ask the broker something, for as long as the caller has patience."""
        link, _ = self._connection()
        return link.call(_within(patience(), function, *arguments))

    async def _session(self) -> Session:
        return await self._connection()[0].session()

    def ensure_log(self) -> LogInfo:
        return self._call(self._ensure_log)

    async def _ensure_log(self) -> LogInfo:
        session = await self._session()
        stream = await find(session, f"STREAM.INFO.{self._stream}")
        if stream is None:
            config = stream_config(self._stream, [namespace_filter(self.namespace)], self._replicas)
            try:
                stream = await call_api(session, f"STREAM.CREATE.{self._stream}", config)
            except api.JetStreamError as error:
                if error.error_code != api.STREAM_NAME_IN_USE:
                    raise
                # Another process created it in between, with other options.
                stream = await call_api(session, f"STREAM.INFO.{self._stream}")
        subjects = stream["config"].get("subjects", [])
        if subjects != [namespace_filter(self.namespace)]:
            raise BrokerError(
                f"Stream {self._stream!r} exists with the subjects {', '.join(subjects)}, but Byron's event log has "
                f"{namespace_filter(self.namespace)}. Choose another namespace or move that stream away."
            )
        return api.log_info(stream)

    def log_info(self) -> LogInfo:
        return self._call(self._log_info)

    async def _log_info(self) -> LogInfo:
        stream = await find(await self._session(), f"STREAM.INFO.{self._stream}")
        if stream is None:
            raise LogMismatchError(_NO_LOG.format(self.namespace))
        return api.log_info(stream)

    def publish(
        self,
        messages: Sequence[Message],
        timeout: float,
        *,
        only_whole: bool = False,
        expected: Expected | None = None,
    ) -> list[Acknowledgement]:
        link, publisher = self._connection()
        return link.call(publisher.publish(messages, timeout, only_whole=only_whole, expected=expected))

    def last_of(self, key: str) -> int:
        return self._call(self._last_of, key)

    async def _last_of(self, key: str) -> int:
        found = await self._stored(await self._session(), {"last_by_subj": key_filter(self.namespace, key)})
        return found["seq"] if found is not None else 0

    def first_of(self, key: str, events: Collection[str], after: int) -> tuple[int, str] | None:
        return self._call(self._first_of, key, events, after)

    async def _first_of(self, key: str, events: Collection[str], after: int) -> tuple[int, str] | None:
        session = await self._session()

        async def first(event: str) -> tuple[int, str] | None:
            question = {"seq": after + 1, "next_by_subj": event_subject(self.namespace, event, key)}
            message = await self._stored(session, question)
            return (message["seq"], event) if message is not None else None

        found = await asyncio.gather(*(first(event) for event in events))
        return min((each for each in found if each is not None), default=None)

    def claim(
        self, name: str, holder: str, seconds: float, timeout: float, *, over: Claim | None = None, note: str = ""
    ) -> Claim:
        link, claims = self._claims()
        return link.call(claims.claim(name, holder, seconds, timeout, over, note))

    def claim_age(self, claim: Claim) -> float:
        return self._call(self._claims()[1].age, claim)

    def note(self, claim: Claim, text: str) -> None:
        link, claims = self._claims()
        link.start(claims.note(claim, text))

    def release(self, claim: Claim, timeout: float) -> None:
        link, claims = self._claims()
        link.call(self._release(link, claims, claim, timeout))

    async def _release(self, link: Link, claims: NatsClaims, claim: Claim, timeout: float) -> None:
        await asyncio.wait([link.spawn(claims.release(claim))], timeout=timeout)

    def _claims(self) -> tuple[Link, NatsClaims]:
        link, _ = self._connection()
        return link, NatsClaims(link, self.namespace, self._replicas)

    def backlog_age(self, events: Sequence[str], after: int, *, slots: Sequence[int] = range(SLOTS)) -> float:
        return self._call(self._backlog_age, event_filters(self.namespace, events, slots), after)

    async def _backlog_age(self, filters: Sequence[str], after: int) -> float:
        session = await self._session()
        found = await asyncio.gather(*(self._logged_after(session, each, after) for each in filters))
        times = [each for each in found if each is not None]
        if not times:
            return 0.0
        # Asked for after the messages, so that what is on the way in between makes it no younger.
        asked = await call_api(session, f"STREAM.INFO.{self._stream}")
        return max(0.0, (datetime.fromisoformat(asked["ts"]) - min(times)).total_seconds())

    async def _logged_after(self, session: Session, subject: str, after: int) -> datetime | None:
        found = await self._stored(session, {"seq": after + 1, "next_by_subj": subject})
        return datetime.fromisoformat(found["time"]) if found is not None else None

    async def _stored(self, session: Session, question: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a message of the log as the server has it, or None when there is no such one."""
        # Not by a direct get: a replica may answer that one, which may not have the newest messages yet.
        try:
            answer = await call_api(session, f"STREAM.MSG.GET.{self._stream}", question)
        except api.JetStreamError as error:
            if error.error_code == api.MESSAGE_NOT_FOUND:
                return None
            if error.error_code == api.STREAM_NOT_FOUND:
                raise LogMismatchError(_NO_LOG.format(self.namespace)) from error
            raise
        found: dict[str, Any] = answer["message"]
        return found

    def get(self, position: int, *, reader: str = "") -> StoredMessage | None:
        return self._call(self._get, position, reader) if position > 0 else None

    async def _get(self, position: int, reader: str) -> StoredMessage | None:
        session = await self._session()
        if reader and await is_restricted(session, self._stream, reader):
            found = await read_at(session, self._stream, reader, position)
            if found is not None:
                return found
        stored = await self._stored(session, {"seq": position})
        return stored_message(stored) if stored is not None else None

    def find(self, subject: str, event_id: str, after: int) -> int | None:
        return self._call(self._find, subject, event_id, after)

    async def _find(self, subject: str, event_id: str, after: int) -> int | None:
        session = await self._session()
        while True:
            found = await self._stored(session, {"seq": after + 1, "next_by_subj": subject})
            stored = stored_message(found) if found is not None else None
            if stored is None or message_id(stored) == event_id:
                return stored.position if stored is not None else None
            after = stored.position

    def find_all(
        self, subject: str, ids: Collection[str], after: int, *, reader: str, until: float = math.inf
    ) -> set[str]:
        return self._call(self._find_all, subject, frozenset(ids), after, reader, until)

    async def _find_all(self, subject: str, ids: frozenset[str], after: int, reader: str, until: float) -> set[str]:
        session = await self._session()
        found: set[str] = set()
        if not await is_restricted(session, self._stream, reader):
            # Mostly there is nothing or one message, which a single question tells.
            first = await self._stored(session, {"seq": after + 1, "next_by_subj": subject})
            if first is None:
                return found
            stored = stored_message(first)
            if stored.logged >= until:
                return found
            after, found = stored.position, {message_id(stored)} & ids
        if found == ids:
            return found
        return found | await search(session, self._stream, search_reader(reader), subject, ids - found, after, until)

    def consumer(
        self,
        name: str,
        events: Sequence[str],
        after: int,
        *,
        slots: Sequence[int] = range(SLOTS),
        durable: bool = True,
    ) -> NatsConsumer:
        if not _CONSUMER_NAME.fullmatch(name):
            raise BrokerError(f"{name!r} cannot name a consumer: only letters, digits, '_' and '-' can.")
        if not events:
            raise BrokerError(f"Consumer {name!r} needs the name of at least one event.")
        filters = event_filters(self.namespace, events, slots)
        config = consumer_config(name, filters, after, durable=durable)
        consumer = NatsConsumer(self._connection()[0], self._stream, config)
        self._call(consumer.start)
        return consumer

    def prepare(self, readers: Mapping[str, Sequence[str]], slots: Mapping[str, Sequence[int]]) -> list[str]:
        """Make what processes need that may not make it: the log, the claims' bucket, and consumers by their names.

        `readers` are the events that each consumer is to read, `slots` those of which it reads not all. Returns what
        was made or changed. For administrators; raises BrokerError.
        """
        return self._call(self._prepare, readers, slots)

    async def _prepare(self, readers: Mapping[str, Sequence[str]], slots: Mapping[str, Sequence[int]]) -> list[str]:
        session = await self._session()
        done = []
        if await find(session, f"STREAM.INFO.{self._stream}") is None:
            done.append(f"stream {self._stream}")
        await self._ensure_log()
        if await self._claims()[1].prepare(session):
            done.append(f"stream {claims_stream(self.namespace)}")
        for name, events in readers.items():
            filters = event_filters(self.namespace, events, slots.get(name, range(SLOTS)))
            if await prepare(session, self._stream, name, filters):
                done.append(f"consumer {name}")
        return done

    def signal(self, topic: str) -> None:
        send_signal(self._connection()[0], signal_subject(self.namespace, topic))

    def listen(self, topic: str, heard: Callable[[], None]) -> NatsListener:
        return NatsListener(self._connection()[0], signal_subject(self.namespace, topic), heard)

    def is_connected(self) -> bool:
        link = self._link
        return link is not None and link.is_connected

    def close(self) -> None:
        with self._lock:
            self._closed = True
            link, self._link = self._link, None
        if link is not None:
            link.close()


async def _within(seconds: float | None, function: Callable[..., Coroutine[Any, Any, T]], *arguments: object) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await function(*arguments)
    except TimeoutError as error:
        raise BrokerUnavailableError("The broker did not answer in time.") from error


_brokers: weakref.WeakSet[NatsBroker] = weakref.WeakSet()

#: What a forked process inherited. Its sockets are the parent's, so nothing of it may be finalized here.
_inherited: list[Any] = []


def _start_anew_in_fork() -> None:
    for broker in list(_brokers):
        _inherited.append((broker._link, broker._publisher))
        broker._start_anew()


os.register_at_fork(after_in_child=_start_anew_in_fork)
