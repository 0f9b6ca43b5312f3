"""The documentation against the code: nothing left out, nothing made up, and every example usable."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from django.core.management.base import BaseCommand
from pydantic import BaseModel

import byron
from byron import exceptions
from byron.api import arguments
from byron.api.documents import document, kept, merging
from byron.api.http import requests
from byron.api.identity import authentication
from byron.codegen.component import component_files
from byron.codegen.project import schema_text
from byron.commands import reads
from byron.commands.context import Context
from byron.conf import PREFIX, ByronSettings
from byron.events import receipt
from byron.events.event import Event
from byron.schema import values
from byron.schema.model import Component
from byron.schema.problems import CODES
from byron.schema.reader import parse_component
from byron.schema.types import LONGEST_ID, SCALARS
from byron.sink.context import HandlerContext
from byron.testing.component import ComponentUnderTest
from byron.testing.system import SystemUnderTest

PACKAGE = Path(byron.__file__).parent
ROOT = PACKAGE.parent
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
#: The decisions are history: they may speak of what is gone.
PAGES = sorted(path for path in DOCS.rglob("*.md") if "decisions" not in path.parts)

_HEADING = re.compile(r"^(#+) +(.+?) *$", re.MULTILINE)
_FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_ROW = re.compile(r"^\| *((?:`[^`]+`(?:, *)?)+) *\|(.*)$", re.MULTILINE)


def without_examples(text: str) -> str:
    return _FENCE.sub("", text)


def sections(page: str, level: int) -> dict[str, str]:
    """Return the sections of a reference page below its headings of one level."""
    text = without_examples((REFERENCE / page).read_text())
    found = [match for match in _HEADING.finditer(text) if len(match[1]) <= level]
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {match[2]: text[match.end() : end] for match, end in zip(found, ends, strict=True) if len(match[1]) == level}


def rows(section: str) -> dict[str, str]:
    """Return the rows of a section's tables that begin with code, by each piece of code there."""
    found: dict[str, str] = {}
    for row in _ROW.finditer(section):
        found.update(dict.fromkeys(re.findall("`([^`]+)`", row[1]), row[2]))
    return found


def examples(language: str) -> Iterator[Any]:
    for page in PAGES:
        for number, match in enumerate(_FENCE.finditer(page.read_text()), 1):
            if match[1] == language:
                yield pytest.param(match[2], id=f"{page.relative_to(DOCS)}-{number}")


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(match[2]) for match in _HEADING.finditer(without_examples(page.read_text()))}


# Settings.


def settings_documented() -> dict[str, str]:
    return {name: text for name, text in sections("settings.md", 3).items() if name.startswith(PREFIX)}


def test_every_setting_has_its_heading_and_no_other_has():
    assert sorted(settings_documented()) == sorted(PREFIX + field.name.upper() for field in fields(ByronSettings))


@pytest.mark.parametrize("field", fields(ByronSettings), ids=lambda field: field.name)
def test_a_setting_s_type_and_default_are_those_of_the_code(field):
    text = settings_documented()[PREFIX + field.name.upper()]

    assert f"- Type: `{field.type}`\n" in text
    assert f"- Default: `{field.default!r}`\n" in text


def test_the_fixed_limits_are_those_of_the_code():
    found = re.findall(r"^\| (.+?) \| .*?([\d,]+)", sections("settings.md", 2)["Fixed limits"], re.M)
    limits = {what: int(number.replace(",", "")) for what, number in found}

    def limit(beginning: str) -> int:
        [number] = [number for what, number in limits.items() if what.startswith(beginning)]
        return number

    assert limit("values of one condition `in`") == reads._MOST_VALUES
    assert limit("what comparing fields") == merging.BUDGET
    assert limit("problems of a document") == document.MOST_PROBLEMS
    assert limit("levels of a value of the scalar `JSON`") == values.DEEPEST
    assert limit("levels of inputs") == arguments._DEEPEST
    assert limit("parameters of a URL") == requests._MOST_PARAMETERS
    assert limit("memory for parsed documents") == kept.MOST_BYTES // 2**20
    assert limit("characters of an id") == LONGEST_ID
    assert limit("bytes of a text") == values.LONGEST_INDEXED
    assert limit("digits of a `Decimal`") == values.MOST_DIGITS
    assert limit("characters of the header `Authorization`") == authentication._LONGEST_HEADER
    assert limit("characters of a receipt") == receipt.LONGEST_RECEIPT


def test_the_environment_of_a_generated_project_is_documented():
    template = (ROOT / "project_template" / "config" / "settings.py.jinja").read_text()
    read = set(re.findall(r'env\.\w+\("(\w+)"', template))

    assert read
    assert read <= set(rows(sections("settings.md", 2)["Environment of a generated project"]))


# Commands.


def commands() -> list[str]:
    return sorted(path.stem for path in (PACKAGE / "management" / "commands").glob("[!_]*.py"))


def options_of(command: BaseCommand, name: str) -> Iterator[argparse.Action]:
    """Give a command's options, and those of its actions."""
    parsers: list[argparse.ArgumentParser] = [command.create_parser("manage.py", name)]
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            yield action


def own_options(name: str) -> list[argparse.Action]:
    """Return a command's options that Django's command of that name, or every command, does not have."""
    kind: type[BaseCommand] = importlib.import_module(f"byron.management.commands.{name}").Command
    theirs = {action.dest for action in options_of(kind.__bases__[0](), name)}
    return [action for action in options_of(kind(), name) if action.dest not in theirs]


def test_every_command_has_its_heading_and_no_other_has():
    assert sorted(sections("commands.md", 2)) == commands()


@pytest.mark.parametrize("name", commands())
def test_every_option_of_a_command_is_documented_and_no_other_is(name):
    kind: type[BaseCommand] = importlib.import_module(f"byron.management.commands.{name}").Command
    known = {word for action in options_of(kind(), name) for word in (action.option_strings or [action.dest])}
    documented = {word.split()[0] for word in rows(sections("commands.md", 2)[name])}
    own = {word for action in own_options(name) for word in (action.option_strings or [action.dest])}

    assert own <= documented <= known


# System checks.


def test_every_check_has_its_heading_and_no_other_has():
    ids = set(re.findall(r'id="(byron\.[EW]\d+)"', (PACKAGE / "checks.py").read_text()))

    assert ids
    assert set(sections("checks.md", 3)) == ids


# schema.yaml.


def test_every_problem_code_has_its_heading_and_no_other_has():
    assert [name for name in sections("schema.md", 3) if re.fullmatch(r"B\d+", name)] == sorted(CODES)


def model_in(annotation: Any) -> type[BaseModel] | None:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := model_in(part))), None)


def is_list(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is tuple


def schema_keys(model: type[BaseModel] = Component, place: str = "") -> Iterator[tuple[str, str]]:
    """Give every key that the models know, with the place of the mapping it is in: `content.types[]`."""
    for field in model.model_fields.values():
        yield place or "schema.yaml", str(field.alias)
        inner = model_in(field.annotation)
        if inner is not None:
            below = f"{place}.{field.alias}".lstrip(".") + ("[]" if is_list(field.annotation) else "")
            yield from schema_keys(inner, below)


def keys_documented() -> list[tuple[str, str]]:
    return [
        (place, key)
        for heading, section in sections("schema.md", 3).items()
        for place in re.findall("`([^`]+)`", heading)
        for key in rows(section)
    ]


def test_every_key_of_the_schema_is_documented_and_no_other_is():
    assert sorted(keys_documented()) == sorted(schema_keys())


def test_every_scalar_is_in_the_type_table_with_its_field():
    table = rows(sections("schema.md", 2)["Types"])

    assert set(table) == set(SCALARS)
    for name, scalar in SCALARS.items():
        assert scalar.model_field.rpartition(".")[2] in table[name]


# Python.


@pytest.mark.parametrize(
    ("heading", "prefix", "kind"),
    [
        ("The context of a command", "ctx", Context),
        ("The context of a handler", "ctx", HandlerContext),
        ("Event", "event", Event),
    ],
)
def test_every_attribute_of_what_functions_are_given_is_documented_and_no_other_is(heading, prefix, kind):
    documented = rows(sections("python.md", 3)[heading])

    assert sorted(documented) == sorted(f"{prefix}.{name}" for name in dir(kind) if not name.startswith("_"))


def test_every_exception_is_documented_and_no_other_is():
    raised = [name for name, value in vars(exceptions).items() if inspect.isclass(value)]

    assert sorted(rows(sections("python.md", 2)["Exceptions"])) == sorted(raised)


def test_the_component_under_test_is_documented(component):
    public = [name for name in {*dir(ComponentUnderTest), *vars(component)} if not name.startswith("_")]

    assert sorted(rows(sections("python.md", 2)["ComponentUnderTest"])) == sorted(f"component.{n}" for n in public)


def test_the_system_under_test_is_documented(system):
    public = [name for name in {*dir(SystemUnderTest), *vars(system)} if not name.startswith("_")]

    assert sorted(rows(sections("python.md", 2)["SystemUnderTest"])) == sorted(f"system.{n}" for n in public)


# Examples and links.


@pytest.mark.parametrize("text", [each for each in examples("yaml") if re.search(r"^content:", each.values[0], re.M)])
def test_every_schema_in_the_documentation_is_valid(text):
    parse_component(text)


@pytest.mark.parametrize("text", list(examples("python")))
def test_every_python_example_compiles(text):
    compile(text, "example", "exec")


def test_the_examples_are_found():
    assert len(list(examples("python"))) > 10
    assert len(list(examples("yaml"))) > 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_relative_link_leads_somewhere(page):
    for target in _LINK.findall(without_examples(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(found), target


def test_every_page_is_in_the_index():
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in _LINK.findall((DOCS / "index.md").read_text())}

    assert {page for page in PAGES if page.name != "index.md"} <= linked


def test_the_tutorial_shows_the_files_that_startcomponent_makes():

    shown = [match[2] for match in _FENCE.finditer((DOCS / "intro" / "tutorial.md").read_text())]
    schema = schema_text("students", None, None)
    files = {file.path: file.text for file in component_files(parse_component(schema), "students", None)}

    assert schema in shown
    assert files["api/commands/create_student.py"] in shown
    assert files["sink/handlers/new_student.py"] in shown
