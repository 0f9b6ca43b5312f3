"""`version: true` under races: increments from several threads over real API processes, and none is lost."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tests.processes import System, byron_admin, free_port, system, wait_for

pytestmark = pytest.mark.broker

#: How many increments there are, of all threads together. INCREMENTS=1000 for the long run.
INCREMENTS = int(os.environ.get("INCREMENTS", "100"))
THREADS = 8
PROCESSES = 2

SCHEMA = """
name: Counters
namespace: Increments
content:
  types:
    - {name: Tally, attributes: [{name: total, type: "Int!"}]}
  commands:
    - name: makeTally
      type: mutation
      returnType: "Tally!"
      parameters: [{name: total, type: "Int!"}]
      emit: {event: new.tally}
    - name: addToTally
      type: mutation
      version: true
      returnType: "Tally!"
      parameters: [{name: id, type: "ID!"}, {name: by, type: "Int!"}]
    - name: noteTally
      type: mutation
      returnType: "Boolean!"
      parameters: [{name: id, type: "ID!"}]
    - name: getTally
      type: query
      returnType: Tally
      read: {get: Tally}
  handlers:
    - {name: newTally, event: new.tally, apply: {create: Tally}}
    - {name: tallyChanged, event: tally.changed, apply: {update: Tally}}
"""
#: What to compute from, the Cache has to say: so without a lock, increments would get lost.
ADD = """
def add_to_tally(ctx, id, by):
    tally = ctx.db.Tally.objects.get(pk=id)
    tally.total += by
    ctx.emit("tally.changed", {"id": id, "total": tally.total})
    return tally
"""
#: An event about the tally that its component does not handle.
NOTE = """
def note_tally(ctx, id):
    ctx.emit("tally.noted", {"id": id})
    return True
"""

MAKE = "mutation { makeTally(total: 0) { id } }"
READ = "query($id: ID!) { getTally(id: $id) { total version } }"
INCREMENT = "mutation($id: ID!, $version: ID!) { addToTally(id: $id, by: 1, version: $version) { total version } }"
SIGH = "mutation($id: ID!) { noteTally(id: $id) }"


def ask(port: int, document: str, after: str = "", **variables: Any) -> tuple[dict[str, Any], str, str]:
    """Return an answer's data, the code of its error, and its receipt."""
    headers = {"Content-Type": "application/json", **({"Byron-After": after} if after else {})}
    body = json.dumps({"query": document, "variables": variables}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql/", body, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer = json.loads(response.read())
        code = answer["errors"][0]["extensions"]["code"] if "errors" in answer else ""
        return answer.get("data") or {}, code, response.headers.get("Byron-Receipt", "")


class Tally:
    """A counter that several threads increment, each a request at a time."""

    def __init__(self, running: System, ports: list[int]) -> None:
        self.system, self.ports = running, ports
        self.id = ask(ports[0], MAKE)[0]["makeTally"]["id"]
        wait_for(self.read, "the tally")
        self.codes: Counter[str] = Counter()
        self._left = count()
        self._lock = threading.Lock()

    def read(self, port: int = 0, after: str = "") -> Any:
        return ask(port or self.ports[0], READ, after, id=self.id)[0]["getTally"]

    def increment(self, number: int) -> None:
        """Increment until all are done, each time until it succeeds."""
        port = self.ports[number % len(self.ports)]
        receipt = ""
        while next(self._left) < INCREMENTS:
            while True:
                seen = self.read(port, receipt)
                _, code, given = ask(port, INCREMENT, id=self.id, version=seen["version"])
                with self._lock:
                    self.codes[code] += 1
                receipt = given or receipt
                if not code:
                    break
                assert code in ("CONFLICT", "CACHE_BEHIND"), code


@pytest.fixture
def tally(tmp_path):
    with system(tmp_path / "counters", tmp_path / "state", "Increments") as running:
        schema = tmp_path / "schema.yaml"
        schema.write_text(SCHEMA)
        byron_admin("startcomponent", "counters", "--schema", str(schema), directory=tmp_path)
        commands = running.project / "counters" / "api" / "commands"
        (commands / "add_to_tally.py").write_text(ADD)
        (commands / "note_tally.py").write_text(NOTE)
        running.serve()
        running.sink()
        ports = [running.port, *(free_port() for _ in range(PROCESSES - 1))]
        for port in ports[1:]:
            running.start("runserver", "--noreload", str(port)).says("Starting development server")
        yield Tally(running, ports)


def test_of_many_increments_none_is_lost(tally):
    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(tally.increment, range(THREADS)))
    print(f"{INCREMENTS} increments by {THREADS} threads: {time.monotonic() - began:.1f} s, {dict(tally.codes)}")

    wait_for(lambda: tally.read()["total"] == INCREMENTS, f"a total of {INCREMENTS}, and not {tally.read()}")
    assert tally.codes[""] == INCREMENTS
    # Threads that race meet each other; without that nothing would be shown.
    assert tally.codes["CONFLICT"] > 0
    assert tally.system.manage("events", "--last", "5000").stdout.count("tally.changed") == INCREMENTS


def test_events_that_nobody_handles_are_no_conflicts(tally):
    for number in range(5):
        assert ask(tally.ports[number % PROCESSES], SIGH, id=tally.id)[1] == ""
        seen = tally.read()
        data, code, receipt = ask(tally.ports[0], INCREMENT, id=tally.id, version=seen["version"])
        assert (code, data["addToTally"]["total"]) == ("", number + 1)
        assert tally.read(tally.ports[1], receipt) == data["addToTally"]
