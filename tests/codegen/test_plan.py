"""A plan of files: idempotent, and careful with what people changed."""

from __future__ import annotations

import pytest

from byron.codegen.plan import Action, Owner, Plan, PlannedFile
from byron.exceptions import GenerationError


def generated(text="v1", path="models.py"):
    return PlannedFile(path=path, text=text, owner=Owner.BYRON)


def yours(text="v1", path="api/commands/get.py"):
    return PlannedFile(path=path, text=text, owner=Owner.DEVELOPER)


def actions(plan):
    return {change.file.path: change.action for change in plan.changes()}


def test_a_first_plan_creates_everything(tmp_path):
    Plan(tmp_path, [generated(), yours()]).apply()

    assert (tmp_path / "models.py").read_text() == "v1"
    assert (tmp_path / "api/commands/get.py").read_text() == "v1"


def test_applying_twice_changes_nothing(tmp_path):
    plan = Plan(tmp_path, [generated(), yours()])
    plan.apply()

    assert actions(plan) == {"models.py": Action.KEEP, "api/commands/get.py": Action.KEEP}


def test_a_generated_file_is_rewritten_and_a_developer_s_is_not(tmp_path):
    Plan(tmp_path, [generated(), yours()]).apply()
    (tmp_path / "api/commands/get.py").write_text("mine")
    Plan(tmp_path, [generated("v2"), yours("v2")]).apply()

    assert (tmp_path / "models.py").read_text() == "v2"
    assert (tmp_path / "api/commands/get.py").read_text() == "mine"


def test_a_generated_file_that_was_edited_stops_everything_and_is_named(tmp_path):
    Plan(tmp_path, [generated(), generated(path="apps.py")]).apply()
    (tmp_path / "models.py").write_text("mine")
    message = rf"{tmp_path.name}/models\.py: generated, but changed by hand since\. Nothing was written\."
    with pytest.raises(GenerationError, match=message):
        Plan(tmp_path, [generated("v2"), generated("v2", "apps.py")]).apply()

    assert (tmp_path / "models.py").read_text() == "mine"
    assert (tmp_path / "apps.py").read_text() == "v1"


def test_an_edited_file_that_is_deleted_is_written_again(tmp_path):
    Plan(tmp_path, [generated()]).apply()
    (tmp_path / "models.py").unlink()
    Plan(tmp_path, [generated("v2")]).apply()

    assert (tmp_path / "models.py").read_text() == "v2"


def test_a_first_test_that_was_deleted_is_not_written_again(tmp_path):
    first = PlannedFile(path="tests/test_x.py", text="v1", owner=Owner.DEVELOPER, only_at_first=True)
    Plan(tmp_path, [generated(), first]).apply()
    (tmp_path / "tests/test_x.py").unlink()

    assert actions(Plan(tmp_path, [generated(), first]))["tests/test_x.py"] is Action.KEEP
    Plan(tmp_path, [generated("v2"), first]).apply()
    assert not (tmp_path / "tests/test_x.py").exists()


def test_a_damaged_state_file_is_an_error_that_names_it(tmp_path):
    Plan(tmp_path, [generated()]).apply()
    (tmp_path / ".byron.json").write_text("{")
    with pytest.raises(GenerationError, match=r"\.byron\.json cannot be read; restore it"):
        Plan(tmp_path, [generated("v2")]).apply()


def test_no_half_written_file_is_left(tmp_path):
    Plan(tmp_path, [generated(), yours()]).apply()

    assert not list(tmp_path.rglob(".byron-*"))
