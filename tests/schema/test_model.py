"""The model of a schema: type expressions, names, arguments and payloads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from byron.schema.model import Component
from byron.schema.reader import parse_component
from byron.schema.reads import OWN_ARGUMENTS, arguments_of
from byron.schema.type_ref import TypeRef
from tests.schema.test_bad_schemas import VALID


@pytest.fixture(scope="module")
def component() -> Component:
    return parse_component(VALID)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Int", TypeRef(name="Int")),
        ("Int!", TypeRef(name="Int", required=True)),
        ("[Int]", TypeRef(name="Int", is_list=True)),
        ("[Int!]", TypeRef(name="Int", is_list=True, items_required=True)),
        ("[Int]!", TypeRef(name="Int", is_list=True, required=True)),
        ("[Int!]!", TypeRef(name="Int", is_list=True, required=True, items_required=True)),
    ],
)
def test_a_type_expression_is_read_and_printed(text: str, expected: TypeRef) -> None:
    assert TypeRef.parse(text) == expected
    assert str(expected) == text


def test_roles_are_kept_in_order_and_none_means_that_nothing_was_said() -> None:
    commands = parse_component(
        "name: A\nnamespace: B\ncontent:\n  commands:\n"
        "    - {name: a, type: query, returnType: Int, roles: [teacher, 'read:x', roles/editor]}\n"
        "    - {name: b, type: query, returnType: Int, roles: [anyone]}\n"
        "    - {name: c, type: query, returnType: Int}\n"
    ).commands

    assert commands["a"].roles == ("teacher", "read:x", "roles/editor")
    assert (commands["b"].roles, commands["c"].roles) == (("anyone",), None)


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9]*", fullmatch=True), st.booleans(), st.booleans(), st.booleans())
def test_what_is_printed_is_read_back(name: str, is_list: bool, required: bool, items_required: bool) -> None:
    reference = TypeRef(name=name, is_list=is_list, required=required, items_required=is_list and items_required)
    assert TypeRef.parse(str(reference)) == reference


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=ascii(text))
        for text in (
            *("", " ", "!", "[]", "Int!!", "[Int", "Int]", "[[Int]]", "[Int]!!", "[!Int]", "[Int,Int]"),
            *(
                "Int ",
                " Int",
                "In t",
                "Int\n",
                "[Int!]\n",
                "1nt",
                "In_t",
                "__Type",
                "Ｉｎｔ",
                "List<Int>",
                "Int|String",
            ),
        )
    ],
)
def test_what_is_no_type_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        TypeRef.parse(text)


@given(st.text())
def test_any_text_is_a_type_expression_that_prints_as_it_was_or_none(text: str) -> None:
    try:
        reference = TypeRef.parse(text)
    except ValueError:
        return
    assert str(reference) == text


def test_declarations_do_not_change(component: Component) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        component.name = "Other"  # type: ignore[misc]


def test_declarations_are_found_by_name(component: Component) -> None:
    assert list(component.types) == ["Student", "Professor"]
    assert list(component.inputs) == ["Created"]
    assert component.inputs["Created"].attribute["again"].type == TypeRef(name="Created")
    assert component.enums["Course"].values == ("CS", "MATH")
    assert component.types["Student"].attribute["advisor"].description == "Who advises"
    assert [handler.name for handler in component.handlers["new.student"]] == ["newStudent"]
    assert component.commands["createStudent"].python_name == "create_student"


def test_defaults_are_filled_in(component: Component) -> None:
    event = component.events["new.professor"]
    assert (event.version, event.key) == (1, "id")
    read = component.commands["getStudent"].read
    assert read is not None
    assert (read.filter, read.order, read.limit) == ((), (), 100)


def test_handlers_of_one_event_keep_the_order_of_the_file() -> None:
    component = parse_component(
        "name: A\nnamespace: B\ncontent:\n  handlers: [{name: b, event: e}, {name: c, event: f}, {name: a, event: e}]\n"
    )
    assert {event: [h.name for h in handlers] for event, handlers in component.handlers.items()} == {
        "e": ["b", "a"],
        "f": ["c"],
    }


def test_an_operation_names_its_target(component: Component) -> None:
    created, upserted = (handler.apply for handler in component.content.handlers)
    assert created is not None and (created.operation, created.target) == ("create", "Student")
    assert upserted is not None and (upserted.operation, upserted.target) == ("upsert", "Professor")
    read = component.commands["getStudent"].read
    assert read is not None and read.target == "Student"


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (
            "getStudents",
            {
                "course": "Course",
                "where": "GetStudentsWhere",
                "orderBy": "[GetStudentsOrder!]",
                "first": "Int",
                "after": "ID",
            },
        ),
        ("getStudent", {"id": "ID!"}),
        ("createStudent", {"name": "String!", "course": "Course!", "classes": "[ID!]!"}),
    ],
)
def test_arguments_are_parameters_or_what_a_read_implies(
    command: str, arguments: dict[str, str], component: Component
) -> None:
    found = arguments_of(component, component.commands[command])
    assert {argument.name: str(argument.type) for argument in found} == arguments


def test_a_filter_on_a_reference_or_the_id_takes_an_id() -> None:
    component = parse_component(
        "name: A\nnamespace: B\ncontent:\n"
        "  types: [{name: T, attributes: [{name: other, type: 'T!'}, {name: size, type: 'Int!'}]}]\n"
        "  commands: [{name: all, type: query, returnType: '[T]', read: {list: T, filter: [id, other, size]}}]\n"
    )
    found = arguments_of(component, component.commands["all"])
    given = {argument.name: str(argument.type) for argument in found if argument.name not in OWN_ARGUMENTS}
    assert given == {"id": "ID", "other": "ID", "size": "Int"}


UNDECLARED = """
name: A
namespace: B
content:
  types:
    - {name: T, attributes: [{name: a, type: Int}]}
    - {name: U, attributes: [{name: a, type: Int}]}
  commands: [{name: make, type: mutation, returnType: T, emit: {event: emitted}}]
  handlers:
    - {name: written, event: unknown}
    - {name: first, event: applied}
    - {name: second, event: applied, apply: {create: U}}
    - {name: third, event: emitted, apply: {update: U}}
"""


@pytest.mark.parametrize(
    ("event", "payload"),
    [("emitted", "T"), ("applied", "U"), ("unknown", None), ("unheard.of", None)],
)
def test_the_payload_of_an_undeclared_event_is_what_is_emitted_or_else_applied(event: str, payload: str | None) -> None:
    shape = parse_component(UNDECLARED).payload_type(event)
    assert (shape.name if shape else None) == payload


def test_the_payload_of_a_declared_event_is_what_is_declared(component: Component) -> None:
    assert component.payload_type("new.student") is component.types["Student"]
    assert component.payload_type("new.professor") is component.inputs["Created"]
