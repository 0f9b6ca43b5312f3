"""Auth by itself: users, their names and addresses, and the role that Grouping gives them."""

import pytest
from byron.events.codec import encode, encode_payload
from byron.events.event import Event
from byron.testing.component import GraphQLFailure

ADA = {"name": "Ada Lovelace", "email": "ada@example.org", "role": "TEACHER"}


def hear(component, name, payload):
    """Put an event of Grouping's into the log, and apply what is there."""
    event = Event(name=name, key=payload["id"], payload=payload, namespace="StudyCase", source="Grouping")
    component.broker.ensure_log()
    component.broker.publish([encode(event, encode_payload(payload))], timeout=1)
    component.settle()


def test_a_user_who_was_created_can_be_read(component):
    made = component.mutate("createUser", data=ADA)
    assert component.query("getUser", id=made["id"]) is None

    component.settle()

    assert made == {"id": made["id"], **ADA}
    assert component.query("getUser", id=made["id"]) == made
    assert component.query("getUserByEmail", email="ada@example.org") == made
    assert [event.name for event in component.events] == ["new.user"]


def test_an_address_is_taken_once_in_whatever_letters(component):
    component.mutate("createUser", data=ADA)
    component.settle()

    with pytest.raises(GraphQLFailure, match="ada@example.org") as refused:
        component.mutate("createUser", data={**ADA, "name": "Another Ada", "email": " ADA@Example.org "})
    assert refused.value.code == "CONFLICT"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [({"name": " "}, "BAD_NAME"), ({"email": "ada"}, "BAD_EMAIL"), ({"role": "COORDINATOR"}, "WRONG_ROLE")],
)
def test_what_makes_no_user_is_refused_and_nothing_is_announced(component, wrong, code):
    with pytest.raises(GraphQLFailure) as refused:
        component.mutate("createUser", data={**ADA, **wrong})

    assert refused.value.code == code
    assert component.events == []


def test_a_user_is_renamed(component):
    made = component.mutate("createUser", data=ADA)
    component.settle()

    renamed = component.mutate("renameUser", id=made["id"], name=" Ada   King ")
    component.settle()

    assert renamed == {**made, "name": "Ada King"}
    assert component.query("getUser", id=made["id"]) == renamed
    with pytest.raises(GraphQLFailure, match="'nobody'") as refused:
        component.mutate("renameUser", id="nobody", name="Ada")
    assert refused.value.code == "NOT_FOUND"


def test_who_coordinates_a_school_is_what_grouping_says(component):
    made = component.mutate("createUser", data=ADA)
    component.settle()

    hear(component, "update.role", {"id": made["id"], "role": "COORDINATOR"})

    coordinators = component.query("getUsers", role="COORDINATOR")
    assert coordinators["nodes"] == [{**made, "role": "COORDINATOR"}]
