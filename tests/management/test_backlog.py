"""What `dev` tells of a log that has events before anything was started."""

from __future__ import annotations

from byron.management.systems.backlog import waiting_events
from tests.conftest import add_books


def test_an_empty_cache_with_a_log_that_has_its_events_is_told(component):
    assert waiting_events([component.config]) == []
    add_books(component, "one", "two")

    [told] = waiting_events([component.config])
    assert told == (
        f"the log of Perses has {component.broker.log_info().last} events already: those that library handles are "
        "being applied to its empty Cache"
    )


def test_a_cache_that_has_applied_some_is_not_told(component):
    add_books(component, "one")
    component.settle()
    add_books(component, "two")

    assert waiting_events([component.config]) == []


def test_events_of_other_components_are_not_told(component, monkeypatch):
    add_books(component, "one")
    monkeypatch.setitem(component.config.component.__dict__, "handlers", {"weather.turned": ()})

    assert waiting_events([component.config]) == []


def test_a_broker_that_cannot_be_asked_is_not_told(component):
    add_books(component, "one")
    component.broker.available = False

    assert waiting_events([component.config]) == []
