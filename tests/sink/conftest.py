"""A component's lanes at work on a log in memory, one step at a time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps

from byron.broker.base import Broker
from byron.broker.memory import MemoryBroker
from byron.cache.roles import Role, acting_as
from byron.commands.functions import HANDLERS, load_function
from byron.events.codec import encode, encode_payload
from byron.events.event import Event, Message
from byron.events.subjects import SLOTS, slot_of
from byron.models import Checkpoint, OutboxMessage, ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.schema.names import snake_case
from byron.sink.lane import LaneWorker, Progress
from byron.sink.lanes import Lane
from byron.sink.membership import Membership
from byron.sink.parking import Problem
from byron.testing.component import ComponentUnderTest

Handler = Callable[[Any, Event], object]


class KilledError(KeyboardInterrupt):
    """The end of the process in the middle of a handler: nothing catches it, nothing is let go of in order."""


class Workbench:
    """The log, the Cache, and Sink processes that do one thing at a time."""

    alias = "library"

    def __init__(self, config: ComponentConfig, broker: MemoryBroker) -> None:
        self.config, self.broker = config, broker
        self.consumer = config.consumer_name
        broker.ensure_log()

    # The log.

    def publish(self, name: str, payload: Mapping[str, Any], *, key: str | None = None, **origin: Any) -> int:
        """Publish an event, about its payload's id unless a key is given, and return its position."""
        key = str(payload["id"]) if key is None else key
        event = Event(name=name, key=key, payload=payload, namespace="Perses", source="Test", **origin)
        return self.send(encode(event, encode_payload(payload)))

    def author(self, identity: str, *, key: str | None = None) -> int:
        """Publish `new.author`."""
        return self.publish("new.author", {"id": identity, "full_name": f"Author {identity}"}, key=key)

    def publish_raw(self, name: str, body: bytes, *, key: str, subject: str = "", **headers: str | None) -> int:
        """Publish a message as another program might: any body, headers changed or left out (None)."""
        event = Event(name=name, key=key, payload={}, namespace="Perses", source="Test")
        made = encode(event, body)
        changed = {**made.headers, **{header.replace("_", "-"): value for header, value in headers.items()}}
        kept = {header: value for header, value in changed.items() if value is not None}
        position = self.send(made)
        stored = self.broker.messages[position - 1]
        self.broker.messages[position - 1] = type(stored)(
            subject=subject or stored.subject, headers=kept, body=body, position=position, logged=stored.logged
        )
        return position

    def send(self, message: Message) -> int:
        [acknowledgement] = self.broker.publish([message], 1)
        return acknowledgement.position

    # The Sink.

    def worker(
        self, number: int = 0, count: int = 1, *, broker: Broker | None = None, lives: bool = True
    ) -> LaneWorker:
        """Return a lane's worker of a process of its own; one that does not live counts as gone at once."""
        membership = Membership(self.alias, self.consumer)
        if lives:
            membership.beat()
        lane = Lane(consumer=self.consumer, number=number, count=count)
        return LaneWorker(self.config, lane, membership, lambda: broker or self.broker, Progress())

    def run(self, worker: LaneWorker | None = None, *, turns: int | None = None) -> LaneWorker:
        """Take a lane and apply what there is, or so many fetches of it; do not let go."""
        worker = worker or self.worker(lives=False)
        with acting_as(Role.SINK):
            assert worker.take(), "the lane is another's"
            broker, consumer = worker.open()
            with consumer:
                for _ in itertools.count() if turns is None else range(turns):
                    if not worker.turn(broker, consumer, 0):
                        break
        return worker

    def retry(self, worker: LaneWorker, key: str) -> tuple[int, Problem | None]:
        """Try a key's parked events again."""
        [digest] = self.rows(key=key).order_by().values_list("key_digest", flat=True).distinct()
        return self.retry_digest(worker, digest)

    @staticmethod
    def retry_digest(worker: LaneWorker, digest: str) -> tuple[int, Problem | None]:
        with acting_as(Role.SINK):
            return worker.retries.retry(digest)

    # The Cache.

    def rows(self, **conditions: Any) -> Any:
        return ParkedEvent.objects.using(self.alias).filter(consumer=self.consumer, **conditions).order_by("position")

    @property
    def parked(self) -> list[ParkedEvent]:
        return list(self.rows())

    @property
    def states(self) -> list[tuple[int, str]]:
        """Positions and states of the parked events."""
        return [(row.position, row.state) for row in self.parked]

    @property
    def outbox(self) -> list[OutboxMessage]:
        return list(OutboxMessage.objects.using(self.alias).filter(consumer=self.consumer).order_by("id"))

    @property
    def checkpoints(self) -> dict[int, int]:
        rows = Checkpoint.objects.using(self.alias).filter(consumer=self.consumer)
        return dict(rows.values_list("slot", "position"))

    @property
    def position(self) -> int:
        """The checkpoint, when it is the same for all slots."""
        [position] = set(self.checkpoints.values())
        return position

    @property
    def authors(self) -> list[str]:
        return sorted(self.model("Author").values_list("pk", flat=True))

    def model(self, name: str) -> Any:
        return apps.get_model("library", name).objects.using(self.alias)


@pytest.fixture
def bench(component: ComponentUnderTest, library: ComponentConfig) -> Workbench:
    return Workbench(library, component.broker)


@pytest.fixture
def handle(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, Handler], None]]:
    """Put another function in the place of a handler's."""

    def replace(name: str, function: Handler) -> None:
        python_name = snake_case(name)
        module = import_module(f"{bench.config.name}.{HANDLERS}.{python_name}")
        monkeypatch.setattr(module, python_name, function)
        load_function.cache_clear()

    yield replace
    monkeypatch.undo()
    load_function.cache_clear()


class Failures(set[str]):
    """The handler newAuthor, which fails for the authors in this set after it has stored them."""

    def __init__(self, *identities: str) -> None:
        super().__init__(identities)
        #: The authors that it was called for, in order.
        self.called: list[str] = []
        #: Whether it emits `author.welcomed` for each.
        self.emits = False

    def __call__(self, ctx: Any, event: Event) -> None:
        identity = event.payload["id"]
        self.called.append(identity)
        ctx.db.Author.objects.create(**event.payload)
        if self.emits:
            ctx.emit("author.welcomed", {"id": identity})
        if identity in self:
            raise RuntimeError(f"{identity} is not welcome")


@pytest.fixture
def failures(handle: Callable[[str, Handler], None]) -> Failures:
    """The authors for which the handler newAuthor fails."""
    function = Failures()
    handle("newAuthor", function)
    return function


def keys_of_slots(count: int = SLOTS) -> list[str]:
    """Return a key of each of the first slots, in their order."""
    found: dict[int, str] = {}
    for number in itertools.count():
        found.setdefault(slot_of(f"k{number}"), f"k{number}")
        if len(found) == SLOTS:
            return [found[slot] for slot in range(count)]
    raise AssertionError
