"""Which media type a client prefers."""

from __future__ import annotations

import pytest

from byron.api.http.media_types import GRAPHQL_JSON, HTML, JSON, preferred


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("", JSON),
        (" ", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        ("Application/GraphQL-Response+JSON", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, {JSON}", GRAPHQL_JSON),
        (f"{JSON}, {GRAPHQL_JSON}", JSON),
        (f"{GRAPHQL_JSON}, {JSON};q=0.9", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.8, {JSON};q=0.9", JSON),
        (f"{GRAPHQL_JSON};q=0.5, */*;q=0.4", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, */*", JSON),
        (f"{GRAPHQL_JSON}, */*", GRAPHQL_JSON),
        (f"*/*, {GRAPHQL_JSON}", GRAPHQL_JSON),
        (f"{JSON};q=0, */*", GRAPHQL_JSON),
        (f"{JSON};q=0, {GRAPHQL_JSON};q=0, */*", None),
        ("*/*;q=0", None),
        ("*/*;q=0.1, application/*;q=0", None),
        ("application/json; charset=utf-8", JSON),
        ('application/json; charset="UTF-8"; q=0.5', JSON),
        ("application/json; charset=utf-16", None),
        ("application/json; version=2", None),
        ("application/xml, text/html", None),
        ("application/xml, */*;q=0.1", JSON),
        ("application/json;q=high", None),
        ("application/json;q=2", None),
        ("application/json;q=nan", None),
        ("json, application/, /json, ;q=1,", None),
        ("*", None),
        (f"text/event-stream, {JSON};q=0.1, {GRAPHQL_JSON};q=0.100", JSON),
    ],
)
def test_the_best_liked_type_is_chosen(accept, chosen):
    assert preferred(accept, (JSON, GRAPHQL_JSON)) == chosen


def test_a_browser_prefers_a_page():
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"

    assert preferred(browser, (JSON, HTML)) == HTML
    assert preferred("*/*", (JSON, HTML)) == JSON
    assert preferred("application/json, text/html;q=0.9", (JSON, HTML)) == JSON
