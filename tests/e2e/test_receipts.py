"""Auth's receipts at Grouping, on real processes, with all kinds of trouble in Grouping's Sink."""

from __future__ import annotations

import json
import shutil
import signal
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import Running, System, freeze, run, system, wait_for

pytestmark = pytest.mark.broker

PERSES = Path(__file__).resolve().parent.parent.parent / "examples" / "perses"
LEFT_OUT = shutil.ignore_patterns(".env", "*.sqlite3*", "__pycache__", ".pytest_cache", ".ruff_cache", ".venv")

CREATE_USER = """mutation($email: String!) {
  createUser(data: {name: "Ada", email: $email, role: TEACHER}) { id }
}"""
GET_MEMBER = "query($id: ID!) { getMember(id: $id) { name } }"
FOUND, MISSING = {"getMember": {"name": "Ada"}}, {"getMember": None}

#: What Grouping's Sink does with a new user before it stores it, by the file `trouble` beside it.
TROUBLE = '''
"""Waits or fails, as the file beside manage.py says."""

import time
from pathlib import Path


def trouble(ctx, event):
    file = Path(__file__).parents[2] / "trouble"
    what = file.read_text() if file.exists() else ""
    if what == "fail":
        raise ValueError("on purpose")
    time.sleep(float(what or 0))
'''


class Pair:
    """Auth, which gives receipts, and Grouping, where they are used."""

    def __init__(self, auth: System, grouping: System, sink: Running) -> None:
        self._auth, self._grouping, self.sink = auth, grouping, sink
        self._users = 0

    def trouble(self, what: str) -> None:
        (self._grouping.project / "trouble").write_text(what)

    def create_user(self) -> tuple[str, dict[str, str]]:
        """Return a new user's id, and the header that waits for it."""
        self._users += 1
        with self._auth.request(CREATE_USER, "/auth/graphql/", email=f"ada{self._users}@example.org") as response:
            answer = json.loads(response.read())
            return answer["data"]["createUser"]["id"], {"Byron-After": response.headers["Byron-Receipt"]}

    def get_user(self, id: str, headers: dict[str, str], *, strict: bool = False) -> dict[str, Any]:
        given = headers | ({"Byron-Consistency": "strict"} if strict else {})
        try:
            with self._grouping.request(GET_MEMBER, "/grouping/graphql/", headers=given, id=id) as response:
                answer: dict[str, Any] = json.loads(response.read())
        except urllib.error.HTTPError as error:
            answer = json.loads(error.read())
        return answer

    def parked(self, *arguments: str) -> str:
        return self._grouping.manage("parked", *arguments).stdout


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    for name in ("auth", "grouping"):
        shutil.copytree(PERSES / name, tmp_path / name, ignore=LEFT_OUT)
        shutil.copy(tmp_path / name / ".env.example", tmp_path / name / ".env")
    grouping = tmp_path / "grouping"
    schema = grouping / "grouping/schema.yaml"
    handler = "{name: newUser, event: new.user, apply: {create: User}"
    text = schema.read_text()
    assert handler in text
    schema.write_text(text.replace(handler, f"{handler}, hooks: {{before: [trouble]}}"))
    (grouping / "grouping/hooks/trouble.py").write_text(TROUBLE)
    with (grouping / "config/settings.py").open("a") as settings:
        settings.write("\nBYRON_SINK_TRIES = 1\n")
    state = tmp_path / "state"
    run(["manage.py", "generate"], grouping, state)
    with system(tmp_path / "auth", state, "StudyCase") as auth, system(grouping, state) as other:
        auth.serve()
        other.serve()
        yield Pair(auth, other, other.sink())


def stale(reason: str) -> dict[str, Any]:
    return {"byron": {"stale": True, "reason": reason}}


def code(answer: dict[str, Any]) -> str:
    return str(answer["errors"][0]["extensions"]["code"])


def test_a_receipt_of_one_component_is_good_at_another_whatever_its_sink_does(pair):
    for _ in range(20):
        user, after = pair.create_user()
        assert pair.get_user(user, after, strict=True) == {"data": FOUND}

    # Slowed, but faster than the time that a receipt waits for.
    pair.trouble("0.7")
    user, after = pair.create_user()
    began = time.monotonic()
    assert pair.get_user(user, after, strict=True) == {"data": FOUND}
    assert time.monotonic() - began > 0.3

    # Slower than that.
    pair.trouble("6")
    user, after = pair.create_user()
    assert pair.get_user(user, after) == {"data": MISSING, "extensions": stale("pending")}
    assert code(pair.get_user(user, after, strict=True)) == "NOT_APPLIED_YET"
    pair.trouble("0")
    wait_for(lambda: pair.get_user(user, after, strict=True) == {"data": FOUND}, "the slow handler to end")

    # Stopped for a while.
    freeze(pair.sink.process.pid)
    try:
        user, after = pair.create_user()
        assert pair.get_user(user, after) == {"data": MISSING, "extensions": stale("pending")}
    finally:
        pair.sink.process.send_signal(signal.SIGCONT)
    wait_for(lambda: pair.get_user(user, after, strict=True) == {"data": FOUND}, "the Sink to go on")

    # Parked: nobody waits for what only people can mend.
    pair.trouble("fail")
    user, after = pair.create_user()
    wait_for(lambda: user in pair.parked("list"), "the event to be parked")
    began = time.monotonic()
    assert pair.get_user(user, after) == {"data": MISSING, "extensions": stale("parked")}
    assert code(pair.get_user(user, after, strict=True)) == "EVENT_PARKED"
    assert time.monotonic() - began < 2
    # Others are not behind it.
    pair.trouble("0")
    other, later = pair.create_user()
    assert pair.get_user(other, later, strict=True) == {"data": FOUND}
    pair.parked("retry", "--all")
    wait_for(lambda: pair.get_user(user, after, strict=True) == {"data": FOUND}, "the retry")
