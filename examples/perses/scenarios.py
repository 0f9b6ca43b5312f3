"""The three scenarios of the study case, on real processes and a real broker, with a report of what came of them.

Each is a question, steps, and what was seen; at the end stands how long an event takes to a Cache. Everything runs in
a folder of its own and is gone afterwards.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console

PERSES = Path(__file__).resolve().parent
COMPONENTS = ("auth", "grouping")
PATIENCE = 30.0

CREATE_USER = """mutation($name: String!, $email: String!) {
  createUser(data: {name: $name, email: $email, role: TEACHER}) { id name email role }
}"""
GET_USER = "query($id: ID!) { getUser(id: $id) { id name email role } }"
GET_MEMBER = "query($id: ID!) { getMember(id: $id) { id name role } }"
CREATE_SCHOOL = """mutation($name: String!, $user: ID!) {
  createSchool(data: {name: $name}, userID: $user) { id name coordinator { id } }
}"""
GET_SCHOOL = "query($id: ID!) { getSchool(id: $id) { id name coordinator { id } } }"

console = Console(highlight=False)


class Failure(Exception):
    """Something that a scenario showed is not as it should be."""


class Component:
    """One component's processes and API, as the command line tool started them."""

    def __init__(self, project: Path, environment: dict[str, str]) -> None:
        self.name = project.name
        self._project, self._environment = project, environment

    def up(self) -> None:
        """Learn where it answers, after starting it when it is not up."""
        byron(self._environment, "component", "up", "-d", str(self._project))
        [status] = json.loads(byron(self._environment, "component", "status", "--json", str(self._project)))
        self._port, self._pids = status["port"], status["pids"]

    def kill(self) -> None:
        """End every process of it as a power cut would: without a word."""
        for pid in self._pids.values():
            # Some end by themselves as soon as the first one is gone.
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.is_up(), f"{self.name} to be gone")

    def is_up(self) -> bool:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def ask(self, document: str, after: str = "", **variables: Any) -> Any:
        """Run a document of one field. Returns its value, or the error's code."""
        return self.ask_with_receipt(document, after, **variables)[0]

    def ask_with_receipt(self, document: str, after: str = "", **variables: Any) -> tuple[Any, str]:
        headers = {"Content-Type": "application/json"}
        if after:
            headers |= {"Byron-After": after, "Byron-Consistency": "strict"}
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        body = json.dumps({"query": document, "variables": variables})
        try:
            connection.request("POST", "/graphql/", body, headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if answer.get("errors"):
            return answer["errors"][0]["extensions"]["code"], ""
        [value] = answer["data"].values()
        return value, response.headers.get("Byron-Receipt", "")


class System:
    """Auth and Grouping, and the broker between them."""

    def __init__(self, auth: Component, grouping: Component) -> None:
        self.auth, self.grouping = auth, grouping
        self._users = 0

    def create_user(self) -> tuple[dict[str, Any], str]:
        self._users += 1
        user, receipt = self.auth.ask_with_receipt(
            CREATE_USER, name=f"Teacher {self._users}", email=f"teacher{self._users}@example.org"
        )
        return user, receipt


@contextmanager
def started() -> Iterator[System]:
    """Start both components in a copy of the study case, and leave nothing of them."""
    with tempfile.TemporaryDirectory(prefix="perses-") as name:
        place = Path(name)
        environment = {**os.environ, "XDG_STATE_HOME": str(place / "state")}
        ignored = shutil.ignore_patterns(".env", "*.sqlite3*", "__pycache__", ".venv")
        components = []
        for component in COMPONENTS:
            shutil.copytree(PERSES / component, place / component, ignore=ignored)
            components.append(Component(place / component, environment))
        try:
            byron(environment, "up", "-d", *(str(place / component) for component in COMPONENTS))
            for each in components:
                each.up()
            yield System(*components)
        finally:
            byron(environment, "down")


def byron(environment: dict[str, str], *arguments: str) -> str:
    """Run a command of Byron's and return what it printed. Raises Failure."""
    command = [sys.executable, "-m", "byron", *arguments]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise Failure(f"byron {' '.join(arguments)}: {finished.stdout}{finished.stderr}")
    return finished.stdout


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.005)
    raise Failure(f"waited {PATIENCE:g} s in vain for {what}")


def step(text: str) -> None:
    console.print(f"   [green]✓[/] {text}")


def expect(seen: Any, wanted: Any, what: str) -> None:
    if seen != wanted:
        raise Failure(f"{what}: saw {seen!r} where {wanted!r} was to be")
    step(what)


def one_component(system: System) -> str:
    """Is the Cache of a component updated by its Sink with what its API has announced?"""
    user, receipt = system.create_user()
    expect(user.get("role"), "TEACHER", f"Auth's API answered createUser with {user['name']}, without its Cache")
    expect(system.auth.ask(GET_USER, receipt, id=user["id"]), user, "getUser, with the receipt, gave the same user")
    return "Yes: Auth's Sink took the event from the log and stored the user."


def two_components(system: System) -> str:
    """Do the Caches of several components come to agree, each by its own Sink?"""
    expect(
        system.grouping.ask(CREATE_SCHOOL, name="Nowhere", user="nobody"),
        "UNKNOWN_USER",
        "Grouping refused a school whose coordinator it does not know",
    )
    user, receipt = system.create_user()
    member = system.grouping.ask(GET_MEMBER, receipt, id=user["id"])
    expect(member, {name: user[name] for name in ("id", "name", "role")}, "Auth's new user is known to Grouping")
    school, receipt = system.grouping.ask_with_receipt(CREATE_SCHOOL, name="Analytical", user=user["id"])
    expect(school.get("coordinator"), {"id": user["id"]}, "createSchool accepted that user as its coordinator")
    expect(system.grouping.ask(GET_SCHOOL, receipt, id=school["id"]), school, "the school is in Grouping's Cache")
    promoted = system.auth.ask(GET_USER, receipt, id=user["id"])
    expect(promoted["role"], "COORDINATOR", "the role's change, announced by Grouping, is in Auth's Cache")
    return "Yes: each Sink applied what the other component announced."


def one_fails(system: System) -> str:
    """Do the others go on when one component fails?"""
    user, receipt = system.create_user()
    system.grouping.ask(GET_MEMBER, receipt, id=user["id"])
    system.auth.kill()
    step("every process of Auth was killed (SIGKILL)")
    school, receipt = system.grouping.ask_with_receipt(CREATE_SCHOOL, name="Difference", user=user["id"])
    expect(school.get("coordinator"), {"id": user["id"]}, "createSchool answered all the same")
    expect(system.grouping.ask(GET_SCHOOL, receipt, id=school["id"]), school, "the school is in Grouping's Cache")
    system.auth.up()
    step("Auth was started again")
    promoted = system.auth.ask(GET_USER, receipt, id=user["id"])
    expect(promoted["role"], "COORDINATOR", "it caught up with what was announced meanwhile")
    return "Yes: Grouping did not notice, and Auth missed nothing."


SCENARIOS = (
    ("Consistency within a single component", one_component),
    ("Consistency across multiple components", two_components),
    ("Decoupling of multiple components and one failing", one_fails),
)


def measure(system: System, rounds: int) -> None:
    """Show how long it takes from a mutation's answer until a read sees it in a Cache."""
    times: dict[str, list[float]] = {"in Auth's own Cache": [], "in Grouping's Cache": []}
    for number in range(rounds + 5):
        for where, component, document in (
            ("in Auth's own Cache", system.auth, GET_USER),
            ("in Grouping's Cache", system.grouping, GET_MEMBER),
        ):
            user, receipt = system.create_user()
            began = time.perf_counter()
            found = component.ask(document, receipt, id=user["id"])
            taken = time.perf_counter() - began
            if not isinstance(found, dict) or found["id"] != user["id"]:
                raise Failure(f"the read with the receipt saw {found!r}")
            # The first ones open connections.
            if number >= 5:
                times[where].append(taken)
    console.print(f"\n[bold]From a mutation's answer until its event is seen[/] ({rounds} rounds, one after the other)")
    for where, seconds in times.items():
        p99 = statistics.quantiles(seconds, n=100, method="inclusive")[98]
        median = statistics.median(seconds)
        console.print(f"   {where:<22} median {1000 * median:6.1f} ms   p99 {1000 * p99:6.1f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="Measure so often how long an event takes.")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        console.print("Starting the broker, Auth and Grouping")
        with started() as system:
            for number, (name, run) in enumerate(SCENARIOS, 1):
                console.print(f"\n[bold]{number}. {name}[/]\n   {run.__doc__}")
                console.print(f"   [bold green]{run(system)}[/]")
            measure(system, options.rounds)
    except Failure as failure:
        console.print(f"   [bold red]✗ {failure}[/]", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    console.print("\nAll three hold. Everything is stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
