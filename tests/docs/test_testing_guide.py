"""The examples of docs/howto/testing.md, in the project that the guide says they are of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import byron_admin, run

HOWTO = Path(__file__).parents[2] / "docs" / "howto"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (HOWTO / page).read_text(), flags=re.MULTILINE | re.DOTALL)


def count_tests(text: str) -> int:
    """Return how many tests a block is; one that is marked `also_real` is two."""
    return len(re.findall(r"^def test_", text, re.MULTILINE)) + text.count("@pytest.mark.also_real")


#: A test whose failure the guide shows.
FAILING = """
import pytest

from byron.testing import event


def test_what_is_told(component):
    with pytest.raises(AssertionError) as told:
        component.when("createStudent", name="Ada", course="Mathematics", ingress=1832).then(
            event("new.student", course="Physics"), event("course.full")
        )
    assert str(told.value) == {shown!r}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The tutorial's project with the guide's schema, and the second component."""
    directory = tmp_path_factory.mktemp("guide")
    byron_admin("startcomponent", "students", directory=directory)
    project = directory / "students"
    [schema] = blocks("testing.md", "yaml")
    (project / "students/schema.yaml").write_text(schema)
    run(["manage.py", "generate"], project, directory)
    (project / "mentors.yaml").write_text(blocks("second-component.md", "yaml")[0])
    run(["manage.py", "startcomponent", "mentors", "--schema", "mentors.yaml"], project, directory)
    return project


@pytest.mark.broker
def test_each_example_passes(project, tmp_path):
    examples = blocks("testing.md", "python")
    for number, text in enumerate(examples):
        named = re.match(r"# (\S+)/\w+\.py\n", text)
        folder = named[1] if named else "students/tests"
        (project / folder / f"test_guide_{number}.py").write_text(text)
    shown = next(block for block in blocks("testing.md", "text") if " emitted other events" in block)
    (project / "students/tests/test_guide_failure.py").write_text(FAILING.format(shown=shown.rstrip()))

    finished = run(
        ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "test_guide", f"--basetemp={tmp_path / 'tests'}"],
        project,
        tmp_path,
        check=False,
    )

    passing = sum(map(count_tests, examples)) + 1
    assert passing > 15
    assert f"{passing} passed" in finished.stdout, finished.stdout
    assert finished.returncode == 0, finished.stdout
