"""What the tests of the tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from students.sink.handlers import new_student

from byron.commands.functions import load_function
from byron.events.event import Event
from byron.schema.installed import installed_component
from byron.testing.component import ComponentUnderTest

Handler = Callable[[Any, Event], object]


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
