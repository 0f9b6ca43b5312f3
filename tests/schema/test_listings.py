"""The monograph's listings load exactly as they are printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from byron.schema.loader import load
from byron.schema.model import Component
from byron.schema.parser import Parsed, parse
from byron.schema.problems import InvalidSchemaError
from byron.schema.reader import parse_component, read_component
from byron.schema.type_ref import TypeRef

LISTINGS = Path(__file__).parent / "listings"
#: What stands where Listing 8 has only `# ...`.
OMITTED = {
    "auth": """
  types: [{name: User, attributes: [{name: email, type: 'String!'}]}]
  inputs: [{name: CreateUserInput, attributes: [{name: email, type: 'String!'}]}]
""",
    "grouping": """
  types: [{name: School, attributes: [{name: name, type: 'String!'}]}]
  inputs: [{name: CreateSchoolInput, attributes: [{name: name, type: 'String!'}]}]
""",
}


def _listing_8(name: str) -> str:
    return (LISTINGS / f"listing_8_{name}.yaml").read_text()


def _parsed(text: str) -> Parsed:
    return parse(load(text))


def test_listing_2_loads() -> None:
    component = read_component(LISTINGS / "listing_2.yaml")
    assert (component.name, component.namespace) == ("Student", "Calisto")
    student = component.types["Student"]
    assert {a.name: str(a.type) for a in student.attributes} == {
        "name": "String!",
        "course": "String!",
        "ingress": "Int!",
    }
    query, mutation = component.content.commands
    assert (query.name, query.type, str(query.return_type), query.parameters) == (
        "getStudents",
        "query",
        "[Student!]!",
        (),
    )
    assert (mutation.name, mutation.type, str(mutation.return_type)) == ("createStudent", "mutation", "Student!")
    assert [p.name for p in mutation.parameters] == ["name", "course", "ingress"]
    (handler,) = component.content.handlers
    assert (handler.name, handler.event, handler.apply) == ("newStudent", "new.student", None)


@pytest.mark.parametrize("name", OMITTED)
def test_a_fragment_of_listing_8_parses(name: str) -> None:
    parsed = _parsed(_listing_8(name))
    assert parsed.problems == []
    assert isinstance(parsed.component, Component)


@pytest.mark.parametrize(
    ("name", "located"),
    [
        (
            "auth",
            [
                'schema.yaml:9:19: B012 unknown type "User"',
                'schema.yaml:12:17: B012 unknown type "CreateUserInput"',
            ],
        ),
        (
            "grouping",
            [
                'schema.yaml:9:19: B012 unknown type "School"',
                'schema.yaml:12:17: B012 unknown type "CreateSchoolInput"',
            ],
        ),
    ],
)
def test_a_fragment_of_listing_8_lacks_only_the_types_that_it_leaves_out(name: str, located: list[str]) -> None:
    with pytest.raises(InvalidSchemaError) as refused:
        parse_component(_listing_8(name))
    assert str(refused.value).splitlines() == located


@pytest.mark.parametrize("name", OMITTED)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_listing_8_loads_with_declarations_in_place_of_the_dots(name: str, line_end: str) -> None:
    text = _listing_8(name).replace("  # ...\n", OMITTED[name])
    component = parse_component(text.replace("\n", line_end))
    (command,) = component.content.commands
    assert command.parameters[0].name == "data"
    assert command.parameters[0].type == TypeRef(name=next(iter(component.inputs)))


def test_the_stray_colon_of_listing_8_moves_nothing() -> None:
    assert "- name: data:\n" in _listing_8("grouping")
    document = load(_listing_8("grouping"))
    data = ("content", "commands", 0, "parameters", 0)
    assert document.data["content"]["commands"][0]["parameters"][0]["name"] == "data"
    assert (document.position((*data, "type")).line, document.position((*data, "type")).column) == (12, 17)


def test_a_stray_colon_is_no_excuse_for_another() -> None:
    with pytest.raises(InvalidSchemaError, match=r"^schema\.yaml:2:13: B001 "):
        parse_component("name: A:\nnamespace: B:\ncontent: {}\n")


def test_a_colon_that_ends_a_line_of_text_is_kept() -> None:
    component = parse_component("name: A\nnamespace: B\ncontent: {}\ndescription: |\n  First\n  name: line:\n  last\n")
    assert component.description == "First\nname: line:\nlast"
