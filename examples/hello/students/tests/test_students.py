"""End-to-end: command → event → handler → Cache → query, in one process."""


def test_what_create_student_makes_can_be_read(component):
    made = component.mutate("createStudent", name="Ada", course="some course", ingress=7)

    assert [event.name for event in component.events] == ["new.student"]
    component.settle()
    assert component.query("getStudents") == [made]
