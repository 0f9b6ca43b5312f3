"""Perses, the study case: kept up to date, and its three scenarios on real processes and a real broker."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema, parse, validate

from byron.codegen.project import create_project
from byron.schema.reader import parse_component, read_component
from tests.processes import Running, System, free_port, run, system, wait_for

PERSES = Path(__file__).resolve().parent.parent.parent / "examples" / "perses"
LEFT_OUT = shutil.ignore_patterns(".env", "*.sqlite3*", "__pycache__", ".pytest_cache", ".ruff_cache", ".venv")
#: What each project has of the template, besides its README.
SHELL = ("manage.py", "config/settings.py", "config/urls.py", "config/wsgi.py", "config/asgi.py", ".gitignore")

CREATE_USER = """mutation { createUser(data: {name: "Ada Lovelace", email: "ada@example.org", role: TEACHER}) {
  id name email role
} }"""
GET_USER = "query($id: ID!) { getUser(id: $id) { id name email role } }"
CREATE_SCHOOL = """mutation($user: ID!) {
  createSchool(data: {name: "Analytical"}, userID: $user) { id name coordinator { id } }
}"""
GET_SCHOOL = "query($id: ID!) { getSchool(id: $id) { id name coordinator { id } } }"
GET_MEMBER = "query($id: ID!) { getMember(id: $id) { id role } }"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Perses as someone has it who has just cloned it and followed its README."""
    directory = tmp_path / "perses"
    shutil.copytree(PERSES, directory, ignore=LEFT_OUT)
    for project in ("auth", "grouping", "monolith"):
        shutil.copy(directory / project / ".env.example", directory / project / ".env")
    return directory


class Perses:
    """Auth and Grouping as processes: of two projects, or of one."""

    def __init__(self, auth: System, grouping: System) -> None:
        self._auth, self._grouping = auth, grouping
        self._of_auth: list[Running] = []

    @property
    def as_one(self) -> bool:
        return self._auth is self._grouping

    def start(self) -> None:
        self._grouping.serve()
        self._sink(self._grouping, "grouping")
        self.start_auth()

    def start_auth(self) -> None:
        # As one, they share the API: only Auth's Sink is a process of its own.
        self._of_auth = [] if self.as_one else [self._auth.serve()]
        self._of_auth.append(self._sink(self._auth, "auth"))

    def kill_auth(self) -> None:
        for process in self._of_auth:
            assert process.stop(signal.SIGKILL) == -signal.SIGKILL
        assert self.as_one or self._auth.get("/healthz") is None

    def auth(self, query: str, **variables: Any) -> Any:
        return self._ask(self._auth, "/auth/graphql/", query, variables)

    def grouping(self, query: str, **variables: Any) -> Any:
        return self._ask(self._grouping, "/grouping/graphql/", query, variables)

    def events(self) -> list[Sequence[str]]:
        """Return the name and the key of each event in the log."""
        return [line.split()[2:4] for line in self._grouping.manage("events").stdout.splitlines()]

    @staticmethod
    def _sink(project: System, component: str) -> Running:
        sink = project.start("runsink", component)
        sink.says(f"consuming component={component}")
        return sink

    @staticmethod
    def _ask(project: System, path: str, query: str, variables: dict[str, Any]) -> Any:
        """Return the value of the one field asked for; an error's code instead when there is one."""
        answer = project.graphql(query, path, **variables)
        if answer.get("errors"):
            return answer["errors"][0]["extensions"]["code"]
        [value] = answer["data"].values()
        return value


@pytest.fixture(params=["apart", "as one"])
def perses(request: pytest.FixtureRequest, copy: Path, tmp_path: Path) -> Iterator[Perses]:
    state = tmp_path / "state"
    if request.param == "as one":
        with system(copy / "monolith", state, "StudyCase") as both:
            yield Perses(both, both)
    else:
        with system(copy / "auth", state, "StudyCase") as auth, system(copy / "grouping", state) as grouping:
            yield Perses(auth, grouping)


@pytest.mark.broker
def test_1_consistency_within_a_single_component(perses):
    perses.start()

    made = perses.auth(CREATE_USER)

    assert made == {"id": made["id"], "name": "Ada Lovelace", "email": "ada@example.org", "role": "TEACHER"}
    wait_for(lambda: perses.auth(GET_USER, id=made["id"]) == made, "the user to be in Auth's Cache")


@pytest.mark.broker
def test_2_consistency_across_multiple_components(perses):
    perses.start()
    assert perses.grouping(CREATE_SCHOOL, user="nobody") == "UNKNOWN_USER"

    user = perses.auth(CREATE_USER)["id"]
    wait_for(lambda: perses.grouping(GET_MEMBER, id=user), "the user to be in Grouping's Cache")
    school = perses.grouping(CREATE_SCHOOL, user=user)

    assert school == {"id": school["id"], "name": "Analytical", "coordinator": {"id": user}}
    wait_for(lambda: perses.grouping(GET_SCHOOL, id=school["id"]) == school, "the school to be in Grouping's Cache")
    wait_for(lambda: perses.auth(GET_USER, id=user)["role"] == "COORDINATOR", "Auth to hear of the new role")


@pytest.mark.broker
def test_3_decoupling_of_multiple_components_and_one_failing(perses):
    perses.start()
    user = perses.auth(CREATE_USER)["id"]
    wait_for(lambda: perses.grouping(GET_MEMBER, id=user), "the user to be in Grouping's Cache")
    wait_for(lambda: perses.auth(GET_USER, id=user), "the user to be in Auth's Cache")

    perses.kill_auth()
    school = perses.grouping(CREATE_SCHOOL, user=user)

    assert school == {"id": school["id"], "name": "Analytical", "coordinator": {"id": user}}
    wait_for(lambda: perses.grouping(GET_SCHOOL, id=school["id"]) == school, "the school to be in Grouping's Cache")
    assert perses.events() == [["new.user", user], ["new.school", school["id"]], ["update.role", user]]

    perses.start_auth()
    wait_for(lambda: perses.auth(GET_USER, id=user)["role"] == "COORDINATOR", "Auth to catch up")


@pytest.mark.broker
def test_components_of_one_project_part_without_losing_anything(copy, tmp_path):
    state = tmp_path / "state"
    with system(copy / "monolith", state, "StudyCase") as both:
        perses = Perses(both, both)
        perses.start()
        user = perses.auth(CREATE_USER)["id"]
        wait_for(lambda: perses.grouping(GET_MEMBER, id=user), "the user to be in Grouping's Cache")
        wait_for(lambda: perses.auth(GET_USER, id=user), "the user to be in Auth's Cache")
        # As docs/howto/monolith-to-services.md has it: the Sinks first, the API for as long as it is needed.
        both.end_all("runsink")
        school = perses.grouping(CREATE_SCHOOL, user=user)
        assert perses.grouping(GET_SCHOOL, id=school["id"]) is None
        both.end_all("runserver")

        # One Cache goes along, the other is built anew.
        for file in (copy / "monolith").glob("grouping.sqlite3*"):
            shutil.copy(file, copy / "grouping")
        with system(copy / "auth", state) as auth, system(copy / "grouping", state) as grouping:
            apart = Perses(auth, grouping)
            apart.start()
            wait_for(lambda: apart.grouping(GET_SCHOOL, id=school["id"]) == school, "what was announced in between")
            assert apart.grouping(GET_MEMBER, id=user)
            wait_for(lambda: apart.auth(GET_USER, id=user)["role"] == "COORDINATOR", "Auth to have read the log")


@pytest.mark.broker
def test_dev_restarts_what_runs_as_one_when_a_component_beside_it_changes(copy, tmp_path):
    with system(copy / "monolith", tmp_path / "state", "StudyCase") as both:
        dev = both.start("dev", str(free_port()))
        dev.says("GraphiQL: ")

        with (copy / "grouping/grouping/rules.py").open("a") as file:
            file.write("\n")

        dev.says("changed: rules.py")


@pytest.mark.parametrize("project", ["auth", "grouping", "monolith"])
def test_generated_files_are_up_to_date_and_its_own_tests_pass(copy, project):
    state = copy / ".state"

    assert "up to date" in run(["manage.py", "generate", "--check"], copy / project, state).stdout
    assert "no issues" in run(["manage.py", "check"], copy / project, state).stdout
    assert "passed" in run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], copy / project, state).stdout


@pytest.mark.parametrize("project", ["auth", "grouping"])
def test_each_is_what_startcomponent_makes_of_its_schema(tmp_path, project):
    made = create_project(project, tmp_path / project, schema=PERSES / project / project / "schema.yaml")

    for file in (*SHELL, "pyproject.toml", "requirements.txt", ".env.example", f"{project}/apps.py"):
        assert lines(PERSES / project / file) == lines(made / file), file


def test_the_project_that_runs_both_has_only_settings_of_its_own():
    own, template = PERSES / "monolith", PERSES / "auth"

    for file in SHELL:
        missing = set(lines(template / file)) - set(lines(own / file))
        if file != "config/settings.py":
            assert not missing, file
        else:
            assert [line for line in missing if not line.startswith("#")] == [
                'COMPONENTS = find_components(BASE_DIR, first="auth")'
            ]
    assert not list(own.glob("*/schema.yaml"))
    assert not [path for path in PERSES.rglob("*") if path.is_symlink()]


def test_the_readme_asks_only_what_the_components_answer():
    asked = re.findall(r"^(auth|grouping) '(.+)'$", (PERSES / "README.md").read_text(), re.MULTILINE)

    assert {component for component, _ in asked} == {"auth", "grouping"}
    for component, document in asked:
        schema = build_schema((PERSES / component / component / "schema.graphql").read_text())
        assert validate(schema, parse(document.replace("'$ID'", "id"))) == [], document


def test_the_readme_knows_every_event_and_its_third_component_fits():
    readme = (PERSES / "README.md").read_text()
    components = [read_component(PERSES / name / name / "schema.yaml") for name in ("auth", "grouping")]
    [schema] = re.findall(r"```yaml\n(.+?)```", readme, re.DOTALL)
    third = parse_component(schema, "contacts.yaml")

    declared = {event for component in components for event in component.events}
    assert set(re.findall(r"^\| `([a-z.]+)` \|", readme, re.MULTILINE)) == declared
    assert third.namespace == components[0].namespace
    assert set(third.handlers) <= declared


def lines(file: Path) -> list[str]:
    """Return a file's lines but for empty ones: how imports are grouped is the formatter's."""
    return [line for line in file.read_text().splitlines() if line]
