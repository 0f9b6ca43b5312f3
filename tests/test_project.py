"""What a project's settings.py calls."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

import byron
from byron.project import cache_databases, find_components


def test_every_package_is_in_the_distribution():
    root = Path(byron.__file__).parent
    found = {".".join(file.parent.relative_to(root.parent).parts) for file in root.rglob("*.py")}
    listed = ConfigParser()
    listed.read(root.parent / "setup.cfg")
    packages = set(listed["options"]["packages"].split())

    assert {name for name in packages if not name.endswith("_template")} == found


def test_components_are_the_folders_with_a_schema_the_first_one_first(tmp_path):
    for name in ("b", "a", "first"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "schema.yaml").touch()
        (tmp_path / name / "apps.py").touch()
    (tmp_path / "no_app").mkdir()
    (tmp_path / "no_app" / "schema.yaml").touch()

    assert find_components(tmp_path, first="first") == ["first", "a", "b"]


def test_components_of_several_projects_are_one_list(tmp_path):
    for path in ("auth/auth", "auth/config", "grouping/grouping", "grouping/audit"):
        (tmp_path / path).mkdir(parents=True)
        if not path.endswith("config"):
            (tmp_path / path / "schema.yaml").touch()
            (tmp_path / path / "apps.py").touch()

    projects = [tmp_path / "auth", tmp_path / "grouping"]
    assert find_components(*projects, first="grouping") == ["grouping", "audit", "auth"]


@pytest.fixture
def engines(tmp_path, monkeypatch):
    def read(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        databases = cache_databases(["students", "mentors"], tmp_path)
        return {name: database["ENGINE"].rpartition(".")[2] for name, database in databases.items()}

    for name in ("CACHE_URL", "STUDENTS_CACHE_URL", "MENTORS_CACHE_URL"):
        monkeypatch.delenv(name, raising=False)
    return read


def test_each_component_has_a_sqlite_file_of_its_own(engines, tmp_path):
    assert engines() == {"students": "sqlite3", "mentors": "sqlite3"}
    assert cache_databases(["mentors"], tmp_path)["mentors"]["NAME"] == str(tmp_path / "mentors.sqlite3")


def test_cache_url_is_the_first_component_s_however_many_there_are(engines):
    assert engines(CACHE_URL="postgres://u:p@h/d") == {"students": "postgresql", "mentors": "sqlite3"}


def test_each_component_may_have_an_address_of_its_own(engines):
    assert engines(MENTORS_CACHE_URL="postgres://u:p@h/d") == {"students": "sqlite3", "mentors": "postgresql"}


@pytest.mark.parametrize("variable", ["CACHE_URL", "STUDENTS_CACHE_URL", "MENTORS_CACHE_URL"])
@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("garbage", "it does not begin with a scheme"),
        ("user:secret@host/name", "it does not begin with a scheme"),
        ("foo://user:secret@host/name", "foo:// is unknown"),
        ("postgres://user:sec/ret@host:5432/name", "its host or port cannot be read; in a password, / is written %2F"),
        ("mongodb://user:secret@[host/name", "its host or port cannot be read"),
        ("mongodb://user:se/cret@host/name", "its host or port cannot be read; in a password, / is written %2F"),
        ("mongodb://user:secret@host:1,other:xx/name", "its host or port cannot be read"),
    ],
)
def test_an_address_that_is_no_database_s_is_told_by_its_variable_without_passwords(engines, variable, url, problem):
    with pytest.raises(ImproperlyConfigured) as raised:
        engines(**{variable: url})

    told = str(raised.value)
    assert told.startswith(f"{variable} is no address of a database: {problem}")
    assert told.endswith("or mongodb://user:password@host/name.")
    assert "sec" not in told
    assert raised.value.__suppress_context__
