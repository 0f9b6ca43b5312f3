"""Messages whose text PostgreSQL cannot hold are parked there too."""

from __future__ import annotations

import pytest

from byron.events.event import StoredMessage
from byron.models import ParkedEvent
from byron.sink.lanes import Lane
from byron.sink.parking import Parking, Problem, stored_message
from tests.cache.conftest import postgresql, server  # noqa: F401

ALIAS = "parking"


@pytest.fixture
def parking(request, django_db_blocker):
    """The parking of a component whose Cache is on PostgreSQL."""
    running = request.getfixturevalue("server")
    running.create_database("parking")
    with django_db_blocker.unblock(), postgresql(running, "parking", alias=ALIAS) as connection:
        with connection.schema_editor() as editor:
            editor.create_model(ParkedEvent)
        yield Parking(ALIAS, Lane(consumer="library"))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"subject": "perses.0.a\x00b.new.book"},
        {"subject": "perses.0." + "k" * 3500 + ".new.book"},
        {"headers": {"ce-id": "a\x00" * 300, "x\x00": "\x00"}},
        {"headers": {}},
        {"body": b"\x00\xff"},
        {"body": b"x" * 1_000_000},
    ],
    ids=["plain", "NUL in the key", "long key", "NUL in headers", "no headers", "binary", "1 MB"],
)
@pytest.mark.parametrize("behind", [False, True])
def test_a_message_is_parked_as_it_came(parking, changes, behind):
    whole = {"subject": "perses.0.k.new.book", "headers": {"ce-id": "1"}, "body": b"{", "position": 7, "logged": 0.0}
    message = StoredMessage(**{**whole, **changes})
    if behind:
        parking.put_behind([message])
    else:
        parking.park(message, Problem(error=RuntimeError("a\x00b \ud800"), passes=False))
    [row] = ParkedEvent.objects.using(ALIAS).all()

    found = stored_message(row)
    assert (found.headers, found.body, found.position) == (message.headers, message.body, 7)
    # What no event of Byron's has need not come back as it was.
    assert found.subject == message.subject or "\x00" in message.subject
    assert parking.blocked([message]) == {row.key_digest}
