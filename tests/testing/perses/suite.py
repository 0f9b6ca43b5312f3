"""The tests of the project Perses, which tests/testing/test_system.py runs in it."""

import os
import signal
import time
from pathlib import Path
from unittest.mock import ANY

import pytest

from byron.testing import event
from byron.testing.failures import ComponentDown, GraphQLFailure, SystemFailure


@pytest.mark.also_real
def test_a_coordinator_gets_the_role(system):
    ada = system.auth.mutate("createUser", name="Ada", role="TEACHER")
    assert system.settle() == 1
    school = system.grouping.mutate("createSchool", name="USP", coordinator=ada["id"])
    assert system.settle() == 2
    assert system.settle() == 0

    assert system.auth.query("getUser", id=ada["id"])["role"] == "COORDINATOR"
    assert system["grouping"].query("getSchools") == [school]
    assert [event.name for event in system.events] == ["new.user", "new.school", "update.role"]
    assert system.grouping.events == system.events
    assert system.events[1].payload == {"id": school["id"], "name": "USP", "coordinator": ada["id"]}

    guest = {"name": "Bob", "role": "TEACHER"}
    with pytest.raises(GraphQLFailure) as refused:
        system.auth.as_user("u1", roles=["TEACHER"]).mutate("inviteUser", **guest)
    assert refused.value.code == "FORBIDDEN"
    assert system.auth.as_user("u2", roles=["COORDINATOR"]).mutate("inviteUser", **guest)["name"] == "Bob"


@pytest.mark.also_real
def test_what_comes_of_a_command_and_of_an_event(system):
    auth, grouping = system.auth, system.grouping
    auth.given(event("new.user", id="u1", name="Ada", role="TEACHER")).then_query(
        "getUser", {"id": "u1", "name": "Ada", "role": "TEACHER"}, id="u1"
    )

    made = grouping.when("createSchool", name="USP", coordinator="u1")
    # Whether or not a Sink has gone on meanwhile, and others have.
    made.then(event("new.school", name="USP", coordinator="u1"))
    system.settle()
    made.then(event("new.school"))
    made.settled().then(event("new.school"), event("update.role", id="u1", role="COORDINATOR"))
    assert made.result == {"id": ANY, "name": "USP", "coordinator": "u1"}

    with pytest.raises(
        AssertionError, match=r"Auth emitted new\.user; `then` is about Grouping alone: `system\.events`"
    ):
        asked = grouping.when("createSchool", name="UFF", coordinator="u2")
        auth.mutate("createUser", name="Bob", role="TEACHER")
        asked.then(event("new.school"), event("new.user"))

    again = auth.when(event("update.role", id="u1", role="TEACHER")).then()
    again.then_query("getUser", {"id": "u1", "name": "Ada", "role": "TEACHER"}, id="u1")


@pytest.mark.also_real
def test_events_are_published_and_applied_by_one_component(system):
    u1 = event("new.user", id="u1", name="Ada", role="TEACHER")
    before = system.auth.mutate("createUser", name="Bob", role="TEACHER")
    assert system.auth.settle() == 1
    system.auth.publish(u1, event("update.role", id="u1", role="COORDINATOR"))
    assert system.auth.settle() == 2
    assert system.auth.settle() == 0
    assert system.settle() == 0
    system.auth.as_user("ada").when(event("update.role", id="u1", role="TEACHER")).then()
    assert system.auth.query("getUser", id="u1")["role"] == "TEACHER"
    [bob, *published] = system.events
    assert published == [u1, event("update.role", role="COORDINATOR"), event("update.role", role="TEACHER")]
    # They happen when they are published, not when they are written.
    assert bob.key == before["id"]
    assert bob.time <= published[0].time <= published[1].time <= published[2].time

    with pytest.raises(LookupError, match="handles or declares an event 'new.usr'; did you mean \"new.user\""):
        system.auth.publish(event("new.usr", id="u1"))
    with system.down("auth"):
        system.auth.publish(event("update.role", id="u1", role="COORDINATOR"))
        assert system.auth.settle() == 0
    assert system.auth.settle() == 1
    system.auth.when("inviteUser", name="Bob", role="TEACHER").then_error("UNAUTHENTICATED")
    with pytest.raises(GraphQLFailure) as unknown:
        system.auth.mutate("inviteUser", name="Bob", role="TEACHER")
    assert 'component.as_user("ada", roles=[…])' in unknown.value.__notes__[-1]


@pytest.mark.real
def test_what_is_for_one_process_says_so(system):
    with pytest.raises(AttributeError, match="`choose_ids` is for tests in one process; auth runs in processes of its"):
        system.auth.choose_ids("1")
    with pytest.raises(AttributeError, match="'RealComponent' object has no attribute 'mutat'"):
        system.auth.mutat("ask")


@pytest.mark.also_real
def test_one_is_down_and_the_other_goes_on(system):
    ada = system.auth.mutate("createUser", name="Ada", role="TEACHER")
    system.settle()

    with system.down("auth"):
        system.grouping.mutate("createSchool", name="USP", coordinator=ada["id"])
        assert system.settle() == 1
        assert len(system.grouping.query("getSchools")) == 1
        with pytest.raises(ComponentDown, match="auth is down: its API does not answer"):
            system.auth.query("getUser", id=ada["id"])

    assert system.settle() == 1
    assert system.auth.query("getUser", id=ada["id"])["role"] == "COORDINATOR"


@pytest.mark.also_real
def test_an_endless_cascade_is_an_error(system):
    system.auth.mutate("ask", name="Why?", role="TEACHER")

    with pytest.raises(SystemFailure) as failure:
        system.settle()
    asked, answered = "    question.asked, emitted by Auth\n", "    answer.given, emitted by Grouping\n"
    told = str(failure.value)
    assert "leads to itself, 301 times by now." in told
    assert asked + answered + asked in told or answered + asked + answered in told
    assert "It began with question.asked, emitted by Auth." in told


def test_a_handler_s_error_is_raised(system):
    system.auth.mutate("makeTrouble", name="Eve", role="TEACHER")

    with pytest.raises(ValueError, match="No shelf is left"):
        system.settle()


@pytest.mark.real
def test_what_goes_wrong_is_told(system, monkeypatch):
    sink = next(process for process in system.processes if process.name == "grouping sink")
    wait_for_text(sink.log, "consuming component=grouping")
    with monkeypatch.context() as impatient:
        freeze(sink.pid)
        system.grouping.mutate("createSchool", name="USP", coordinator="u1")
        impatient.setattr(system._patience, "seconds", 0.3)
        with pytest.raises(SystemFailure) as slow:
            system.settle()
        os.kill(sink.pid, signal.SIGCONT)
    told = str(slow.value)
    assert "Waited 0.3 s in vain for everything to be applied.\n" in told
    assert "grouping has applied the log up to position 0; 1 events wait, first new.school of Grouping at" in told
    assert f"grouping sink runs, as process {sink.pid}. The last lines of its log, {sink.log}:\n    " in told
    assert "consuming component=grouping" in told
    assert system.settle() == 2

    system.auth.mutate("makeTrouble", name="Eve", role="TEACHER")
    with pytest.raises(SystemFailure) as parked:
        system.settle()
    told = str(parked.value)
    assert "grouping has parked an event: trouble.made at position 3, parked after 6 tries by troubleMade" in told
    assert 'raise ValueError("No shelf is left.")' in told

    os.kill(sink.pid, signal.SIGKILL)
    sink.wait(10)
    with pytest.raises(SystemFailure, match=rf"but grouping sink \(process {sink.pid}\) was ended by SIGKILL"):
        system.settle()

    broker = system.processes[0]
    os.kill(broker.pid, signal.SIGKILL)
    broker.wait(10)
    with pytest.raises(SystemFailure, match=r"but broker \(process \d+\) was ended by SIGKILL"):
        system.settle()


def wait_for_text(file, text):
    wait_for(lambda: text in file.read_text())


def freeze(pid):
    """Stop a process; the signal is on its way when `kill` returns."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.real
def test_a_process_cannot_start(system):
    system.settle()


@pytest.mark.real
def test_the_run_is_killed(system):
    pids = [str(process.pid) for process in system.processes]
    Path(os.environ["PIDS"]).write_text(" ".join(pids))
    # Who runs these tests in the background has them ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.kill(os.getpid(), signal.Signals[os.environ["SIGNAL"]])
    time.sleep(60)
