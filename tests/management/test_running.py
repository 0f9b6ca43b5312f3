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
from byron.management.cli import main
from byron.management.systems import running
from byron.management.systems.projects import Project, ProjectError, find_projects
from tests.management.fake_projects import change, files_of, make_project, remember_port
from tests.processes import Running, free_port, processes_of, run, wait_for


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


def test_a_log_is_not_removed_while_a_component_of_its_system_is_up(shop, brokers, state, monkeypatch):
    monkeypatch.setattr("byron.management.systems.resetting._begin_log", lambda namespace: None)
    up(shop)
    (state / "market/data").mkdir(parents=True)
    (state / "market/data/log").write_text("events")

    with pytest.raises(CommandError, match="shop of MARKET is up, and nothing was removed: `byron down -N MARKET`"):
        call_command("infrastructure", "reset", "--yes", "-N", "MARKET")

    assert (state / "market/data/log").exists()
    call_command("down")
    call_command("infrastructure", "reset", "--yes", "-N", "MARKET")
    assert not (state / "market/data").exists()


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
    assert heading.split() == ["COMPONENT", "STATE", "PORT", "PIDS", "SINCE", "RESTARTS", "PARKED"]
    assert row.split()[:3] == ["shop", "up", str(port)]
    assert row.split()[-3:] == ["api=0", "sink=0", "0"]


@pytest.mark.parametrize(("parked", "told", "shown"), [([2, 3], 5, "5"), ([2, None], None, "-"), ([], 0, "0")])
def test_status_tells_how_many_events_are_set_aside_if_every_cache_can_be_asked(
    shop, brokers, capsys, parked, told, shown
):
    change(shop, parked=parked)
    up(shop)

    [row] = status(capsys, shop)[1]

    assert row["parked"] == told
    call_command("component", "status", str(shop.path))
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == shown


def test_events_set_aside_are_told_when_their_component_comes_up(shop, bank, brokers, capsys):
    change(shop, parked=[1])

    up(shop, bank)

    told = [line for line in capsys.readouterr().out.splitlines() if "set aside" in line]
    assert told == [
        "shop: 1 event is set aside; `manage.py parked` shows it and `manage.py parked retry --all` tries it again, "
        f"in {shop.path}"
    ]


def test_a_sink_that_waits_since_the_log_is_another_is_told_with_the_remedy(shop, brokers, capsys):
    change(shop, parked=[0], log="does not hold what the Cache has applied")
    waits = (
        "shop: the log does not hold what the Cache of 0 has applied, so its Sink waits: restore the log, or run "
        f"`manage.py rebuildcache 0`, in {shop.path}"
    )

    up(shop)
    assert waits in capsys.readouterr().out.splitlines()
    call_command("component", "status", str(shop.path))
    assert capsys.readouterr().out.splitlines()[-1] == f"{waits}."
    assert status(capsys, shop)[1][0]["another_log"] == ["0"]


def test_restart_starts_each_process_anew_at_its_port_and_the_log_tells(shop, bank, brokers, capsys):
    up(shop, bank)
    before = {row["component"]: row for row in status(capsys)[1]}

    call_command("component", "restart", str(bank.path), str(shop.path))

    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "restarted" in line] == [
        f"{name}: restarted, up at {before[name]['url']}" for name in ("bank", "shop")
    ]
    for row in status(capsys)[1]:
        pids, old = row["pids"], before[row["component"]]["pids"]
        assert row["state"] == "up"
        assert pids["supervisor"] == old["supervisor"]
        assert not {pids["api"], pids["sink"]} & {old["api"], old["sink"]}
    call_command("component", "logs", str(shop.path))
    log = capsys.readouterr().out
    assert log.index("| up") < log.index("asked to restart api, sink") < log.index("api restarted, process")
    assert log.index("api restarted, process") < log.index("sink restarted, process")


def test_a_restart_tells_what_is_still_set_aside(shop, brokers, capsys):
    change(shop, parked=[2])
    up(shop)
    capsys.readouterr()

    call_command("component", "restart", str(shop.path))

    assert "shop: 2 events are set aside; `manage.py parked` shows them" in capsys.readouterr().out


def test_what_is_up_can_be_named_without_its_path(shop, bank, brokers, capsys, tmp_path, monkeypatch):
    up(shop, bank)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    capsys.readouterr()

    with monkeypatch.context() as there:
        there.chdir(elsewhere)
        call_command("component", "logs", "shop")
        assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == {"shop"}
        call_command("component", "restart", "shop")
        assert "shop: restarted" in capsys.readouterr().out
        call_command("component", "status", "bank", "--json")
        assert [row["component"] for row in json.loads(capsys.readouterr().out)] == ["bank"]
        call_command("component", "down", "shop")
        assert "shop: stopped" in capsys.readouterr().out
        with pytest.raises(CommandError, match="shop is no folder that exists, nor the name of a project that is up"):
            call_command("component", "down", "shop")


def test_restart_takes_one_process_only_and_refuses_one_that_is_not_there(shop, brokers, capsys):
    up(shop)
    [before] = status(capsys)[1]

    call_command("component", "restart", "--only", "sink", str(shop.path))

    [after] = status(capsys)[1]
    assert after["pids"]["api"] == before["pids"]["api"]
    assert after["pids"]["sink"] != before["pids"]["sink"]
    with pytest.raises(CommandError, match="shop has no process snik; it has api, sink"):
        call_command("component", "restart", "--only", "snik", str(shop.path))


def test_up_at_another_port_than_that_of_a_running_api_is_refused_and_restart_moves_it(shop, bank, brokers, capsys):
    up(shop)
    [before] = status(capsys)[1]
    port = free_port()

    with pytest.raises(CommandError) as refused:
        up(shop, port=port)

    assert str(refused.value) == (
        f"shop is up already, at port {before['port']} and not {port}. To move it: "
        f"byron component restart --port {port} {shop.path}"
    )
    call_command("component", "restart", "--port", str(port), str(shop.path))
    [moved] = status(capsys)[1]
    assert (moved["state"], moved["port"]) == ("up", port)
    up(shop, port=port)
    with pytest.raises(CommandError, match="--port is for the API of one PATH"):
        call_command("component", "restart", "--port", str(port), str(shop.path), str(bank.path))


def test_a_restart_that_cannot_be_prepared_leaves_all_as_it_was(shop, bank, brokers, capsys):
    up(shop)
    before = status(capsys)[1]

    for broken in ("describe", "migrate"):
        change(shop, broken=[broken])
        with pytest.raises(CommandError, match=f"shop: `manage.py {broken}` failed in"):
            call_command("component", "restart", str(shop.path))
        assert status(capsys)[1] == before
    with pytest.raises(CommandError, match="bank is not up: `byron up -d .*bank` starts it"):
        call_command("component", "restart", str(bank.path))


def test_a_process_that_does_not_come_up_again_ends_a_restart_and_is_tried_on(shop, brokers, capsys):
    up(shop)
    [before] = status(capsys)[1]
    change(shop, broken=["serve"])

    with pytest.raises(
        CommandError, match=r"api ended with 1 while it restarted; it starts again in 0.5 s(.|\n)*broken"
    ):
        call_command("component", "restart", str(shop.path))

    [after] = status(capsys)[1]
    assert after["state"] == "restarting"
    assert after["pids"]["sink"] == before["pids"]["sink"]
    change(shop, broken=[])
    wait_for(lambda: status(capsys)[1][0]["state"] == "up", "the API to be started again")


def test_a_restart_follows_what_the_schema_has_become(shop, brokers, capsys):
    up(shop)
    [component] = json.loads((shop.path / "facts.json").read_text())["components"]

    change(shop, components=[{**component, "handlers": 0}])
    call_command("component", "restart", str(shop.path))
    assert sorted(status(capsys)[1][0]["pids"]) == ["api", "supervisor"]
    change(shop, components=[component])
    call_command("component", "restart", str(shop.path))
    assert sorted(status(capsys)[1][0]["pids"]) == ["api", "sink", "supervisor"]


def test_status_names_the_broker_that_runs_when_no_component_does(shop, brokers, capsys):
    up(shop)
    call_command("component", "down", str(shop.path))
    capsys.readouterr()

    with pytest.raises(SystemExit):
        call_command("component", "status")
    assert capsys.readouterr().out == "No component is up; the broker of market is.\n"


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


def test_logs_without_paths_are_those_of_all_that_is_up(shop, bank, brokers, capsys):
    with pytest.raises(CommandError, match="Nothing is up, so there are no logs"):
        call_command("component", "logs")
    up(shop, bank)
    capsys.readouterr()

    call_command("component", "logs")

    assert {line.split()[1] for line in capsys.readouterr().out.splitlines()} == {"shop", "bank"}


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


def test_in_the_foreground_it_stays_while_a_project_is_restarted(foreground, shop, tmp_path):
    foreground.says("Ctrl-C stops everything")

    run(["-m", "byron", "component", "restart", str(shop.path)], tmp_path, tmp_path / "home")

    foreground.says("sink restarted, process")
    assert foreground.process.poll() is None
    assert foreground.stop(signal.SIGINT) == 0
    assert {"shop: stopped", "bank: stopped"} <= set(foreground.output.splitlines())


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
        f"{tmp_path / 'none'} is no folder that exists.",
    ]


def test_a_name_stands_for_the_one_project_that_has_it(tmp_path):
    known = [Project(tmp_path / folder) for folder in ("here/shop", "there/shop", "here/bank")]

    assert find_projects(["bank"], known) == [known[2]]
    with pytest.raises(
        ProjectError, match=f"shop is the name of several projects; .* {known[0].path} or {known[1].path}"
    ):
        find_projects(["shop"], known)


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
