"""Names: their Python spelling, and that none which passes breaks Django, GraphQL or Python."""

from __future__ import annotations

import enum
import keyword
import re
from typing import Any

import graphene
import pytest
from django.db import models
from django.test.utils import isolate_apps
from hypothesis import given
from hypothesis import strategies as st

from byron.schema import names
from byron.schema.names import pascal_case, snake_case
from byron.schema.problems import InvalidSchemaError
from byron.schema.reader import parse_component


@pytest.mark.parametrize(
    ("name", "python"),
    [
        ("getStudents", "get_students"),
        ("userID", "user_id"),
        ("userId", "user_id"),
        ("HTMLPage", "html_page"),
        ("studentIDs", "student_ids"),
        ("IDsOfURLs", "ids_of_urls"),
        ("HTTPServer", "http_server"),
        ("parseHTMLPage", "parse_html_page"),
        ("name", "name"),
        ("a1B2", "a1_b2"),
        ("already_snake", "already_snake"),
        ("mixed_caseName", "mixed_case_name"),
        ("StudyGroup", "study_group"),
    ],
)
def test_names_are_snake_case_in_python(name: str, python: str) -> None:
    assert snake_case(name) == python


def test_a_component_is_named_after_its_package() -> None:
    assert pascal_case("study_groups") == "StudyGroups"


@given(st.from_regex(names.FIELD_PATTERN.replace("$", r"\Z"), fullmatch=True))
def test_every_name_of_a_field_becomes_an_identifier_that_django_takes(name: str) -> None:
    python = snake_case(name)
    assert python.isidentifier() and python.isascii() and python.islower()
    assert "__" not in python and not python.startswith("_") and not python.endswith("_")
    assert snake_case(python) == python


@pytest.mark.parametrize(
    "pattern",
    [
        names.COMPONENT_PATTERN,
        names.TYPE_PATTERN,
        names.FIELD_PATTERN,
        names.ENUM_VALUE_PATTERN,
    ],
)
@given(data=st.data())
def test_every_name_is_an_identifier(pattern: str, data: st.DataObject) -> None:
    assert data.draw(st.from_regex(pattern.replace("$", r"\Z"), fullmatch=True)).isidentifier()


def _with_attribute(name: str, kind: str = "String", section: str = "types") -> str:
    return (
        f"name: A\nnamespace: B\ncontent:\n  {section}:\n"
        f"    - {{name: T, attributes: [{{name: '{name}', type: {kind}}}, {{name: birthDate, type: 'Date!'}}]}}\n"
    )


def _with_content(content: str) -> str:
    return f"name: A\nnamespace: B\ncontent: {{{content}}}\n"


def _passes(source: str) -> bool:
    try:
        parse_component(source)
    except InvalidSchemaError:
        return False
    return True


def _concrete_model(**fields: Any) -> type[models.Model]:
    """Return a model as Byron generates them; only inside isolate_apps."""
    identity = models.CharField(max_length=255, primary_key=True)
    body = {"__module__": "tests.schema", "Meta": type("Meta", (), {"app_label": "byron"}), "id": identity, **fields}
    return type("T", (models.Model,), body)


@isolate_apps("byron")
def test_the_reserved_attributes_are_those_that_models_have() -> None:
    have = {name for name in dir(_concrete_model()) if re.fullmatch(names.FIELD_PATTERN, name)}
    assert {snake_case(name) for name in have} | {"pk"} == names.MODEL_ATTRIBUTES


@isolate_apps("byron")
def test_no_attribute_of_a_model_can_be_declared() -> None:
    model = _concrete_model(birth_date=models.DateField())
    taken = {name for name in dir(model) if not name.startswith("_")} - {"birth_date"}
    assert {name for name in taken if _passes(_with_attribute(name))} == set()
    camel = {re.sub(r"_([a-z])", lambda match: match.group(1).upper(), name) for name in taken}
    assert {name for name in camel if snake_case(name) in taken and _passes(_with_attribute(name))} == set()


PLAUSIBLE = re.findall(
    r"\w+",
    """
    name type description state value values items keys get pop count index query db using meta model args kwargs
    date birth next previous exact contains lt default order filter class_name data errors app label field
    form forms manager user request ctx log event payload version key json uuid decimal datetime byron
    isTypeOf resolveName resolve_name interfaces possibleTypes fieldsOf getNextByOther
    """,
)


@pytest.mark.parametrize("name", [name for name in PLAUSIBLE if _passes(_with_attribute(name))])
@isolate_apps("byron")
def test_an_attribute_that_passes_makes_a_model_that_works(name: str) -> None:
    python = snake_case(name)
    model = _concrete_model(**{python: models.TextField(), "birth_date": models.DateField()})
    assert model.check(databases=[]) == []
    assert getattr(model(pk="1", **{python: "value"}), python) == "value"
    assert model._default_manager.filter(**{python: "value"}).order_by(python).query.where


@isolate_apps("byron")
def test_words_that_models_need_are_refused() -> None:
    with pytest.raises(TypeError, match="multiple values for argument 'self'"):
        _concrete_model(**{"self": models.TextField()})(**{"self": "value"})
    assert not any(_passes(_with_attribute(word)) for word in names.MODEL_WORDS)


def test_what_hides_nothing_in_a_model_may_be_an_attribute_of_an_input() -> None:
    assert all(_passes(_with_attribute(name, section="inputs")) for name in ("id", "objects", "models", "save"))


def test_classes_of_models_cannot_be_attributes() -> None:
    assert not any(_passes(_with_attribute(name)) for name in ("DoesNotExist", "MultipleObjectsReturned", "Meta"))


def _graphql_class(name: str) -> Any:
    field = graphene.Field(graphene.String, resolver=lambda *_: "value")
    return type("T", (graphene.ObjectType,), {name: field})


@pytest.mark.parametrize("name", sorted(name for name in dir(graphene.ObjectType) if not name.startswith("_")))
def test_a_field_that_passes_works_in_graphene(name: str) -> None:
    if not _passes(_with_attribute(name)):
        return
    query = type("Query", (graphene.ObjectType,), {"t": graphene.Field(_graphql_class(name), resolver=lambda *_: {})})
    answer = graphene.Schema(query=query, auto_camelcase=False).execute(f"{{ t {{ {name} }} }}")
    assert (answer.errors, answer.data) == (None, {"t": {name: "value"}})


def test_a_field_that_graphene_takes_for_its_own_is_refused() -> None:
    for name in names.GRAPHENE_WORDS:
        assert name in dir(_graphql_class(name))
        assert not _passes(_with_attribute(name))
        assert not _passes(
            f"name: A\nnamespace: B\ncontent: {{commands: [{{name: {name}, type: query, returnType: Int}}]}}"
        )


@pytest.mark.parametrize(
    "value", [*(name for name in dir(enum.Enum) if not name.startswith("_")), "mro", "None", "class"]
)
def test_an_enum_value_that_passes_works_in_python(value: str) -> None:
    if _passes(_with_content(f"enums: [{{name: E, values: [{value}]}}]")):
        assert graphene.Enum("E", [(value, value)])._meta.enum[value].value == value
    else:
        assert value in names.RESERVED_ENUM_VALUES or value.startswith("_")


@pytest.mark.parametrize("word", keyword.kwlist)
def test_no_python_keyword_names_a_function_or_an_argument(word: str) -> None:
    for spelling in (word, word.lower()):
        if keyword.iskeyword(spelling):
            assert not _passes(_with_attribute(spelling))
            assert not _passes(_with_attribute(spelling, section="inputs"))
            assert not _passes(_with_content(f"handlers: [{{name: '{spelling}', event: e}}]"))


def test_the_longest_column_fits_postgresql() -> None:
    longest = "a" * names.LONGEST_NAME
    assert _passes(_with_attribute(longest, "T"))
    assert len(f"{longest}_id".encode()) <= 63
    assert not _passes(_with_attribute("aB" * (names.LONGEST_NAME // 2 - 1)))


@given(st.characters())
def test_a_description_holds_no_character_that_code_or_readers_stumble_over(char: str) -> None:
    shown = names.is_shown(char)
    assert shown or not char.isprintable()
    if ord(char) < 32:
        assert shown == (char in "\n\t")
