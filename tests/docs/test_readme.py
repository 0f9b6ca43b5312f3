"""What the README shows is what `startcomponent` makes, and its test passes there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import byron_admin, run

README = (Path(__file__).parent.parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("readme")
    byron_admin("startcomponent", "students", directory=directory)
    return directory / "students"


def test_the_schema_is_the_generated_one(project):
    schema, _ = blocks("yaml")

    assert (project / "students/schema.yaml").read_text().strip() == schema.strip()


def test_the_function_is_the_generated_one_and_the_test_passes(project, tmp_path):
    function, test = blocks("python")

    assert (project / "students/api/commands/create_student.py").read_text() == function
    (project / "students/tests/test_readme.py").write_text(test)
    assert " passed" in run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], project, tmp_path).stdout


def test_the_mistakes_are_told_as_shown(project, tmp_path):
    schema = project / "students/schema.yaml"
    shown = next(block for block in blocks("text") if "B012" in block)
    wrong = schema.read_text().replace('"String!", unique: true', '"Strng!", uniqe: true')
    (tmp_path / "schema.yaml").write_text(wrong)

    checked = byron_admin("schema", "schema.yaml", directory=tmp_path, check=False)

    assert checked.stderr.strip() == shown.strip()


def test_the_second_component_takes_what_the_first_announces(tmp_path):
    _, schema = blocks("yaml")
    (tmp_path / "mentors.yaml").write_text(schema)
    byron_admin("startcomponent", "mentors", "--schema", "mentors.yaml", directory=tmp_path)
    (tmp_path / "mentors/mentors/tests/test_readme.py").write_text(
        """from byron.testing import event

def test_students(component):
    component.given(event("new.student", id="1", name="Ada", course="Mathematics", ingress=1832))
    component.settle()
    assert component.query("getMentees") == [{"id": "1", "name": "Ada"}]
"""
    )

    assert " passed" in run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path / "mentors", tmp_path).stdout
