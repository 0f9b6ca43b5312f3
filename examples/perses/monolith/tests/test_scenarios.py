"""The three scenarios of the study case: two components, two Caches, one log."""

import pytest
from byron.testing import event

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "role": "TEACHER"}
SCHOOL = {"name": "Analytical"}
COORDINATED = "query($id: ID!) { getSchool(id: $id) { name coordinator { name role } } }"


def test_1_consistency_within_a_component(system):
    made = system.auth.mutate("createUser", data=ADA)
    system.auth.settle()

    assert system.auth.query("getUser", id=made["id"]) == {"id": made["id"], **ADA}


def test_2_consistency_across_components(system):
    user = system.auth.mutate("createUser", data=ADA)
    too_early = system.grouping.when("createSchool", data=SCHOOL, userID=user["id"])
    too_early.then_error("UNKNOWN_USER", f"'{user['id']}'")
    too_early.then_error("UNKNOWN_USER", "may not have arrived yet")

    system.settle()
    school = system.grouping.mutate("createSchool", data=SCHOOL, userID=user["id"])
    system.settle()

    assert system.grouping.graphql(COORDINATED, id=school["id"]) == {
        "getSchool": {"name": "Analytical", "coordinator": {"name": "Ada Lovelace", "role": "COORDINATOR"}}
    }
    assert system.auth.query("getUser", id=user["id"])["role"] == "COORDINATOR"


@pytest.mark.also_real
def test_2_in_this_process_and_on_real_ones(system):
    system.auth.given(event("new.user", id="u1", **ADA))
    system.settle()
    made = system.grouping.when("createSchool", data=SCHOOL, userID="u1")

    made.settled().then(event("new.school", name="Analytical"), event("update.role", id="u1", role="COORDINATOR"))
    system.settle()
    assert system.auth.query("getUser", id="u1")["role"] == "COORDINATOR"


def test_3_decoupling_of_components_of_which_one_fails(system):
    """Auth goes down before it has applied even its own new.user, and catches up once it is up again."""
    user = system.auth.mutate("createUser", data=ADA)
    with system.down("auth"):
        system.settle()
        school = system.grouping.mutate("createSchool", data=SCHOOL, userID=user["id"])
        system.settle()

        assert system.grouping.query("getSchool", id=school["id"]) == school
        assert system.events == [event("new.user"), event("new.school"), event("update.role")]
    assert system.auth.query("getUser", id=user["id"]) is None

    system.settle()
    assert system.auth.query("getUser", id=user["id"])["role"] == "COORDINATOR"
