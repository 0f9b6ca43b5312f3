"""The page at `/`: for developers, complete, and safe under a strict policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import override_settings

from byron.broker.connection import use_broker
from byron.broker.memory import MemoryBroker
from byron.schema.installed import installed_components
from byron.schema.reads import arguments_of

pytestmark = pytest.mark.django_db(databases=["library", "students"])


@pytest.fixture(autouse=True)
def _brokers() -> Iterator[None]:
    with use_broker("Calisto", MemoryBroker("Calisto")), use_broker("Perses", MemoryBroker("Perses")):
        yield


class Page(HTMLParser):
    """A page's elements, texts and headings; it must be well-formed."""

    VOID = {"meta", "link", "br"}

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append(" ".join(data.split()))


@pytest.fixture
def page(client) -> Page:
    with override_settings(DEBUG=True):
        return Page(client.get("/", headers={"Accept": "text/html"}).content.decode())


@override_settings(DEBUG=False)
def test_there_is_no_page_outside_debug(client):
    response = client.get("/", headers={"Accept": "text/html"})

    assert response.status_code == 404
    assert response.json()["errors"][0]["extensions"] == {"code": "NOT_FOUND"}


def test_everything_that_the_schemas_declare_is_there(page):
    for config in installed_components():
        component = config.component
        assert component.name in page.texts
        for command in component.content.commands:
            assert command.name in page.texts
            assert str(command.return_type) in page.texts
            for argument in arguments_of(component, command):
                assert f"{argument.name}: {argument.type}" in page.texts
        for handler in component.content.handlers:
            assert {handler.name, handler.event} <= set(page.texts)
        assert set(component.events) <= set(page.texts)


def test_what_runs_a_command_or_a_handler_is_told(page):
    told = {
        "reads a list of Book",
        "reads one Book",
        "emits new.book",
        "before: normalizeTitle; after: welcome",
        "api/commands/create_author.py",
        "creates Book",
        "sink/handlers/new_author.py",
    }
    assert told <= set(page.texts)


def test_the_state_is_that_of_readyz(page):
    state = [page.texts[page.texts.index(name) + 1] for name in ("Cache", "Broker", "Sinks", "Parked events")]
    assert state == ["ok", "ok, with no log yet", "none runs", "0"]


@override_settings(DEBUG=True)
def test_every_link_leads_somewhere(client, page):
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]

    assert {"graphql/", "students/graphql/", "schema.graphql", "healthz", "readyz"} <= set(links)
    for link in links:
        assert client.get(f"/{link}", headers={"Accept": "text/html"}).status_code == 200


@override_settings(DEBUG=True, BYRON_API_GRAPHIQL=False, BYRON_API_INTROSPECTION=False)
def test_what_is_off_is_not_linked(client):
    text = client.get("/").content.decode()
    assert "graphql/" not in text
    assert "schema.graphql" not in text


@override_settings(DEBUG=True)
def test_the_page_needs_no_more_than_its_policy_allows(client, page):
    policy = client.get("/")["Content-Security-Policy"]

    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert not [tag for tag, _ in page.elements if tag in ("script", "style", "img", "iframe", "form")]
    assert not [name for _, attributes in page.elements for name in attributes if name == "style" or name[:2] == "on"]
    sheets = [attributes["href"] for _, attributes in page.elements if attributes.get("rel") == "stylesheet"]
    assert sheets == ["/static/byron/home.css"]
    sheet = Path(finders.find("byron/home.css")).read_text()
    assert not re.search(r"url\(|@import", sheet)


def test_the_page_can_be_heard(page):
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
    assert ("html", {"lang": "en"}) in page.elements


@override_settings(DEBUG=True)
def test_the_problems_of_a_schema_are_shown_as_text(client, library, monkeypatch):
    monkeypatch.setattr(library, "schema_problems", 'schema.yaml:1:1: B012 unknown type "<script>"')
    text = client.get("/").content.decode()

    assert "B012 unknown type &quot;&lt;script&gt;&quot;" in text
    assert "<script" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_have_contrast(scheme):
    sheet = Path(finders.find("byron/home.css")).read_text()
    light, dark = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", light if scheme == "light" else dark))

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(colours[one]), luminance(colours[other])))
        return (high + 0.05) / (low + 0.05)

    texts = ("text", "quiet", "accent", "ok", "warning", "error")
    pairs = [(text, ground) for text in texts for ground in ("card", "page")]
    for text, ground in [*pairs, ("text", "code"), ("on-accent", "accent")]:
        assert contrast(text, ground) >= 4.5, (text, ground)
