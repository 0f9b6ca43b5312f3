"""Idempotency keys on real API processes and a real broker, with requests at the same moment."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.test_unique import CREATE, SCHEMA, Races
from tests.processes import byron_admin, system, wait_for

pytestmark = pytest.mark.broker

ROUNDS = 5


@pytest.fixture
def races(tmp_path) -> Iterator[Races]:
    with system(tmp_path / "students", tmp_path / "state", "Races") as running:
        schema = tmp_path / "schema.yaml"
        schema.write_text(SCHEMA % "emit: {event: new.student}")
        byron_admin("startcomponent", "students", "--schema", str(schema), directory=tmp_path)
        yield Races(running)


def test_of_fifty_with_one_key_at_once_one_takes_effect_and_all_answer_the_same(races):
    races.configure("BYRON_PUBLISH_TIMEOUT = 20.0")
    races.serve()
    races.system.sink()
    answers = []
    for number in range(ROUNDS):
        name = f"student {number:03}"
        bodies = races.at_once(
            lambda port, name=name: races.post(CREATE, port, key=f"key of {name}".replace(" ", "-"), name=name)
        )
        answers.append(set(bodies))
        assert len(answers[-1]) == 1, answers[-1]
        assert json.loads(bodies[0])["data"]["createStudent"]["id"]
    expected = [f"student {number:03}" for number in range(ROUNDS)]
    wait_for(lambda: races.names() == expected, "the Cache to have each student once")

    # The Sink has applied them: without the key it would be a CONFLICT.
    again = {
        races.post(CREATE, key=f"key-of-student-{number:03}", name=f"student {number:03}") for number in range(ROUNDS)
    }
    assert again == set.union(*answers)
    assert races.events() == ROUNDS
