"""What several of Byron's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from byron.api.health import probes
from byron.conf import byron_settings
from byron.events.event import Event
from byron.schema.installed import ComponentConfig, installed_component
from byron.testing.component import ComponentUnderTest
from byron.testing.log import EventLog
from tests import mongodb


def pytest_report_header() -> str:
    return f"MongoDB: {mongodb.which()}"


@pytest.fixture
def library() -> ComponentConfig:
    """The component in tests/components/library, with a bit of everything."""
    config = installed_component("library")
    assert config is not None
    return config


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    yield
    byron_settings.cache_clear()
    probes.cache_clear()


@pytest.fixture
def everything() -> dict[str, object]:
    """The arguments of makeEverything: a value of each scalar, by its declared name."""
    return {
        "anId": "5",
        "number": -(2**31),
        "ratio": 0.1,
        "flag": False,
        "moment": "2024-02-29T12:00:00.123456+02:00",
        "day": "2024-02-29",
        "hour": "23:59:59.999999",
        "amount": "123456789012345678901234567890.10",
        "code": "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f",
        "extra": {"a": [1, None, "ü"]},
        "moments": ["2024-02-29T12:00:00Z"],
        "amounts": ["1.10", "-0"],
        "codes": [],
        "genres": ["DRAMA", "NO_FICTION"],
        "books": [],
        "userID": "ä .*>",
    }


def publish_foreign(component: ComponentUnderTest, *events: Event) -> None:
    """Put events into the log that the component neither handles nor declares."""
    EventLog(component.config.component, component.broker).append(events)


def add_books(component: ComponentUnderTest, *titles: str, genre: str = "POETRY", author: str = "a1") -> list[str]:
    """Add books through the API and return their ids; they are not in the Cache yet."""
    return [
        component.mutate("addBook", data={"title": title, "genre": genre, "author": author, "tags": []})["id"]
        for title in titles
    ]
