"""Auth by itself: users, their names and addresses, and the role that Grouping gives them."""

import pytest
from byron.testing import event

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "role": "TEACHER"}
HERE = event("new.user", id="1", **ADA)


def test_a_user_who_was_created_can_be_read(component):
    made = component.mutate("createUser", data=ADA)
    assert component.query("getUser", id=made["id"]) is None

    component.settle()

    assert made == {"id": made["id"], **ADA}
    assert component.query("getUser", id=made["id"]) == made
    assert component.query("getUserByEmail", email="ada@example.org") == made
    assert component.events == [event("new.user", made)]


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"name": "Another Ada", "email": " ADA@Example.org "}, "CONFLICT", "ada@example.org"),
        ({"name": " "}, "BAD_NAME", ""),
        ({"email": "ada"}, "BAD_EMAIL", ""),
        ({"role": "COORDINATOR"}, "WRONG_ROLE", ""),
    ],
)
def test_what_makes_no_user_is_refused_and_nothing_is_announced(component, wrong, code, message):
    component.given(HERE).when("createUser", data={**ADA, **wrong}).then_error(code, message)

    assert component.events == [HERE]


def test_a_user_is_renamed(component):
    renamed = component.given(HERE).when("renameUser", id="1", name=" Ada   King ")

    renamed.then(event("user.renamed", id="1", name="Ada King"))
    assert renamed.result == {"id": "1", **ADA, "name": "Ada King"}
    renamed.then_query("getUser", renamed.result, id="1")
    renamed.when("renameUser", id="nobody", name="Ada").then_error("NOT_FOUND", "'nobody'")


def test_who_coordinates_a_school_is_what_grouping_says(component):
    component.given(HERE).when(event("update.role", id="1", role="COORDINATOR")).then()

    assert component.query("getUsers", role="COORDINATOR")["nodes"] == [{"id": "1", **ADA, "role": "COORDINATOR"}]


def test_faults_leave_the_cache_the_same(component):
    bob = event("new.user", id="2", name="Bob", email="bob@example.org", role="STUDENT")
    renamed, promoted = event("user.renamed", id="1", name="Ada"), event("update.role", id="1", role="COORDINATOR")
    component.survives(HERE, bob, renamed, promoted, examples=10)


def test_every_command_and_event_takes_its_example(component):
    component.examples()
