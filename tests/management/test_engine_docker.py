"""Engine `docker`: projects and the broker of their system, by a program that only pretends to be Docker."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from byron.codegen.project import create_project
from byron.management.engines import DockerEngine
from byron.management.systems.container_broker import ContainerBroker
from byron.management.systems.projects import Project
from tests.deploy.projects import component, made
from tests.management.fake_docker import FakeDocker
from tests.processes import free_port


@pytest.fixture
def state(tmp_path):
    with override_settings(BYRON_STATE_DIRECTORY=str(tmp_path / "state")):
        yield tmp_path / "state"


@pytest.fixture(autouse=True)
def docker(tmp_path, monkeypatch):
    made = FakeDocker(tmp_path)
    monkeypatch.setenv("PATH", str(made.bin) + os.pathsep + os.environ["PATH"])
    for name in ("SECRET_KEY", "BROKER_PASSWORD", "CACHE_PASSWORD", "BYRON_BROKER_URL", "API_PORT"):
        monkeypatch.delenv(name, raising=False)
    return made


def project(directory, *labels):
    path = made(directory, *(component(directory, label) for label in labels or [directory.name]))
    (path / "manage.py").touch()
    return Project(path)


@pytest.fixture
def shop(tmp_path, state):
    return project(tmp_path / "shop")


@pytest.fixture
def bank(tmp_path, state):
    return project(tmp_path / "bank")


def up(*projects, **options):
    call_command("up", *[str(each.path) for each in projects], detach=True, engine="docker", **options)


def down(*projects, **options):
    call_command("down", *[str(each.path) for each in projects], engine="docker", **options)


def secret_of(project, name):
    return re.search(f"^{name}=(.*)$", (project.path / "deploy/.env").read_text(), re.MULTILINE)[1]


def test_a_system_has_one_broker_goes_up_and_down_and_both_may_be_repeated(shop, bank, docker, state, capsys):
    up(shop, bank)
    first = capsys.readouterr().out.splitlines()
    assert docker.up == {"calisto", "shop", "bank"}
    up(shop, bank)
    second = capsys.readouterr().out.splitlines()
    down(shop, bank)
    third = capsys.readouterr().out.splitlines()
    down(shop, bank)
    fourth = capsys.readouterr().out

    assert first.index("broker of Calisto: up") < first.index("shop: building and starting containers")
    assert [line.partition(" at http://127.0.0.1:")[0] for line in second] == [
        "shop: is up already",
        "bank: is up already",
    ]
    assert third[-1] == "broker of Calisto: stopped"
    assert "shop: was not running" in fourth
    assert (docker.up, docker.networks) == (set(), [])
    [broker] = docker.calls(state / "docker-engine/calisto", "up")
    passwords = {docker.calls(each.path, "up")[0]["SYSTEM_BROKER_PASSWORD"] for each in (shop, bank)}
    assert passwords == {broker["BROKER_PASSWORD"]}
    [receipts] = {docker.calls(each.path, "up")[0]["SYSTEM_RECEIPT_KEY"] for each in (shop, bank)}
    assert len(receipts) == 64


def test_each_project_has_a_port_of_its_own_and_keeps_it(shop, bank, docker):
    up(shop, bank)
    down()
    up(bank)

    [first], [second, third] = docker.calls(shop.path, "up"), docker.calls(bank.path, "up")
    assert first["API_PORT"] != second["API_PORT"] == third["API_PORT"]


def test_containers_are_restarted_those_that_are_named_or_all_of_the_component(shop, docker, capsys):
    def restart(*options):
        call_command("component", "restart", "--engine", "docker", *options, str(shop.path))

    with pytest.raises(CommandError, match="shop is not up"):
        restart()
    up(shop)
    restart()
    restart("--only", "api")
    with pytest.raises(CommandError, match="a container keeps its port. Take it down, and choose another: byron up"):
        restart("--port", "8001")

    assert docker.arguments(shop.path, "restart") == [["restart", "app-api"]] * 2


def test_a_log_in_a_volume_is_reset_by_docker_itself(state):
    with pytest.raises(CommandError, match="docker volume rm byron-calisto_log"):
        call_command("infrastructure", "reset", "-N", "Calisto", "--yes", "--engine", "docker")


def test_a_port_in_the_project_s_own_file_is_used(shop, docker):
    DockerEngine(shop.path).prepare(shop)
    with (shop.path / "deploy/.env").open("a") as file:
        file.write(f"API_PORT={(port := free_port())}\n")

    up(shop)

    assert docker.calls(shop.path, "up")[0]["API_PORT"] == str(port)


def test_secrets_are_made_once_for_this_user_only_and_said(shop, docker, capsys):
    up(shop)
    made = (shop.path / "deploy/.env").read_text()
    down(shop)
    up(shop)

    assert capsys.readouterr().out.count("shop: deploy/.env is made, with secrets of its own") == 1
    assert (shop.path / "deploy/.env").read_text() == made
    assert (shop.path / "deploy/.env").stat().st_mode & 0o777 == 0o600
    assert len(secret_of(shop, "SECRET_KEY")) >= 50
    for name in ("BROKER_PASSWORD", "CACHE_PASSWORD"):
        assert re.fullmatch("[a-z][a-z0-9]{20,}", secret_of(shop, name))
    assert "SECRET_KEY" not in docker.calls(shop.path, "up")[0]


def test_secrets_of_a_new_project_are_not_for_git(tmp_path, state):
    made = create_project("pupils", tmp_path / "pupils")
    subprocess.run(["git", "init", "--quiet", str(made)], check=True)

    assert DockerEngine(state).prepare(Project(made)) != []

    ignored = ["git", "-C", str(made), "check-ignore", "--quiet", "deploy/.env"]
    assert subprocess.run(ignored, check=False).returncode == 0


def test_build_makes_the_secrets_that_compose_asks_for(shop, docker, capsys):
    call_command("component", "build", str(shop.path), engine="docker")

    assert "shop: deploy/.env is made" in capsys.readouterr().out
    assert len(docker.calls(shop.path, "build")) == 1


def test_questions_need_no_secrets_and_make_none(shop, docker):
    down(shop)
    with pytest.raises(SystemExit):
        call_command("component", "status", str(shop.path), engine="docker")

    assert not (shop.path / "deploy/.env").exists()
    assert docker.calls(shop.path, "ps")[0]["SECRET_KEY"]


def test_a_failure_takes_down_what_this_call_brought_up_and_nothing_else(shop, bank, docker):
    up(shop)
    (bank.path / "broken").touch()

    with pytest.raises(CommandError, match="bank: `docker compose up` failed:\nit is broken"):
        up(shop, bank)
    assert docker.up == {"calisto", "shop"}

    down(shop)
    with pytest.raises(CommandError, match="it is broken"):
        up(bank)
    assert (docker.up, docker.networks) == (set(), [])


def test_a_broker_that_fails_leaves_nothing(shop, docker, state):
    broker = ContainerBroker("Calisto", state)
    broker.directory.mkdir(parents=True)
    (broker.directory / "broken").touch()

    with pytest.raises(CommandError, match="broker of Calisto: `docker compose up` failed:\nit is broken"):
        up(shop)

    assert (docker.up, docker.networks) == (set(), [])


def test_down_leaves_a_broker_that_others_need(shop, bank, docker):
    up(shop, bank)

    down(shop)
    assert docker.up == {"calisto", "bank"}
    down(bank)
    assert docker.up == set()


def test_down_without_paths_takes_down_everything_that_byron_brought_up(shop, bank, docker, capsys):
    up(shop, bank)
    down(namespace="other")
    assert docker.up == {"calisto", "shop", "bank"}

    down()

    assert (docker.up, docker.networks) == (set(), [])


def test_a_broker_of_one_s_own_is_kept_and_none_is_started(shop, docker):
    DockerEngine(shop.path).prepare(shop)
    with (shop.path / "deploy/.env").open("a") as file:
        file.write("BYRON_BROKER_URL=nats://elsewhere:4222\n")

    up(shop)

    assert docker.up == {"shop"}
    down(shop)
    assert docker.networks == []


def test_infrastructure_is_the_broker_alone_and_its_password_is_private(shop, docker, state, capsys):
    def infrastructure(action):
        call_command("infrastructure", action, namespace="Calisto", engine="docker")
        return capsys.readouterr().out

    with pytest.raises(SystemExit) as stopped:
        infrastructure("status")
    assert stopped.value.code == 3
    infrastructure("up")
    assert "Calisto: running, in a container\n  network  byron-calisto\n" in infrastructure("up")
    assert docker.up == {"calisto"}
    assert (state / "docker-engine/calisto/.env").stat().st_mode & 0o777 == 0o600
    assert (state / "docker-engine/calisto").stat().st_mode & 0o777 == 0o700

    call_command("component", "up", "-d", str(shop.path), engine="docker")
    down(shop)
    assert "Calisto: was not running." in infrastructure("down")
    infrastructure("up")
    stopped = infrastructure("down").splitlines()[-1]
    assert stopped == "Calisto: stopped. Its log stays in the volume byron-calisto_log."


def test_components_alone_are_not_started_without_their_broker(shop, docker):
    with pytest.raises(CommandError, match="`byron infrastructure up --engine docker -N Calisto` starts it"):
        call_command("component", "up", "-d", str(shop.path), engine="docker")

    assert docker.up == set()


def test_projects_that_are_up_are_shown_without_being_named(shop, bank, docker, capsys):
    up(shop, bank)
    capsys.readouterr()

    call_command("component", "status", engine="docker")

    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[:2] for row in rows] == [["bank", "up"], ["shop", "up"]]


def test_files_that_are_missing_or_edited_are_named(shop):
    file = shop.path / "deploy/compose.system.yaml"
    file.write_text("services: {}")
    with pytest.raises(CommandError, match="shop: deploy/compose.system.yaml is not what `manage.py generate` writes"):
        up(shop)

    file.unlink()
    with pytest.raises(CommandError, match=r"shop has no deploy/compose.system.yaml: `manage.py generate` writes it"):
        up(shop)
