"""The monograph's Listing 6, and what surrounds it: real processes, a real broker, HTTP."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import System, byron_admin, system, wait_for

pytestmark = pytest.mark.broker
LISTING_2 = Path(__file__).parent.parent / "schema" / "listings" / "listing_2.yaml"

CREATE = """mutation($name: String!) {
  createStudent(name: $name, course: "Computer Science", ingress: 2020) { id name course ingress }
}"""
READ = "{ getStudents { id name course ingress } }"


@pytest.fixture
def hello(tmp_path) -> Iterator[System]:
    byron_admin("startcomponent", "students", "--schema", str(LISTING_2), directory=tmp_path)
    with system(tmp_path / "students", tmp_path / "state", "Calisto") as running:
        yield running


def create(hello: System, name: str) -> dict[str, object]:
    answer = hello.graphql(CREATE, name=name)
    assert "errors" not in answer
    return answer["data"]["createStudent"]


def students(hello: System) -> list[dict[str, object]]:
    return hello.graphql(READ)["data"]["getStudents"]


def test_querying_students_returns_the_inserted_data(hello):
    hello.serve()
    hello.sink()

    made = create(hello, "John Doe")

    assert made == {"id": made["id"], "name": "John Doe", "course": "Computer Science", "ingress": 2020}
    wait_for(lambda: students(hello) == [made], "the student to be in the Cache")
    assert f"new.student  {made['id']}" in hello.manage("events").stdout


def test_a_query_with_a_receipt_sees_what_was_just_written(hello):
    hello.serve()
    hello.sink()
    for number in range(50):
        receipt = hello.request(CREATE, name=f"student {number}").headers["Byron-Receipt"]
        answer = hello.request(READ, headers={"Byron-After": receipt, "Byron-Consistency": "strict"})
        assert len(json.loads(answer.read())["data"]["getStudents"]) == number + 1


def test_a_receipt_is_waited_for_without_the_broker_and_the_sink_for_a_bounded_time(hello):
    hello.serve()
    receipt = hello.request(CREATE, name="Ada").headers["Byron-Receipt"]
    answer = json.loads(hello.request(READ, headers={"Byron-After": receipt}).read())

    assert answer == {"data": {"getStudents": []}, "extensions": {"byron": {"stale": True, "reason": "pending"}}}


def test_the_api_answers_without_a_sink_which_catches_up_later(hello):
    hello.serve()
    made = [create(hello, f"student {number}") for number in range(20)]
    assert students(hello) == []

    hello.sink()

    wait_for(lambda: students(hello) == made, "the Sink to catch up, in order")


def test_a_stopped_sink_goes_on_where_it_was(hello):
    hello.serve()
    first = hello.sink()
    made = [create(hello, "one")]
    wait_for(lambda: students(hello) == made, "the first student")
    assert first.stop() == 0

    made.append(create(hello, "two"))
    hello.sink()
    wait_for(lambda: students(hello) == made, "the second student")


def test_a_killed_sink_applies_nothing_twice(hello):
    handler = hello.project / "students/sink/handlers/new_student.py"
    handler.write_text(handler.read_text() + '    open("applied.log", "a").write(f"{event.position}\\n")\n')
    hello.serve()
    first = hello.sink()
    made = [create(hello, f"student {number}") for number in range(5)]
    wait_for(lambda: students(hello) == made, "five students")
    first.stop(signal.SIGKILL)

    hello.sink()
    made.append(create(hello, "last"))
    wait_for(lambda: students(hello) == made, "the last student")
    assert (hello.project / "applied.log").read_text().split() == ["1", "2", "3", "4", "5", "6"]


def test_a_second_sink_stands_by_and_takes_over(hello):
    hello.serve()
    first = hello.sink()
    second = hello.start("runsink")
    second.says("standby component=students")
    made = [create(hello, "one")]
    wait_for(lambda: students(hello) == made, "the first student")

    first.stop(signal.SIGKILL)
    made.append(create(hello, "two"))

    wait_for(lambda: students(hello) == made, "the second Sink to take over")
    second.says("consuming component=students")


def test_a_sink_without_its_tables_waits_and_says_what_to_do(hello):
    (hello.project / ".env").write_text("DEBUG=true\n")
    hello.serve()
    made = [create(hello, "one")]
    address = hello.manage("infrastructure", "status", "-N", "Calisto").stdout.split("address")[1].split()[0]
    (hello.project / ".env").write_text(f"DEBUG=false\nSECRET_KEY=x\nBYRON_BROKER_URL={address}\n")
    hello.manage("migrate", "students", "zero", "-v0")
    sink = hello.start("runsink")
    sink.says("remedy='run manage.py migrate'")

    hello.manage("migrate", "-v0")

    wait_for(lambda: students(hello) == made, "the Sink to go on by itself")


def test_an_emptied_cache_is_built_anew_from_the_log(hello):
    hello.serve()
    first = hello.sink()
    made = [create(hello, "one"), create(hello, "two")]
    wait_for(lambda: students(hello) == made, "two students")
    first.stop()
    hello.manage("flush", "--database", "students", "--no-input")
    assert students(hello) == []

    hello.sink()
    wait_for(lambda: students(hello) == made, "the Cache to be built anew")


def test_queries_and_health_go_on_while_the_broker_is_away_and_mutations_say_so(hello):
    hello.serve()
    hello.sink()
    made = create(hello, "one")
    wait_for(lambda: students(hello) == [made], "the student")
    hello.manage("infrastructure", "down", "-N", "Calisto")
    # Nothing may start it again: the next mutation would.
    (hello.state / "byron/calisto/nats.conf").unlink()
    (hello.state / "byron/calisto").chmod(0o000)
    try:
        assert students(hello) == [made]
        assert b'"status": "ok"' in (hello.get("/readyz") or b"")
    finally:
        (hello.state / "byron/calisto").chmod(0o700)


def test_a_broker_that_went_away_is_started_again_and_nothing_is_lost(hello):
    hello.serve()
    hello.sink()
    made = [create(hello, "one")]
    wait_for(lambda: students(hello) == made, "the student")

    hello.manage("infrastructure", "down", "-N", "Calisto")
    made.append(create(hello, "two"))

    wait_for(lambda: students(hello) == made, "the student made after the restart")


def test_the_api_process_cannot_write_the_cache_even_around_the_router(hello):
    command = hello.project / "students/api/commands/get_students.py"
    command.write_text(
        "from django.db import connections\n\n\n"
        "def get_students(ctx):\n"
        '    connections["students"].cursor().execute("DELETE FROM students_student")\n'
    )
    api = hello.serve()

    answer = hello.graphql(READ)

    assert answer["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    api.says("attempt to write a readonly database")


def test_two_components_of_one_project_meet_through_events_only(hello):
    hello.manage("startcomponent", "mentors", "--schema", str(LISTING_2))
    schema = hello.project / "mentors/schema.yaml"
    schema.write_text(schema.read_text().replace('name: "Student"\nnamespace', 'name: "Mentors"\nnamespace'))
    hello.manage("generate")
    hello.serve()
    hello.sink()

    made = create(hello, "Ada")

    def everywhere() -> bool:
        answers = [hello.graphql(READ, path=path)["data"]["getStudents"] for path in ("/graphql/", "/mentors/graphql/")]
        return answers == [[made], [made]]

    wait_for(everywhere, "the student in both Caches")
    assert (hello.project / "mentors.sqlite3").exists()
