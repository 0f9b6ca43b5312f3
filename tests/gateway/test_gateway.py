"""`make gateway`: Perses behind a real gateway from npm, and its subgraphs composed by both composers."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import parse

from byron.codegen.composition import compose
from byron.codegen.gateway import Subgraph, gateway_files, read_subgraphs
from byron.codegen.graphql import graphql_source
from byron.codegen.plan import Plan
from byron.exceptions import GenerationError
from byron.schema.reader import parse_component
from byron.schema.subgraph import subgraph_source
from tests.npm import NODE, install
from tests.processes import PATIENCE, System, free_port, run, system, wait_for

HERE = Path(__file__).parent
PERSES = HERE.parent.parent / "examples" / "perses"
LEFT_OUT = shutil.ignore_patterns(".env", "*.sqlite3*", "__pycache__", ".pytest_cache", ".ruff_cache", ".venv")

CREATE_USER = 'mutation { createUser(data: {name: "Ada", email: "ada@example.org", role: TEACHER}) { id } }'
CREATE_SCHOOL = """mutation($user: ID!) {
  createSchool(data: {name: "Analytical"}, userID: $user) { id coordinator { name email } }
}"""
SCHOOLS = "{ getSchools { nodes { name coordinator { id name email } } } }"


@pytest.fixture(scope="module")
def packages() -> Path:
    return install(HERE, "NO GATEWAY")


@pytest.fixture
def folder(packages: Path, tmp_path: Path) -> Path:
    """A gateway's folder with its packages installed, and nothing else."""
    directory = tmp_path / "gateway"
    directory.mkdir()
    (directory / "node_modules").symlink_to(packages)
    return directory


# Composition.


def subgraph(name: str, text: str) -> Subgraph:
    component = parse_component(text)
    source = subgraph_source(component, graphql_source(component))
    return Subgraph(name=name, url=f"http://{name}", component=component, source=source)


def composed_by_apollo(subgraphs: list[Subgraph], packages: Path) -> dict[str, Any]:
    given = json.dumps([{"name": each.name, "url": each.url, "source": each.source} for each in subgraphs])
    finished = subprocess.run(
        [NODE, "compose.mjs"], cwd=packages.parent, input=given, capture_output=True, text=True, check=True, timeout=60
    )
    outcome: dict[str, Any] = json.loads(finished.stdout)
    return outcome


def fields(supergraph: str) -> dict[str, set[str]]:
    return {
        node.name.value: {field.name.value for field in node.fields}
        for node in parse(supergraph).definitions
        if getattr(node, "fields", None)
    }


def test_perses_composes_with_both_composers_into_the_same_api(packages, folder):
    subgraphs = read_subgraphs([PERSES / "auth", PERSES / "grouping"], {})
    Plan(folder, gateway_files(subgraphs)).apply()

    ours = compose(subgraphs, folder, str(NODE))
    theirs = composed_by_apollo(subgraphs, packages)

    assert theirs["errors"] == theirs["hints"] == []
    assert fields(ours) == fields(theirs["supergraph"])
    assert fields(ours)["User"] == {"id", "name", "email", "role"}
    assert {"getUsers", "getSchools"} <= fields(ours)["Query"]


PEOPLE = """
name: People
namespace: Calisto
content:
  types:
    - name: Person
      attributes: [{name: name, type: "String!"}, {name: email, type: "String!"}]
  commands:
    - {name: getPeople, type: query, returnType: "[Person!]!", read: {list: Person}}
    - {name: getPerson, type: query, returnType: Person, read: {get: Person}}
"""
CLUBS = """
name: Clubs
namespace: Calisto
content:
  types:
    - name: Person
      attributes: [{name: name, type: "String!"}]
    - name: Club
      attributes: [{name: head, type: "Person!"}]
  commands:
    - {name: getClubs, type: query, returnType: "[Club!]!", read: {list: Club}}
"""


def test_a_component_that_only_refers_to_an_entity_needs_no_get_of_its_own(packages, folder):
    subgraphs = [subgraph("people", PEOPLE), subgraph("clubs", CLUBS)]
    Plan(folder, gateway_files(subgraphs)).apply()

    assert "email" in fields(compose(subgraphs, folder, str(NODE)))["Person"]
    assert composed_by_apollo(subgraphs, packages)["errors"] == []


def test_a_field_that_a_gateway_could_not_reach_is_an_error_with_the_remedy(folder):
    hidden = "\n".join(line for line in PEOPLE.splitlines() if "getPerson" not in line)
    subgraphs = [subgraph("people", hidden), subgraph("clubs", CLUBS)]
    Plan(folder, gateway_files(subgraphs)).apply()

    with pytest.raises(GenerationError) as failure:
        compose(subgraphs, folder, str(NODE))

    assert "SATISFIABILITY_ERROR" in str(failure.value)
    assert "people" in str(failure.value) and "clubs" in str(failure.value)
    assert "declare a query with `read: {get: …}`" in str(failure.value)


# The gateway.


def test_the_readme_of_perses_asks_what_is_asked_here():
    assert json.dumps({"query": SCHOOLS}) in (PERSES / "README.md").read_text()


@pytest.fixture
def perses(tmp_path: Path, packages: Path) -> Iterator[tuple[System, System]]:
    """Auth and Grouping: an API and a Sink each."""
    directory = shutil.copytree(PERSES, tmp_path / "perses", ignore=LEFT_OUT)
    for project in ("auth", "grouping"):
        shutil.copy(directory / project / ".env.example", directory / project / ".env")
    state = tmp_path / "state"
    with system(directory / "auth", state, "StudyCase") as auth, system(directory / "grouping", state) as grouping:
        for each in (auth, grouping):
            each.start("serve", "--port", str(each.port), "--workers", "1").says("serving at ")
            each.sink()
        yield auth, grouping


@pytest.fixture
def gateway(perses: tuple[System, System], folder: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway as `byron gateway` prepares it, started."""
    paths = [str(each.project) for each in perses]
    urls = [f"--url={each.project.name}=http://127.0.0.1:{each.port}/graphql/" for each in perses]
    said = run(["-m", "byron", "gateway", *paths, *urls, "-o", str(folder), "--node", str(NODE)], tmp_path, tmp_path)
    assert "npm start" in said.stdout
    port, log = free_port(), tmp_path / "gateway.log"
    program = folder / "node_modules" / "@graphql-hive" / "gateway" / "dist" / "bin.js"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [NODE, program, "supergraph"],
            cwd=folder,
            env={"PATH": str(NODE.parent), "PORT": str(port), "HOME": str(tmp_path)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        started = Gateway(port, log)
        wait_for(lambda: started.is_up() or process.poll() is not None, "the gateway to answer", seconds=120)
        assert process.poll() is None, log.read_text()
        yield started
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Gateway:
    """A gateway that answers."""

    def __init__(self, port: int, log: Path) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self._log = log

    def is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._address}/readiness", timeout=5) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def ask(self, query: str, receipt: str = "", **variables: Any) -> tuple[Any, str]:
        """Return the data of an answer, and the receipts that came with it."""
        answer, receipts = self.answer(query, receipt, **variables)
        assert "errors" not in answer, (answer, self._log.read_text())
        return answer["data"], receipts

    def answer(self, query: str, receipt: str = "", **variables: Any) -> tuple[Any, str]:
        """Return an answer as it is, and the receipts that came with it."""
        headers = {"Content-Type": "application/json", **({"Byron-After": receipt} if receipt else {})}
        body = json.dumps({"query": query, "variables": variables}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self._address}/graphql", body, headers)) as response:
            answer = json.loads(response.read())
            receipts = response.headers.get_all("Byron-Receipt") or []
        return answer, ", ".join(receipts)


@pytest.mark.broker
def test_one_query_joins_a_school_of_grouping_with_its_coordinator_s_address_of_auth(gateway):
    made, known = gateway.ask(CREATE_USER)
    user = made["createUser"]["id"]
    # A receipt is good at every component of the system: Grouping waits until it knows the user, too.
    gateway.ask("query($id: ID!) { getMember(id: $id) { name } }", known, id=user)
    school, changed = gateway.ask(CREATE_SCHOOL, known, user=user)

    answer, _ = gateway.ask(SCHOOLS, changed)

    assert school["createSchool"]["coordinator"] == {"name": "Ada", "email": "ada@example.org"}
    assert answer == {
        "getSchools": {
            "nodes": [
                {"name": "Analytical", "coordinator": {"id": user, "name": "Ada", "email": "ada@example.org"}},
            ]
        }
    }
    refused, _ = gateway.answer(CREATE_SCHOOL, user="nobody")
    assert refused["errors"][0]["extensions"]["code"] == "UNKNOWN_USER"
    # What clients send of themselves arrives: a component looks at it, and refuses this.
    assert gateway.answer(SCHOOLS, "no receipt")[0].get("errors")
