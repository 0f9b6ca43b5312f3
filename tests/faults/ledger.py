"""A project that counts what its Sink does, the log it reads, and what must come of it in the end."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
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
from tests.processes import Running, System, byron_admin, run, wait_for

HERE = Path(__file__).parent

NAMESPACE = "Faults"

#: The name of the log at the broker, and of the consumer that belongs to the Ledger's only lane.
STREAM, CONSUMER = "faults", "ledger"

#: Seconds that a Sink may take to apply what is left, on a machine that has more to do.
LONGEST = 90.0

#: Seconds within which a Sink goes on with what another one left, and within which one ends that is told to.
TAKE_OVER = STOP = 10.0

#: Messages in one atomic batch, at most.
_BATCH = 1000

_APPLIED = "SELECT count(*) FROM ledger_entry UNION ALL SELECT count(*) FROM ledger_line"

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


class Cache:
    """The tables of a Ledger's Cache, read past Django."""

    def __init__(self, connect: Callable[[], Any], away: type[Exception]) -> None:
        """Prepare to read; `away` is what the driver raises while the database cannot be reached."""
        self._connect, self._away = connect, away
        self._connection: Any = None

    @classmethod
    def on_sqlite(cls, file: Path) -> Cache:
        return cls(lambda: sqlite3.connect(file, isolation_level=None, timeout=60), sqlite3.OperationalError)

    @classmethod
    def on_postgresql(cls, url: str) -> Cache:
        import psycopg

        return cls(lambda: psycopg.connect(url, autocommit=True, connect_timeout=5), psycopg.OperationalError)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return what a statement finds."""
        if self._connection is None:
            self._connection = self._connect()
        try:
            return list(self._connection.execute(statement).fetchall())
        except self._away:
            self.close()
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def applied(self) -> int:
        """Return how many entries and lines there are; -1 while the database cannot be reached."""
        try:
            return sum(count for (count,) in self.rows(_APPLIED))
        except self._away:
            return -1

    def position(self) -> int:
        """Return the newest position that any slot has applied."""
        return max(self.positions().values(), default=0)

    def positions(self) -> dict[int, int]:
        """Return each slot's checkpoint."""
        return dict(self.rows("SELECT slot, position FROM byron_checkpoint"))

    def owners(self) -> dict[str, list[int]]:
        """Return the slots of each Sink that owns some; those of none belong to the empty name."""
        owners: dict[str, list[int]] = {}
        for owner, slot in self.rows("SELECT owner, slot FROM byron_checkpoint ORDER BY slot"):
            owners.setdefault(owner, []).append(slot)
        return owners

    def parked(self) -> list[tuple[str, str]]:
        """Return the key and state of each parked event, in the log's order."""
        return self.rows("SELECT key, state FROM byron_parked_event ORDER BY position")

    def differences(
        self, book: Book, held: Collection[str] = (), parked: Sequence[tuple[str, str]] = ()
    ) -> dict[str, Any]:
        """Return what is not as it must be after all was applied once and in order, but for entries that are held."""
        times = dict(self.rows("SELECT id, applied FROM ledger_entry"))
        accounts = {row[0]: row[1:] for row in self.rows("SELECT id, total, last, disorder FROM ledger_account")}
        wanted = book.accounts(held)
        found = {
            "missing": sorted(book.entries.keys() - set(held) - times.keys()),
            "unexpected": sorted(times.keys() - (book.entries.keys() - set(held))),
            "missing lines": sorted(book.lines - {name for (name,) in self.rows("SELECT id FROM ledger_line")}),
            "times": {name: count for name, count in times.items() if count != 1},
            "total, last, disorder": {
                name: {"is": accounts.get(name), "should be": wanted.get(name)}
                for name in sorted(wanted.keys() | accounts.keys())
                if accounts.get(name) != wanted.get(name)
            },
            "parked": [] if self.parked() == list(parked) else self.parked(),
        }
        return {what: value for what, value in found.items() if value}


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
        """Publish new entries all the while."""
        end, problems = threading.Event(), list[BaseException]()

        def publish() -> None:
            try:
                while not end.wait(0.05):
                    self.publish(per_second // 20, accounts)
            except BaseException as error:
                problems.append(error)

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
        wait_for(lambda: self.cache.applied() >= count, f"{count} entries in the Cache", seconds=seconds)
        return time.monotonic() - began

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
            time.sleep(0.01)
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


def terminate_connections(ledger: Ledger) -> int:
    """End all connections to a Ledger's PostgreSQL database but the test's own, and return how many there were."""
    return len(
        ledger.cache.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    )


def jetstream(server: RealServer, request: str, body: object = None) -> dict[str, Any]:
    """Ask the server's JetStream for something, as an operator would."""

    async def ask() -> bytes:
        client = await nats.connect(server.url, allow_reconnect=False)
        try:
            question = b"" if body is None else json.dumps(body).encode()
            return (await client.request(f"$JS.API.{request}", question, timeout=10)).data
        finally:
            await client.close()

    answer: dict[str, Any] = json.loads(asyncio.run(ask()))
    assert "error" not in answer, answer
    return answer
