"""Grouping by itself: schools and classes, and the users that Auth announces."""

import pytest
from byron.testing import event
from django.core.management import call_command

ROLES = {"tom": "TEACHER", "tina": "TEACHER", "sam": "STUDENT", "sue": "STUDENT", "sid": "STUDENT"}
USERS = [event("new.user", id=id, name=id, email=f"{id}@example.org", role=role) for id, role in ROLES.items()]
SCHOOL = event("new.school", id="s1", name="Analytical", coordinator="tom")
PROGRAMMING = event("new.class", id="c1", name="Programming", school="s1", teacher="tina", students=["sam"])
CLASS = "query($id: ID!) { getClass(id: $id) { name school { name } teacher { name } students { name } } }"


@pytest.fixture
def perses(component):
    """Grouping, with users whose ids are their names, a school and a class."""
    return component.given(*USERS, SCHOOL, PROGRAMMING)


def shown(component):
    """Return the class with what it refers to."""
    return component.graphql(CLASS, id="c1")["getClass"]


def test_a_school_announces_itself_and_its_coordinator(component):
    school = component.given(*USERS).when("createSchool", data={"name": "Analytical"}, userID="tom")

    id = school.result["id"]
    school.then(
        event("new.school", key=id, id=id, name="Analytical", coordinator="tom"),
        event("update.role", key="tom", id="tom", role="COORDINATOR"),
    ).settled()
    assert component.query("getSchools", coordinator="tom")["nodes"] == [school.result]
    assert component.query("getMember", id="tom")["role"] == "COORDINATOR"


def test_what_create_school_returns_is_what_it_announces(component):
    document = 'mutation { createSchool(data: {name: "Analytical"}, userID: "tom") { coordinator { id role } } }'
    component.given(*USERS)
    assert component.graphql(document)["createSchool"] == {"coordinator": {"id": "tom", "role": "COORDINATOR"}}


def test_a_user_whom_grouping_does_not_know_coordinates_nothing(component):
    unknown = component.given(*USERS).when("createSchool", data={"name": "Analytical"}, userID="nobody")
    unknown.then_error("UNKNOWN_USER", "'nobody'").then_error("UNKNOWN_USER", "may not have arrived yet: try again")
    assert component.events == USERS


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("createSchool", {"data": {"name": "Other"}, "userID": "sam"}),
        ("createClass", {"data": {"name": "A"}, "schoolID": "s1", "teacherID": "sam"}),
        ("createClass", {"data": {"name": "A", "students": ["tom"]}, "schoolID": "s1", "teacherID": "tina"}),
        ("enrollStudent", {"classID": "c1", "studentID": "tom"}),
    ],
)
def test_roles_have_to_fit(perses, command, arguments):
    perses.when(command, **arguments).then_error("WRONG_ROLE")


def test_names_are_taken_once(component, perses):
    component.given(event("new.school", id="s2", name="Other", coordinator="tom"))
    new = {"data": {"name": "Programming"}, "teacherID": "tina"}

    perses.when("createSchool", data={"name": " Analytical "}, userID="tina").then_error("CONFLICT")
    perses.when("renameSchool", id="s2", name="Analytical").then_error("CONFLICT")
    perses.when("createClass", **new, schoolID="s1").then_error("CONFLICT")
    perses.when("createClass", **new, schoolID="s2").then(event("new.class", name="Programming", school="s2"))


def test_a_class_has_a_teacher_and_each_student_once(component):
    data = {"name": "Programming", "students": ["sam", "sam"]}
    component.choose_ids("c1")
    made = component.given(*USERS, SCHOOL).when("createClass", data=data, schoolID="s1", teacherID="tina")
    made.then(PROGRAMMING).settled()

    assert shown(component) == {
        "name": "Programming",
        "school": {"name": "Analytical"},
        "teacher": {"name": "tina"},
        "students": [{"name": "sam"}],
    }


def test_two_who_enroll_at_once_are_both_in_the_class(component, perses):
    for student in ("sue", "sid"):
        component.mutate("enrollStudent", classID="c1", studentID=student)
    component.settle()

    assert shown(component)["students"] == [{"name": "sam"}, {"name": "sue"}, {"name": "sid"}]
    perses.when("enrollStudent", classID="c1", studentID="sue").then_error("CONFLICT")


def test_who_enrolls_in_a_class_that_is_deleted_meanwhile_is_in_none(component, perses):
    component.mutate("deleteClass", id="c1")
    component.mutate("enrollStudent", classID="c1", studentID="sue")
    component.settle()

    assert component.query("getClasses")["totalCount"] == 0
    perses.when("deleteClass", id="c1").then_error("NOT_FOUND")


def test_names_change(component, perses):
    perses.when("renameSchool", id="s1", name="Analytical Engine").settled()
    perses.when(event("user.renamed", id="tina", name="Tina")).then()

    assert (shown(component)["school"], shown(component)["teacher"]) == (
        {"name": "Analytical Engine"},
        {"name": "Tina"},
    )


def test_the_log_gives_the_same_cache_again(component, perses):
    perses.when("enrollStudent", classID="c1", studentID="sue").settled()
    before = shown(component)

    call_command("flush", database="grouping", interactive=False)
    assert component.query("getSchool", id="s1") is None
    component.settle()

    assert shown(component) == before


def test_faults_leave_the_cache_the_same(component):
    enrolled = event("student.enrolled", id="c1", student="sue")
    component.survives(*USERS[:2], SCHOOL, PROGRAMMING, enrolled, event("class.deleted", id="c1"), examples=10)


def test_every_command_and_event_takes_its_example(component):
    component.examples()
