"""How messages name a file."""

from __future__ import annotations

import pytest

from byron.schema.installed import installed_component
from byron.schema.places import CALLER, shown


@pytest.mark.parametrize(
    ("folder", "named"), [(".", "here/schema.yaml"), ("here", "schema.yaml"), ("there", "../here/schema.yaml")]
)
def test_a_file_is_named_from_the_folder_of_who_asks(tmp_path, monkeypatch, folder, named):
    (tmp_path / folder).mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / folder)

    assert shown(tmp_path / "here/schema.yaml") == named


def test_a_command_that_runs_others_elsewhere_tells_them_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv(CALLER, str(tmp_path / "system"))

    assert shown(tmp_path / "system/shop/schema.yaml") == "shop/schema.yaml"


def test_problems_of_an_installed_component_are_told_so(tmp_path, monkeypatch):
    library = installed_component("library")
    monkeypatch.setenv(CALLER, str(tmp_path))
    monkeypatch.setattr(library, "path", str(tmp_path / "library"))
    for name in ("component", "schema_problems"):
        monkeypatch.delitem(library.__dict__, name, raising=False)
    (tmp_path / "library").mkdir()

    assert library.schema_problems == "library/schema.yaml cannot be read: No such file or directory."
    for name in ("component", "schema_problems"):
        library.__dict__.pop(name, None)
    (tmp_path / "library/schema.yaml").touch()
    assert library.schema_problems.startswith("library/schema.yaml:1:1: B002 ")
    library.__dict__.pop("schema_problems")
