"""A project that counts what its Sink does, the log it reads, and what must come of it in the end."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest

from byron.broker.nats import NatsBroker
from byron.events.codec import encode, encode_payload
from byron.events.event import Event, Message
from byron.exceptions import BrokerError
from tests.broker.conftest import RealServer
from tests.faults.caches import Cache
from tests.processes import Running, System, byron_admin, run, wait_for

HERE = Path(__file__).parent

NAMESPACE = "Faults"

#: The name of the log at the broker, and of the consumer that belongs to the Ledger's only lane.
STREAM, CONSUMER = "faults", "ledger"

#: Seconds that a Sink may take to apply what is left, on a machine that has more to do.
LONGEST = 90.0

#: Seconds within which a Sink goes on with what another one left, and within which one ends that is told to.
TAKE_OVER = STOP = 10.0

#: Entries that `flow` is ahead of the Cache, at most: a busy machine must have an end to come to.
_AHEAD = 1000

#: Seconds between two looks at the Cache, for which it has to count.
_LOOK = 0.03

#: Messages in one atomic batch, at most.
_BATCH = 1000

_SETTINGS = """
INSTALLED_APPS += ["failpoints"]
BYRON_SINK_BATCH_SIZE = env.int("SINK_BATCH_SIZE", default=100)
BYRON_SINK_LANES = env.int("SINK_LANES", default=1)
BYRON_SINK_TRIES = env.int("SINK_TRIES", default=1000)
BYRON_SINK_RETRY_DELAY = env.float("SINK_RETRY_DELAY", default=0.2)
BYRON_SINK_RETRY_LIMIT = env.float("SINK_RETRY_LIMIT", default=0.5)
"""

_MISCHIEF = """
import os
import signal
import time
from pathlib import Path

from django.db import connections


def mischief(ctx, event):
    entry = event.payload
    {code}
"""


def make_project(directory: Path) -> Path:
    """Generate the component Ledger, whose handler counts, and return its project, with an empty Cache on SQLite."""
    byron_admin("startcomponent", "ledger", "--schema", str(HERE / "schema.yaml"), directory=directory)
    project = directory / "ledger"
    shutil.copytree(HERE / "project", project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with (project / "config/settings.py").open("a") as settings:
        settings.write(_SETTINGS)
    run(["manage.py", "migrate", "-v0"], project, directory / ".state")
    return project


class Book:
    """Everything that was published, and so what the Cache must come to."""

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.lines: set[str] = set()
        self._numbers: Counter[str] = Counter()

    def make_entry(self, account: str) -> dict[str, Any]:
        """Return the payload of an account's next entry."""
        self._numbers[account] += 1
        number = self._numbers[account]
        entry = {"id": f"{account}-{number}", "account": account, "number": number, "amount": random.randint(-999, 999)}
        self.entries[entry["id"]] = entry
        return entry

    def make_line(self) -> dict[str, Any]:
        """Return the payload of a further line, which no order matters to."""
        line = {"id": f"line-{len(self.lines) + 1}", "account": f"l{len(self.lines) % 7}"}
        self.lines.add(line["id"])
        return line

    def __len__(self) -> int:
        return len(self.entries) + len(self.lines)

    def of(self, account: str, first: int = 1) -> list[str]:
        """Return the ids of an account's entries, from a number on."""
        return [f"{account}-{number}" for number in range(first, self._numbers[account] + 1)]

    def accounts(self, held: Collection[str] = ()) -> dict[str, tuple[int, int, int]]:
        """Return each account's total, last number and disorder, when all is applied but what is held."""
        accounts: dict[str, tuple[int, int, int]] = {}
        for name, entry in self.entries.items():
            if name not in held:
                total, _, _ = accounts.get(entry["account"], (0, 0, 0))
                accounts[entry["account"]] = (total + entry["amount"], entry["number"], 0)
        return accounts


class Ledger:
    """A test's own project: its broker, its log, its Cache and its Sinks."""

    def __init__(self, system: System, server: RealServer, cache: Cache, cache_url: str = "") -> None:
        self.system, self.server, self.cache = system, server, cache
        self.book = Book()
        self.broker = NatsBroker(NAMESPACE, server.url)
        self._variables = {"DEBUG": "false", "SECRET_KEY": "x", "BYRON_BROKER_URL": server.url}
        self.configure(**({"CACHE_URL": cache_url} if cache_url else {}))

    # What there is.

    def configure(self, **variables: object) -> None:
        """Change the environment of the processes that are started from now on."""
        self._variables.update({name: str(value) for name, value in variables.items()})
        lines = [f"{name}={value}\n" for name, value in self._variables.items()]
        (self.system.project / ".env").write_text("".join(lines))

    def mischief(self, code: str) -> None:
        """Have this done in Sinks from now on, before each `entry` and inside of its transaction."""
        indented = code.strip().replace("\n", "\n    ")
        (self.system.project / "ledger/hooks/mischief.py").write_text(_MISCHIEF.format(code=indented))

    # What is published.

    def entries(self, count: int, accounts: Sequence[str]) -> list[Message]:
        """Return the messages of as many new entries, dealt out to these accounts at random."""
        return [message_of(self.book.make_entry(random.choice(accounts))) for _ in range(count)]

    def publish(self, count: int, accounts: int | Sequence[str] = 20) -> int:
        """Publish new entries, and return the position of the last one in the log."""
        names = accounts if isinstance(accounts, Sequence) else [f"a{number}" for number in range(accounts)]
        return self.append(self.entries(count, names))

    def publish_lines(self, count: int) -> int:
        """Publish new lines, and return the position of the last one in the log."""
        return self.append([message_of(self.book.make_line(), name="line.made") for _ in range(count)])

    def append(self, messages: Sequence[Message], patience: float = LONGEST) -> int:
        """Publish messages, again and again until the log has them, and return the last one's position."""
        position = 0
        for start in range(0, len(messages), _BATCH):
            position = self._append_batch(messages[start : start + _BATCH], time.monotonic() + patience)
        return position

    def _append_batch(self, messages: Sequence[Message], deadline: float) -> int:
        while True:
            try:
                return self.broker.publish(messages, 5.0)[-1].position
            except BrokerError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    @contextmanager
    def flow(self, accounts: int = 20, *, per_second: int = 500) -> Iterator[None]:
        """Publish new entries all the while, unless the Cache is far behind."""
        end, problems = threading.Event(), list[BaseException]()

        def publish() -> None:
            cache, applied = self.cache.another(), 0
            try:
                while not end.wait(0.1):
                    applied = max(applied, cache.applied())
                    if len(self.book) < applied + _AHEAD:
                        self.publish(per_second // 10, accounts)
            except BaseException as error:
                problems.append(error)
            finally:
                cache.close()

        thread = threading.Thread(target=publish)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
        assert not problems

    # What applies it.

    def start(self, **variables: str) -> Running:
        """Start a Sink."""
        return self.system.start("runsink", **variables)

    def sink(self, **variables: str) -> Running:
        """Start a Sink and wait until it consumes."""
        running = self.start(**variables)
        running.says("consuming component=")
        return running

    def supervise(self, done: Callable[[], Any]) -> tuple[Running, int]:
        """Start a Sink, again whenever it dies, until it is done; return the last one and how many died before it."""
        for deaths in range(12):
            sink = self.start()
            wait_for(lambda: done() or sink.process.poll() is not None, "progress or a death", seconds=LONGEST)  # noqa: B023
            if sink.process.poll() is None:
                return sink, deaths
        pytest.fail("12 Sinks died, one after the other")

    def wait_applied(self, count: int, seconds: float = LONGEST) -> float:
        """Wait until as many entries are in the Cache, and return the seconds that it took."""
        began = time.monotonic()
        while self.cache.applied() < count:
            if time.monotonic() > began + seconds:
                pytest.fail(f"waited {seconds:.0f} s in vain for {count} entries in the Cache")
            time.sleep(_LOOK)
        return time.monotonic() - began

    def wait_for_all_slots(self) -> None:
        """Wait until events of every slot are applied that were not yet."""
        before = self.cache.positions()

        def moved() -> bool:
            now = self.cache.positions()
            return all(now[slot] > before[slot] for slot in before)

        wait_for(moved, "all slots to move on", seconds=LONGEST)

    def finish(
        self,
        *sinks: Running,
        held: Collection[str] = (),
        parked: Sequence[tuple[str, str]] = (),
        seconds: float = LONGEST,
    ) -> None:
        """See that all is applied once and in order, but for entries that are held, and that these Sinks end well."""
        deadline = time.monotonic() + seconds
        while self.cache.applied() < len(self.book) - len(held) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        for sink in sinks:  # One that is only just being started would die of the signal, as any Python does.
            wait_for(lambda: sink.output or sink.process.poll() is not None, "a Sink's first line", seconds=LONGEST)  # noqa: B023
        codes = [stop(sink)[0] for sink in sinks]
        assert self.cache.differences(self.book, held, parked) == {}
        assert codes == [0] * len(sinks)


def stop(sink: Running) -> tuple[int, float]:
    """Tell a Sink to end, and return its exit code and the seconds that it took."""
    began = time.monotonic()
    return sink.stop(), time.monotonic() - began


def message_of(payload: Mapping[str, Any], name: str = "entry.made", **more: Any) -> Message:
    """Return the message that an entry or a line is published as."""
    event = Event(name=name, key=payload["account"], payload=payload, namespace=NAMESPACE, source="Tests", **more)
    return encode(event, encode_payload(payload))


def jetstream(server: RealServer, request: str, body: object = None, *, may_miss: bool = False) -> dict[str, Any]:
    """Ask the server's JetStream for something, as an operator would; what is asked about may be gone already."""

    async def ask() -> bytes:
        client = await nats.connect(server.url, allow_reconnect=False)
        try:
            question = b"" if body is None else json.dumps(body).encode()
            return (await client.request(f"$JS.API.{request}", question, timeout=10)).data
        finally:
            await client.close()

    answer: dict[str, Any] = json.loads(asyncio.run(ask()))
    error = answer.get("error", {})
    assert not error or (may_miss and error["code"] == 404), answer
    return answer
