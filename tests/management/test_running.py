"""The commands `up`, `down` and `component`: what they find, say and refuse."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from byron.broker import server
from byron.management import running
from byron.management.cli import main
from byron.management.projects import Project, ProjectError, find_projects
from tests.management.fake_projects import change, files_of, make_project, processes_of, remember_port
from tests.processes import Running, free_port, wait_for


@pytest.fixture
def state(tmp_path):
    with override_settings(BYRON_STATE_DIRECTORY=str(tmp_path / "state")):
        yield tmp_path / "state"
        call_command("down")
    assert processes_of(tmp_path) == []


@pytest.fixture
def brokers(monkeypatch):
    """Embedded brokers that only pretend to run."""
    up = set()
    monkeypatch.setattr(server, "running", lambda namespace, state_path: namespace.lower() in up or None)
    monkeypatch.setattr(server, "ensure_running", lambda namespace, state_path: up.add(namespace.lower()))
    monkeypatch.setattr(server, "namespaces", lambda state_path: sorted(up))

    def stop(namespace, state_path):
        was_up = namespace.lower() in up
        up.discard(namespace.lower())
        return was_up

    monkeypatch.setattr(server, "stop", stop)
    return up


@pytest.fixture
def shop(tmp_path, state):
    return make_project(tmp_path / "shop", state=state, broker="embedded", namespace="Market")


@pytest.fixture
def bank(tmp_path, state):
    return make_project(tmp_path / "bank", state=state, broker="embedded", namespace="Market")


def up(*projects, **options):
    call_command("up", *[str(project.path) for project in projects], detach=True, **options)


def status(capsys, *projects):
    capsys.readouterr()
    code = 0
    try:
        call_command("component", "status", *[str(project.path) for project in projects], "--json")
    except SystemExit as stopped:
        code = stopped.code
    return code, json.loads(capsys.readouterr().out)


def test_a_system_goes_up_and_down_and_both_may_be_repeated(shop, bank, brokers, capsys):
    up(shop, bank)
    first = capsys.readouterr().out.splitlines()
    ports = [row["port"] for row in status(capsys)[1]]
    up(shop, bank)
    second = capsys.readouterr().out.splitlines()
    call_command("down")
    third = capsys.readouterr().out.splitlines()
    call_command("down")
    fourth = capsys.readouterr().out

    assert first.index("broker of Market: up") < first.index("shop: migrating")
    assert {line for line in first if " up at http" in line} == {
        f"{name}: up at http://127.0.0.1:{port}/graphql/" for name, port in zip(("bank", "shop"), ports, strict=True)
    }
    assert second == [
        f"shop: is up already at http://127.0.0.1:{ports[1]}/graphql/",
        f"bank: is up already at http://127.0.0.1:{ports[0]}/graphql/",
    ]
    assert set(third[:-1]) == {"shop: stopping", "bank: stopping", "shop: stopped", "bank: stopped"}
    assert third[-1] == "broker of Market: stopped"
    assert fourth == "byron: nothing was running\n"
    assert brokers == set()


def test_a_failure_takes_down_what_this_call_brought_up_and_nothing_else(shop, bank, brokers, tmp_path, state, capsys):
    other = make_project(tmp_path / "other", state=state, broker="embedded", namespace="Else")
    up(other)
    change(bank, broken=["runsink"])

    with pytest.raises(CommandError, match="bank cannot be started: sink ended with 1 while it started"):
        up(other, shop, bank)

    assert brokers == {"else"}
    assert [(row["component"], row["state"]) for row in status(capsys)[1]] == [("other", "up")]
    assert processes_of(shop.path) == processes_of(bank.path) == []


def test_a_project_that_cannot_even_be_described_stops_all_before_anything_starts(shop, bank, brokers, capsys):
    change(shop, broken=["describe"])

    with pytest.raises(CommandError, match=r"shop: `manage.py describe` failed in .*:\n(.*\n)*describe is broken"):
        up(bank, shop)

    assert brokers == set()
    assert status(capsys) == (3, [])


def test_down_with_a_path_leaves_a_broker_that_others_need(shop, bank, brokers):
    up(shop, bank)

    call_command("down", str(shop.path))
    assert brokers == {"market"}
    call_command("down", str(bank.path))
    assert brokers == set()


def test_down_with_a_namespace_leaves_the_others(shop, brokers, tmp_path, state, capsys):
    other = make_project(tmp_path / "other", state=state, broker="embedded", namespace="Else")
    up(shop, other)

    call_command("down", namespace="market")

    assert brokers == {"else"}
    assert [row["component"] for row in status(capsys)[1]] == ["other"]


def test_a_broker_that_is_elsewhere_is_neither_started_nor_stopped(shop, brokers):
    change(shop, broker="configured")
    brokers.add("market")

    up(shop)
    call_command("down", str(shop.path))

    assert brokers == {"market"}


def test_component_up_and_down_leave_brokers_alone(shop, brokers):
    call_command("component", "up", "-d", str(shop.path))
    assert brokers == set()
    brokers.add("market")
    call_command("component", "down", str(shop.path))

    assert brokers == {"market"}


def test_status_tells_what_runs_and_what_does_not(shop, bank, brokers, capsys):
    up(shop, port=(port := free_port()))

    code, [first, second] = status(capsys, shop, bank)

    assert code == 3
    assert (first["state"], first["port"], first["url"]) == ("up", port, f"http://127.0.0.1:{port}/graphql/")
    assert sorted(first["pids"]) == ["api", "sink", "supervisor"]
    assert (second["component"], second["state"], second["pids"]) == ("bank", "down", {})
    call_command("component", "status", str(shop.path))
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["COMPONENT", "STATE", "PORT", "PIDS", "SINCE", "RESTARTS"]
    assert row.split()[:3] == ["shop", "up", str(port)]
    assert row.split()[-2:] == ["api=0", "sink=0"]


def test_status_tells_of_a_supervisor_that_was_killed(shop, brokers, capsys):
    up(shop)
    [row] = status(capsys)[1]
    os.kill(row["pids"]["supervisor"], signal.SIGKILL)
    wait_for(lambda: not processes_of(shop.path), "its processes to end")

    with pytest.raises(SystemExit) as stopped:
        call_command("component", "status")

    assert stopped.value.code == 3
    assert "shop: its supervisor was killed; what was left is cleared away" in capsys.readouterr().out
    call_command("component", "logs", str(shop.path))
    assert "shop sink" in capsys.readouterr().out


def test_logs_are_those_of_all_processes_with_their_names(shop, bank, brokers, capsys):
    up(shop, bank)
    capsys.readouterr()

    call_command("component", "logs", str(shop.path), str(bank.path))

    lines = [line.partition(" | ") for line in capsys.readouterr().out.splitlines()]
    said = {(origin.split(maxsplit=1)[1].strip(), text) for origin, _, text in lines}
    for name in ("shop", "bank"):
        assert {(f"{name} api", "serve begins"), (f"{name} sink", "runsink begins"), (f"{name} byron", "up")} <= said


def test_logs_of_what_is_not_up_are_refused(shop):
    with pytest.raises(CommandError, match="shop is not up, so there is no log: `byron up .*shop` starts it"):
        call_command("component", "logs", str(shop.path))


def test_a_port_that_is_taken_stops_all_before_anything_starts(shop, bank, brokers):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(CommandError, match=f"shop: port {port} is taken by process {os.getpid()}"):
            up(shop, port=port)

    assert brokers == set()
    assert processes_of(shop.path) == []
    with pytest.raises(CommandError, match="--port is for one PATH"):
        up(shop, bank, port=8000)


def test_build_runs_what_makes_a_project_ready_and_shows_what_is_wrong(shop, bank, capsys):
    change(bank, broken=["check"])

    with pytest.raises(CommandError, match=r"bank: `manage.py check` failed in .*\n(.*\n)*check is broken"):
        call_command("component", "build", str(bank.path), str(shop.path))

    assert "shop: is ready to run" in capsys.readouterr().out


@pytest.fixture
def foreground(shop, bank, state, tmp_path):
    """`byron up` in a terminal of its own, by the state that its environment names."""
    for project in (shop, bank):
        change(project, broker="configured")
        remember_port(project.path, tmp_path / "home/byron")
    # Not tmp_path: a folder `byron` where the command is given would be taken for the package.
    home = tmp_path / "home"
    started = Running(["-m", "byron", "up", str(shop.path), str(bank.path)], tmp_path, home, tmp_path / "log")
    yield started
    started.end()


def test_in_the_foreground_it_shows_every_line_and_ends_all_of_it_on_ctrl_c(foreground, tmp_path):
    for origin in ("shop api", "shop sink", "bank api", "bank sink"):
        wait_for(lambda origin=origin: re.search(f" {origin} +[|] .* begins", foreground.output), f"lines of {origin}")

    assert foreground.stop(signal.SIGINT) == 0

    assert {"shop: stopped", "bank: stopped"} <= set(foreground.output.splitlines())
    assert processes_of(tmp_path / "shop") == processes_of(tmp_path / "bank") == []
    assert files_of(tmp_path / "home/byron") == ["process-engine/ports.json"]


def test_in_the_foreground_all_of_it_ends_when_it_is_killed(foreground, tmp_path):
    foreground.says("Ctrl-C stops everything")

    foreground.stop(signal.SIGKILL)

    wait_for(lambda: not processes_of(tmp_path / "shop"), "the processes to follow")
    wait_for(lambda: not processes_of(tmp_path / "home/byron"), "the supervisors to follow")


def test_interrupted_while_it_starts_it_takes_down_what_it_began(shop, bank, tmp_path):
    change(bank, broken=[], broker="configured")
    remember_port(bank.path, tmp_path / "home/byron")
    (bank.path / "manage.py").write_text(
        (bank.path / "manage.py").read_text().replace("tell_ready()", "print('hangs', flush=True)")
    )
    # Not tmp_path: a folder `byron` where the command is given would be taken for the package.
    home = tmp_path / "home"
    started = Running(["-m", "byron", "up", "-d", str(bank.path)], tmp_path, home, tmp_path / "log")
    started.says("waiting for API and Sink")

    assert started.stop(signal.SIGTERM) == running.INTERRUPTED

    assert processes_of(bank.path) == []
    assert files_of(tmp_path / "home/byron") == ["process-engine/ports.json"]


# Projects.


def test_a_component_s_folder_stands_for_its_project(shop):
    (shop.path / "shelves").mkdir()
    (shop.path / "shelves/schema.yaml").touch()

    assert find_projects([str(shop.path / "shelves"), str(shop.path)]) == [shop]


def test_every_path_that_is_no_project_is_named(tmp_path):
    with pytest.raises(ProjectError) as refused:
        find_projects([str(tmp_path), str(tmp_path / "none")])

    assert str(refused.value).splitlines() == [
        f"{tmp_path} is no project: it has no manage.py. Name a project's folder, or a component's folder in one.",
        f"{tmp_path / 'none'} does not exist.",
    ]


def test_a_project_is_run_by_its_own_environment_if_it_has_one(tmp_path):
    project = Project(tmp_path)
    assert project.python == sys.executable

    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").touch()
    assert project.python == str(tmp_path / ".venv/bin/python")


def test_a_project_that_nobody_has_configured_runs_as_in_development(tmp_path, monkeypatch):
    for name in ("DEBUG", "SECRET_KEY"):
        monkeypatch.delenv(name, raising=False)
    assert Project(tmp_path).defaults == {"DEBUG": "true"}

    monkeypatch.setenv("SECRET_KEY", "x")
    assert Project(tmp_path).defaults == {}
    monkeypatch.delenv("SECRET_KEY")
    (tmp_path / ".env").touch()
    assert Project(tmp_path).defaults == {}


# Docker, and the help.


def docker(directory, script):
    (directory / "bin").mkdir()
    (directory / "bin/docker").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "bin/docker").chmod(0o755)
    return str(directory / "bin")


@pytest.mark.parametrize(
    ("script", "message", "said"),
    [
        (None, "needs Docker with Compose, which is not installed: install it, or leave out `--engine docker`", ""),
        ("[ $1 = info ] || { echo no plugin; exit 1; }", "needs Docker's Compose plugin, which", "says: no plugin"),
        ("[ $1 = compose ] || { echo no daemon; exit 1; }", "needs a Docker daemon, which does not", "says: no daemon"),
    ],
)
def test_without_docker_the_message_says_what_is_missing(shop, tmp_path, monkeypatch, script, message, said):
    with monkeypatch.context() as patch, pytest.raises(CommandError) as refused:
        patch.setenv("PATH", docker(tmp_path, script) if script else str(tmp_path))
        up(shop, engine="docker")

    assert message in str(refused.value)
    assert str(refused.value).endswith(said)


def test_the_help_begins_with_a_system_s_commands(capsys):
    main(["byron", "--help"])

    assert capsys.readouterr().out.split()[:7] == ["A", "system", "on", "this", "machine:", "up", "Bring"]
