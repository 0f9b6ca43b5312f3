"""End-to-end: command → event → handler → Cache → query, in one process."""


def test_what_create_author_makes_can_be_read(component):
    made = component.mutate("createAuthor", full_name="Ada")

    assert [event.name for event in component.events] == ["new.author"]
    component.settle()
    assert component.query("getAuthor", id=made["id"]) == made
