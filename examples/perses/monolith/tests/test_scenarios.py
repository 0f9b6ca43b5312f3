"""The three scenarios of the study case: two components, two Caches, one log."""

import pytest
from byron.testing.component import ComponentUnderTest, GraphQLFailure
from django.apps import apps

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "role": "TEACHER"}
SCHOOL = {"name": "Analytical"}
COORDINATED = "query($id: ID!) { getSchool(id: $id) { name coordinator { name role } } }"


@pytest.fixture
def auth(component):
    """The project's first component, which has the log."""
    return component


@pytest.fixture
def grouping(auth):
    made = ComponentUnderTest(apps.get_app_config("grouping"))
    made.broker = auth.broker
    return made


def test_1_consistency_within_a_component(auth):
    made = auth.mutate("createUser", data=ADA)
    auth.settle()

    assert auth.query("getUser", id=made["id"]) == {"id": made["id"], **ADA}


def test_2_consistency_across_components(auth, grouping):
    user = auth.mutate("createUser", data=ADA)
    with pytest.raises(GraphQLFailure, match=f"'{user['id']}'.* may not have arrived yet") as too_early:
        grouping.mutate("createSchool", data=SCHOOL, userID=user["id"])
    assert too_early.value.code == "UNKNOWN_USER"

    grouping.settle()
    school = grouping.mutate("createSchool", data=SCHOOL, userID=user["id"])
    grouping.settle()
    auth.settle()

    assert grouping.graphql(COORDINATED, id=school["id"]) == {
        "getSchool": {"name": "Analytical", "coordinator": {"name": "Ada Lovelace", "role": "COORDINATOR"}}
    }
    assert auth.query("getUser", id=user["id"])["role"] == "COORDINATOR"


def test_3_decoupling_of_components_of_which_one_fails(auth, grouping):
    """Auth is down from here on: it applies nothing, not even its own new.user, until it is up again."""
    user = auth.mutate("createUser", data=ADA)
    grouping.settle()

    school = grouping.mutate("createSchool", data=SCHOOL, userID=user["id"])
    grouping.settle()

    assert grouping.query("getSchool", id=school["id"]) == school
    assert [event.name for event in grouping.events] == ["new.user", "new.school", "update.role"]
    assert auth.query("getUser", id=user["id"]) is None

    auth.settle()
    assert auth.query("getUser", id=user["id"])["role"] == "COORDINATOR"
