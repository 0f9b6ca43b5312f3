"""Parsed documents are kept within a bound on their memory."""

from __future__ import annotations

import tracemalloc

from byron.api.documents.document import Document, parse_document
from byron.api.documents.kept import KeptDocuments
from byron.api.execution import GraphQLService
from byron.conf import byron_settings


def parsed(text: str) -> Document:
    document = parse_document(text, byron_settings())
    assert isinstance(document, Document)
    return document


def long_document(at: int) -> str:
    """Return one of about a thousand tokens."""
    return "{ " + " ".join(f"u{at}x{number}" for number in range(980)) + " }"


def test_what_was_not_used_for_longest_makes_room():
    kept = KeptDocuments(100_000)
    for name in ("a", "b"):
        kept.keep(name, parsed("{ a }"))
    for number in range(100):
        assert kept.get("a") is not None
        kept.keep(number, parsed("{ a }"))

    assert kept.get("b") is None
    assert kept.get(99) is not None
    assert 90_000 < kept.size <= 100_000


def test_a_large_document_does_not_drive_the_others_out():
    kept = KeptDocuments(60_000)
    kept.keep("small", parsed("{ a }"))
    kept.keep("tokens", parsed("{ " + "a " * 10 + "}"))
    kept.keep("text", parsed('{ a(b: "' + "x" * 1000 + '") }'))

    assert [name for name in ("small", "tokens", "text") if kept.get(name)] == ["small"]


def test_documents_take_no_more_memory_than_they_count():
    texts = [long_document(at) for at in range(10)] + [f"{{ a{at}: b(c: {at}) }}" for at in range(500)]
    kept = KeptDocuments()
    tracemalloc.start()
    try:
        for text in texts:
            kept.keep(text, parsed(text))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert taken < kept.size < 3 * taken


def test_valid_documents_are_kept_and_no_others(library, component, monkeypatch):
    service, parses = GraphQLService(library), []

    def parse(text, settings):
        parses.append(text)
        return parse_document(text, settings)

    monkeypatch.setattr("byron.api.execution.parse_document", parse)
    for text in ("{ howMany }", "{ howMuch }", "{ howMany"):
        for _ in range(2):
            service.execute(text)

    assert parses == ["{ howMany }", "{ howMuch }", "{ howMuch }", "{ howMany", "{ howMany"]
