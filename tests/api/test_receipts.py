"""Reading your own write: receipts, and waiting for what they are about."""

from __future__ import annotations

import json
import threading
import time

import pytest
from django.db import OperationalError
from django.test import override_settings

from byron.api import receipts
from byron.broker.memory import MemoryBroker
from byron.cache import applied
from byron.cache.applied import AppliedWatch, Standing
from byron.cache.roles import Role, acting_as
from byron.commands.bulkhead import Bulkhead
from byron.conf import byron_settings
from byron.events.event import Event
from byron.events.receipt import Receipt
from byron.events.subjects import applied_topic
from byron.testing import event
from tests.conftest import publish_foreign

URL = "/graphql/"
ADD = 'mutation { createAuthor(fullName: "Ada") { id } }'
READ = '{ authorByName(fullName: "Ada") { fullName } }'
FOUND, MISSING = {"authorByName": {"fullName": "Ada"}}, {"authorByName": None}

pytestmark = pytest.mark.usefixtures("component")


@pytest.fixture(autouse=True)
def _short():
    with override_settings(BYRON_RECEIPT_TIMEOUT=0.2):
        yield


def ask(client, query, after="", **headers):
    given = {"Byron-After": after} if after else {}
    return client.post(URL, json.dumps({"query": query}), content_type="application/json", headers=given | headers)


def add(client):
    """Add an author and return the receipt."""
    response = ask(client, ADD)
    assert response["Byron-Receipt"] == response.json()["extensions"]["byron"]["receipt"]
    return response["Byron-Receipt"]


def test_a_query_gives_no_receipt(client):
    response = ask(client, READ)
    assert "Byron-Receipt" not in response
    assert response.json() == {"data": MISSING}


def test_a_refused_mutation_gives_no_receipt(client, component):
    response = ask(client, 'mutation { removeBook(id: "b9") { id } }')
    assert "Byron-Receipt" not in response
    assert "extensions" not in response.json()


def test_a_conflict_gives_the_receipt_of_what_was_in_between(client, component):
    component.publish(event("shelf.made", id="s1", label="top", count=0))
    component.settle()
    events = event("shelf.painted", id="s1"), event("shelf.filled", id="s1", count=3), event("x.y", id="s1")
    publish_foreign(component, *events)
    change = 'mutation { changeShelf(id: "s1", count: 1, version: "1") { version } }'

    behind = ask(client, change)
    component.settle()
    informed = ask(client, change, behind["Byron-Receipt"])

    codes = [answer.json()["errors"][0]["extensions"]["code"] for answer in (behind, informed)]
    assert codes == ["CONFLICT", "CONFLICT"]
    told = Receipt.opened(behind["Byron-Receipt"], byron_settings().receipt_secret)
    assert [(each.position, each.name) for each in told.events] == [(3, "shelf.filled")]
    assert "Byron-Receipt" not in informed


def test_what_is_applied_is_answered_as_ever(client, component):
    receipt = add(client)
    component.settle()
    assert ask(client, READ, receipt).json() == {"data": FOUND}


def test_when_the_time_is_up_the_answer_says_that_it_is_stale(client, component):
    receipt = add(client)
    began = time.monotonic()
    answer = ask(client, READ, receipt).json()

    assert answer == {"data": MISSING, "extensions": {"byron": {"stale": True, "reason": "pending"}}}
    assert 0.2 <= time.monotonic() - began < 2


def test_who_wants_no_stale_answer_gets_none(client, component):
    receipt = add(client)
    response = ask(client, READ, receipt, **{"Byron-Consistency": "strict"})

    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.json()["errors"][0]["extensions"] == {"code": "NOT_APPLIED_YET"}
    component.settle()
    assert ask(client, READ, receipt, **{"Byron-Consistency": "strict"}).json() == {"data": FOUND}


def test_the_last_thread_does_not_wait(client, component, monkeypatch):
    bulkhead = Bulkhead(patience=0)
    bulkhead.limit(1)
    monkeypatch.setattr(receipts, "WAITS", bulkhead)
    receipt = add(client)
    inside, leave = threading.Event(), threading.Event()

    def wait():
        with bulkhead.place():
            inside.set()
            leave.wait(30)

    other = threading.Thread(target=wait)
    other.start()
    assert inside.wait(30)
    try:
        with override_settings(BYRON_RECEIPT_TIMEOUT=30):
            began = time.monotonic()
            assert ask(client, READ, receipt).json()["extensions"]["byron"]["stale"] is True
            assert time.monotonic() - began < 30
    finally:
        leave.set()
        other.join()
    component.settle()
    assert ask(client, READ, receipt).json() == {"data": FOUND}


def test_a_cache_that_is_away_is_told_as_such(client, component, monkeypatch, caplog):
    def away(*_):
        raise OperationalError("the connection is closed")

    receipt = add(client)
    monkeypatch.setattr(receipts, "standing_of", away)
    response = ask(client, READ, receipt)

    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert response.json()["errors"][0]["extensions"] == {"code": "CACHE_UNAVAILABLE"}
    assert "the connection is closed" in caplog.text


def test_several_receipts_are_all_waited_for(client, component):
    first = add(client)
    component.settle()
    second = ask(client, 'mutation { createAuthor(fullName: "Bob") { id } }')["Byron-Receipt"]

    assert "stale" in ask(client, READ, f"{first}, {second}").json()["extensions"]["byron"]
    component.settle()
    assert ask(client, READ, f"{first}, {second}").json() == {"data": FOUND}


def test_a_mutation_waits_too_and_its_receipt_stands_beside_the_note(client, component):
    said = ask(client, 'mutation { createAuthor(fullName: "Bob") { id } }', add(client)).json()["extensions"]["byron"]
    assert said.keys() == {"stale", "reason", "receipt"}


def receipt_of(name, namespace="Perses", position=1):
    happened = Event(name=name, key="k", payload={}, namespace=namespace, source="X", position=position)
    return Receipt.of(namespace, [happened]).sealed("tests only")


@pytest.mark.parametrize("receipt", [receipt_of("user.made"), receipt_of("new.author", "Calisto")])
def test_what_this_component_does_not_handle_is_not_waited_for(client, receipt):
    assert ask(client, READ, receipt).json() == {"data": MISSING}


def test_a_receipt_of_another_component_is_waited_for(client, component):
    component.publish(event("new.author", id="a1", full_name="Ada", born_on=None))
    receipt = Receipt.of("Perses", component.events).sealed("tests only")

    assert "extensions" in ask(client, READ, receipt).json()
    component.settle()
    assert ask(client, READ, receipt).json() == {"data": FOUND}


def park(component, state):
    """Have the Cache applied the first event but for its being set aside."""
    from byron.models import ParkedEvent

    component.settle()
    with acting_as(Role.SINK):
        ParkedEvent.objects.using("library").create(
            consumer=component.config.consumer_name,
            slot=0,
            position=1,
            event_id="e",
            name="new.author",
            key="k",
            key_digest="d",
            state=state,
            subject="s",
            headers="{}",
            body=b"",
        )


def test_a_parked_event_ends_the_wait_at_once_and_says_so(client, component):
    receipt = add(client)
    park(component, "parked")
    with override_settings(BYRON_RECEIPT_TIMEOUT=30):
        assert ask(client, READ, receipt).json()["extensions"] == {"byron": {"stale": True, "reason": "parked"}}
        response = ask(client, READ, receipt, **{"Byron-Consistency": "strict"})
    assert response.json()["errors"][0]["extensions"] == {"code": "EVENT_PARKED"}


def test_an_event_that_is_tried_again_is_waited_for(client, component):
    receipt = add(client)
    park(component, "retrying")
    assert ask(client, READ, receipt).json()["extensions"]["byron"]["reason"] == "pending"


def test_a_discarded_event_is_done_with(client, component):
    receipt = add(client)
    park(component, "discarded")
    assert ask(client, READ, receipt).json() == {"data": FOUND}


@pytest.mark.parametrize("receipt", ["x", "a" * 10_000, receipt_of("new.author")[:-2] + "zz"])
def test_a_forged_receipt_is_refused_at_once(client, receipt):
    response = ask(client, READ, receipt)
    assert response.status_code == 400
    assert response.json()["errors"] == [
        {"message": "Byron-After has no receipt of this system.", "extensions": {"code": "BAD_RECEIPT"}}
    ]


def test_what_helps_against_a_receipt_of_another_system_is_told_to_who_can_do_it(client, caplog):
    with caplog.at_level("INFO", logger="byron.api"):
        ask(client, READ, "x")
    assert "BYRON_RECEIPT_KEY is the same" in caplog.text
    with override_settings(DEBUG=True):
        assert "BYRON_RECEIPT_KEY is the same" in ask(client, READ, "x").json()["errors"][0]["message"]


def test_an_unknown_consistency_is_refused(client):
    assert ask(client, READ, **{"Byron-Consistency": "linear"}).status_code == 400


def test_without_a_broker_the_cache_is_asked_alone(client, component):
    receipt = add(client)
    component.settle()
    component.broker.available = False
    assert ask(client, READ, receipt).json() == {"data": FOUND}


def test_browsers_may_keep_receipts_in_a_cookie(client, component):
    with override_settings(BYRON_RECEIPT_COOKIE="byron"):
        add(client)
        ask(client, 'mutation { createAuthor(fullName: "Bob") { id } }')
        cookie = client.cookies["byron"]
        assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Lax", 60)
        assert [each.position for each in Receipt.opened(cookie.value, "tests only").events] == [1, 2]
        assert "extensions" in ask(client, READ).json()
        component.settle()
        assert ask(client, READ).json() == {"data": FOUND}
        client.cookies["byron"] = "forged"
        assert ask(client, READ).json() == {"data": FOUND}
    assert "extensions" not in ask(client, READ).json()


def test_a_cookie_holds_the_receipts_of_the_last_minute(client, component, monkeypatch):
    clock = 1_000_000.0
    monkeypatch.setattr(receipts, "time", lambda: clock)
    with override_settings(BYRON_RECEIPT_COOKIE="byron"):
        add(client)
        park(component, "parked")
        clock += 50
        ask(client, 'mutation { createAuthor(fullName: "Bob") { id } }')
        component.settle()
        assert [each.position for each in Receipt.opened(client.cookies["byron"].value, "tests only").events] == [1, 2]
        assert ask(client, READ).json()["extensions"]["byron"]["reason"] == "parked"
        clock += 11
        # The browser has renewed the cookie; what is parked is older than a minute.
        assert ask(client, READ).json() == {"data": FOUND}
        ask(client, 'mutation { createAuthor(fullName: "Cid") { id } }')
        assert [each.position for each in Receipt.opened(client.cookies["byron"].value, "tests only").events] == [2, 3]


def test_a_receipt_of_too_many_names_is_waited_for(client, component):
    add(client)
    happened = [
        Event(name=f"some.name.{at}", key=str(at), payload={}, namespace="Perses", source="X", position=1)
        for at in range(1000)
    ]
    receipt = Receipt.of("Perses", happened).sealed("tests only")

    assert ask(client, READ, receipt).json()["extensions"]["byron"]["reason"] == "pending"
    component.settle()
    assert ask(client, READ, receipt).json() == {"data": FOUND}


def test_no_cookie_is_set_unless_it_is_wanted(client, component):
    add(client)
    assert not client.cookies


# Waiting.


@pytest.fixture
def cache(monkeypatch):
    """A Cache that counts how often it is asked, and is behind until it is told."""

    class Cache:
        asked = 0
        standing = Standing.PENDING

    def standing_of(alias, consumer, positions):
        Cache.asked += 1
        return Cache.standing

    monkeypatch.setattr(applied, "standing_of", standing_of)
    return Cache


def test_whoever_waits_is_woken_by_the_sink_s_signal(cache, monkeypatch):
    monkeypatch.setattr(applied, "_PAUSE", 30.0)
    broker = MemoryBroker("Perses")
    watch = AppliedWatch("library", "library")
    found = []
    waiting = [
        threading.Thread(target=lambda: found.append(watch.wait(broker, {1: 0}, 30.0)), daemon=True) for _ in range(5)
    ]
    for thread in waiting:
        thread.start()
    while cache.asked < 5:
        time.sleep(0.001)
    cache.standing = Standing.APPLIED
    broker.signal(applied_topic("other"))
    assert cache.asked == 5
    broker.signal(applied_topic("library"))
    for thread in waiting:
        thread.join(10)

    assert found == [Standing.APPLIED] * 5
    assert cache.asked == 10


def test_without_a_signal_the_cache_is_asked_now_and_then(cache):
    assert AppliedWatch("library", "library").wait(None, {1: 0}, 0.6) is Standing.PENDING
    assert 2 <= cache.asked <= 5


def test_a_sink_signals_what_it_has_applied(component):
    heard = []
    with component.broker.listen(applied_topic("library"), lambda: heard.append(1)):
        component.mutate("createAuthor", fullName="Ada")
        component.settle()
    component.mutate("createAuthor", fullName="Bob")
    component.settle()

    assert heard == [1]
