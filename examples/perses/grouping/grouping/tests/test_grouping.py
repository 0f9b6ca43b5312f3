"""Grouping by itself: schools and classes, and the users that Auth announces."""

import pytest
from byron.events.codec import encode, encode_payload
from byron.events.event import Event
from byron.testing.component import GraphQLFailure
from django.core.management import call_command

ROLES = {"tom": "TEACHER", "tina": "TEACHER", "sam": "STUDENT", "sue": "STUDENT", "sid": "STUDENT"}
CLASS = "query($id: ID!) { getClass(id: $id) { name school { name } teacher { name } students { name } } }"


def hear(component, name, payload):
    """Put an event of Auth's into the log, and apply what is there."""
    event = Event(name=name, key=payload["id"], payload=payload, namespace="StudyCase", source="Auth")
    component.broker.ensure_log()
    component.broker.publish([encode(event, encode_payload(payload))], timeout=1)
    component.settle()


@pytest.fixture
def perses(component):
    """Grouping, with users whose ids are their names."""
    for name, role in ROLES.items():
        hear(component, "new.user", {"id": name, "name": name, "email": f"{name}@example.org", "role": role})
    return component


@pytest.fixture
def school(perses):
    made = perses.mutate("createSchool", data={"name": "Analytical"}, userID="tom")
    perses.settle()
    return made


@pytest.fixture
def programming(perses, school):
    data = {"name": "Programming", "students": ["sam", "sam"]}
    made = perses.mutate("createClass", data=data, schoolID=school["id"], teacherID="tina")
    perses.settle()
    return made


def refused(component, command, **arguments):
    """Return why a command is refused: its code, and its message."""
    with pytest.raises(GraphQLFailure) as failure:
        component.mutate(command, **arguments)
    return failure.value.code, str(failure.value)


def test_a_school_announces_itself_and_its_coordinator(perses, school):
    [new_school, update_role] = perses.events[-2:]
    assert (new_school.name, new_school.key) == ("new.school", school["id"])
    assert new_school.payload == {**school, "coordinator": "tom"}
    assert (update_role.name, update_role.key) == ("update.role", "tom")
    assert update_role.payload == {"id": "tom", "role": "COORDINATOR"}

    assert perses.query("getSchools", coordinator="tom")["nodes"] == [school]
    assert perses.query("getMember", id="tom")["role"] == "COORDINATOR"


def test_what_create_school_returns_is_what_it_announces(perses):
    document = 'mutation { createSchool(data: {name: "Analytical"}, userID: "tom") { coordinator { id role } } }'
    assert perses.graphql(document)["createSchool"] == {"coordinator": {"id": "tom", "role": "COORDINATOR"}}


def test_a_user_whom_grouping_does_not_know_coordinates_nothing(perses):
    before = perses.events

    code, message = refused(perses, "createSchool", data={"name": "Analytical"}, userID="nobody")

    assert code == "UNKNOWN_USER"
    assert "'nobody'" in message and "may not have arrived yet: try again" in message
    assert perses.events == before


def test_roles_have_to_fit(perses, school):
    new = {"schoolID": school["id"], "teacherID": "tina"}

    assert refused(perses, "createSchool", data={"name": "Other"}, userID="sam")[0] == "WRONG_ROLE"
    assert refused(perses, "createClass", **{**new, "teacherID": "sam"}, data={"name": "A"})[0] == "WRONG_ROLE"
    assert refused(perses, "createClass", **new, data={"name": "A", "students": ["tom"]})[0] == "WRONG_ROLE"


def test_names_are_taken_once(perses, school, programming):
    new = {"schoolID": school["id"], "teacherID": "tina"}
    other = perses.mutate("createSchool", data={"name": "Other"}, userID="tom")
    perses.settle()

    assert refused(perses, "createSchool", data={"name": " Analytical "}, userID="tina")[0] == "CONFLICT"
    assert refused(perses, "renameSchool", id=other["id"], name="Analytical")[0] == "CONFLICT"
    assert refused(perses, "createClass", **new, data={"name": "Programming"})[0] == "CONFLICT"
    assert perses.mutate("createClass", **{**new, "schoolID": other["id"]}, data={"name": "Programming"})


def test_a_class_has_a_teacher_and_students(perses, programming):
    assert perses.graphql(CLASS, id=programming["id"]) == {
        "getClass": {
            "name": "Programming",
            "school": {"name": "Analytical"},
            "teacher": {"name": "tina"},
            "students": [{"name": "sam"}],
        }
    }


def test_two_who_enroll_at_once_are_both_in_the_class(perses, programming):
    for student in ("sue", "sid"):
        perses.mutate("enrollStudent", classID=programming["id"], studentID=student)
    perses.settle()

    [enrolled] = perses.graphql("{ getClasses { nodes { students { id } } } }")["getClasses"]["nodes"]
    assert enrolled["students"] == [{"id": "sam"}, {"id": "sue"}, {"id": "sid"}]
    assert refused(perses, "enrollStudent", classID=programming["id"], studentID="sue")[0] == "CONFLICT"
    assert refused(perses, "enrollStudent", classID=programming["id"], studentID="tom")[0] == "WRONG_ROLE"


def test_who_enrolls_in_a_class_that_is_deleted_meanwhile_is_in_none(perses, programming):
    perses.mutate("deleteClass", id=programming["id"])
    perses.mutate("enrollStudent", classID=programming["id"], studentID="sue")
    perses.settle()

    assert perses.query("getClasses")["totalCount"] == 0
    assert refused(perses, "deleteClass", id=programming["id"])[0] == "NOT_FOUND"


def test_names_change(perses, school, programming):
    perses.mutate("renameSchool", id=school["id"], name="Analytical Engine")
    hear(perses, "user.renamed", {"id": "tina", "name": "Tina"})

    shown = perses.graphql(CLASS, id=programming["id"])["getClass"]
    assert (shown["school"], shown["teacher"]) == ({"name": "Analytical Engine"}, {"name": "Tina"})


def test_the_log_gives_the_same_cache_again(perses, school, programming):
    perses.mutate("enrollStudent", classID=programming["id"], studentID="sue")
    perses.settle()
    before = perses.graphql(CLASS, id=programming["id"])

    call_command("flush", database="grouping", interactive=False)
    assert perses.query("getSchool", id=school["id"]) is None
    perses.settle()

    assert perses.graphql(CLASS, id=programming["id"]) == before
