"""What a mutation answers is true: the broker is killed, hangs and is started again while two thousand of them run."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from byron.broker.nats import NatsBroker
from byron.events.codec import message_id
from tests.broker.conftest import RealServer
from tests.processes import System, byron_admin, system, wait_for

pytestmark = pytest.mark.broker

MUTATIONS = 2000
CLIENTS = 8

SCHEMA = """
name: Notes
namespace: Outcomes
content:
  types: [{name: Note, attributes: [{name: mark, type: "String!"}]}]
  commands:
    - {name: countNotes, type: query, returnType: "Int!", read: {count: Note}}
    - name: note
      type: mutation
      returnType: "Note!"
      parameters: [{name: mark, type: "String!"}]
      emit: {event: noted}
    - {name: noteTwice, type: mutation, returnType: "Note!", parameters: [{name: mark, type: "String!"}]}
  handlers: [{name: noted, event: noted, apply: {create: Note}}]
"""

NOTE_TWICE = '''
"""Two events of different keys, which are published as one batch."""


def note_twice(ctx, mark):
    for _ in range(2):
        made = ctx.db.Note(id=ctx.uuid(), mark=mark)
        ctx.emit("noted", made)
    return made
'''


@dataclass
class Told:
    """What the clients were told: by the mutation's mark its code, empty when it was accepted, and event ids."""

    codes: dict[str, str] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)
    slowest: float = 0.0
    queries: list[float] = field(default_factory=list)


@pytest.fixture
def notes(tmp_path: Path, server: RealServer) -> Iterator[System]:
    """The API of a component, without a Sink: nothing but the answers and the log count here."""
    (tmp_path / "schema.yaml").write_text(SCHEMA)
    byron_admin("startcomponent", "notes", "--schema", "schema.yaml", directory=tmp_path)
    project = tmp_path / "notes"
    (project / "notes/api/commands/note_twice.py").write_text(NOTE_TWICE)
    (project / ".env").write_text(
        f"DEBUG=false\nSECRET_KEY=x\nALLOWED_HOSTS=127.0.0.1\nBYRON_BROKER_URL={server.url}\n"
    )
    with system(project, tmp_path / "state") as running:
        running.manage("migrate", "-v0")
        api = running.start("serve", "--workers", "2", "--port", str(running.port))
        wait_for(lambda: running.get("/healthz") or api.process.poll() is not None, "the API to answer")
        yield running
        running.end()
        print(api.output[-4000:])


def ask(notes: System, query: str, **variables: Any) -> dict[str, Any]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    url = f"http://127.0.0.1:{notes.port}/graphql/"
    with urllib.request.urlopen(
        urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=30
    ) as response:
        answer: dict[str, Any] = json.loads(response.read())
    return answer


def mutate(notes: System, number: int, told: Told) -> None:
    mark, name = f"mark {number}", "note" if number % 4 else "noteTwice"
    began = time.monotonic()
    answer = ask(notes, f"mutation($mark: String!) {{ {name}(mark: $mark) {{ id }} }}", mark=mark)
    told.slowest = max(told.slowest, time.monotonic() - began)
    extensions = answer["errors"][0]["extensions"] if "errors" in answer else {"code": ""}
    told.codes[mark] = extensions["code"]
    told.ids[mark] = extensions.get("events", [])
    if extensions["code"]:
        # As a client would: else most mutations would fall into the outages.
        time.sleep(0.2)


def trouble(server: RealServer, chance: random.Random, over: threading.Event) -> Counter[str]:
    """Disturb the broker until it is over, and return how often it had what."""
    done: Counter[str] = Counter()
    while not over.wait(chance.uniform(0.3, 1.0)):
        # Each is to come about, whatever chance says.
        kind = ("killed", "hanging", "restarted", "hanging for long")[done.total() % 4]
        done[kind] += 1
        if kind.startswith("hanging"):
            server.pause()
            time.sleep(chance.uniform(2.5, 4.0) if "long" in kind else chance.uniform(0.1, 1.5))
            server.resume()
            continue
        server.end(signal.SIGKILL if kind == "killed" else signal.SIGTERM)
        time.sleep(chance.uniform(0, 0.5))
        server.start()
    return done


def query(notes: System, told: Told, over: threading.Event) -> None:
    while not over.wait(0.02):
        began = time.monotonic()
        assert ask(notes, "{ countNotes }") == {"data": {"countNotes": 0}}
        told.queries.append(time.monotonic() - began)


def log_of(server: RealServer) -> dict[str, list[tuple[int, str]]]:
    """Return the positions and ids of the log's events, by their marks."""
    found: dict[str, list[tuple[int, str]]] = defaultdict(list)
    with NatsBroker("Outcomes", server.url) as broker:
        for position in range(1, broker.log_info().last + 1):
            message = broker.get(position)
            assert message is not None
            found[json.loads(message.body)["mark"]].append((position, message_id(message)))
    return found


def test_every_answer_is_true_whatever_happens_to_the_broker(notes, server, chance, figure):
    told, over = Told(), threading.Event()
    assert ask(notes, 'mutation { note(mark: "first") { id } }')["data"]

    with ThreadPoolExecutor(CLIENTS + 2) as pool:
        troubles = pool.submit(trouble, server, chance, over)
        queries = pool.submit(query, notes, told, over)
        try:
            list(pool.map(lambda number: mutate(notes, number, told), range(MUTATIONS)))
        finally:
            over.set()
    for kind, count in troubles.result().items():
        figure(kind, count)
    queries.result()
    outcomes = Counter(told.codes.values())
    for code, count in outcomes.items():
        figure(code or "accepted", count)
    figure("slowest mutation", told.slowest)
    figure("slowest query", max(told.queries))

    log = log_of(server)
    wanted = {mark: 1 if int(mark.split()[1]) % 4 else 2 for mark in told.codes}
    lies = {}
    for mark, code in told.codes.items():
        held = log.get(mark, [])
        allowed = {"": [wanted[mark]], "BROKER_UNAVAILABLE": [0], "OUTCOME_UNKNOWN": [0, wanted[mark]]}[code]
        if len(held) not in allowed:
            lies[mark] = f"{code or 'accepted'}, {len(held)} of {wanted[mark]} events in the log"
        elif len(held) == 2 and held[1][0] != held[0][0] + 1:
            lies[mark] = f"one command's events are not side by side: {held}"
        elif code == "OUTCOME_UNKNOWN" and held and [id for _, id in held] != told.ids[mark]:
            lies[mark] = f"the ids told are not those in the log: {told.ids[mark]}, {held}"
    assert lies == {}
    assert set(outcomes) == {"", "BROKER_UNAVAILABLE", "OUTCOME_UNKNOWN"}
    # 2 s for publishing, the command itself, and a machine that has more to do.
    assert told.slowest < 10
    # A thread of each worker is kept from waiting for the broker: no query waits until mutations are given up.
    assert max(told.queries) < 1.5
    # With nobody in trouble everything is accepted again, on every connection.
    for number in range(MUTATIONS, MUTATIONS + 2 * CLIENTS):
        mutate(notes, number, told)
        assert told.codes[f"mark {number}"] == ""
