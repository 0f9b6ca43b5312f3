"""What the tests of the tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from students.sink.handlers import new_student

from byron.commands.functions import load_function
from byron.events.event import Event
from byron.schema.installed import installed_component
from byron.testing.component import ComponentUnderTest
from tests.processes import PATIENCE, PRINTING

Handler = Callable[[Any, Event], object]

ROOT = Path(__file__).parents[2]

Run = Callable[..., str]


@pytest.fixture
def students(db: None) -> Iterator[ComponentUnderTest]:
    """The component of examples/hello."""
    config = installed_component("students")
    assert config is not None
    with ComponentUnderTest(config).connected() as under_test:
        yield under_test


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Handler], Handler]]:
    """Put another function in the place of the handler newStudent of the component students."""

    def replace(function: Handler) -> Handler:
        monkeypatch.setattr(new_student, "new_student", function)
        load_function.cache_clear()
        return function

    yield replace
    monkeypatch.undo()
    load_function.cache_clear()


@pytest.fixture
def library_handler(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Handler], Handler]]:
    """Put a function in the place of the library's handler of the same name: `trouble` or `shelf_filled`."""

    def replace(function: Handler) -> Handler:
        name = function.__name__
        monkeypatch.setattr(import_module(f"library.sink.handlers.{name}"), name, function)
        load_function.cache_clear()
        return function

    yield replace
    monkeypatch.undo()
    load_function.cache_clear()


@pytest.fixture
def run_tests(tmp_path: Path) -> Run:
    """Run tests, given as text, in a process of their own; return what pytest prints."""

    def run(text: str, *options: str, settings: str = "tests.settings", typed: str = "") -> str:
        (tmp_path / "test_it.py").write_text(f"import pytest\n\n{text}")
        (tmp_path / "pytest.ini").write_text("[pytest]\n")
        # Other plugins that happen to be installed take seconds to load.
        plugins = ["-p", "byron.testing.plugin", "-p", "no:cacheprovider"]
        if "no:django" not in options:
            plugins += ["-p", "pytest_django.plugin"]
        own = ("DJANGO_", "PYTEST_")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(own) and key not in PRINTING}
        kept |= {"DJANGO_SETTINGS_MODULE": settings} if settings else {}
        paths = os.pathsep.join([str(ROOT), str(ROOT / "examples/hello")])
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--strict-markers", *plugins, *options, "test_it.py"],
            cwd=tmp_path,
            env=kept | {"PYTHONPATH": paths, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        ).stdout

    return run
