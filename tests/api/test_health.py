"""/healthz and /readyz: each state, within a bounded time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from byron.api import health, probes
from byron.api.health import ANOTHER_LOG, readyz
from byron.broker.connection import use_broker
from byron.broker.memory import MemoryBroker
from byron.cache.checkpoint import Applied, store_checkpoint, take_slots
from byron.events.event import Message
from byron.events.subjects import event_subject
from byron.exceptions import PublishDeniedError
from byron.models import ParkedEvent
from byron.sink.membership import Membership

# The probes have connections of their own, which see nothing of another one's transaction.
pytestmark = pytest.mark.django_db(databases=["library", "students"], transaction=True)


@pytest.fixture(autouse=True)
def calisto() -> Iterator[MemoryBroker]:
    broker = MemoryBroker("Calisto")
    broker.ensure_log()
    with use_broker("Calisto", broker):
        yield broker


@pytest.fixture(autouse=True)
def perses() -> Iterator[MemoryBroker]:
    broker = MemoryBroker("Perses")
    broker.ensure_log()
    with use_broker("Perses", broker):
        yield broker


@pytest.fixture(autouse=True)
def _unknown_caches(monkeypatch):
    monkeypatch.setattr(health, "_migrated", set())


@pytest.fixture
def hung(monkeypatch) -> Iterator[threading.Event]:
    """What a test has hang until it ends; patience is short meanwhile."""
    monkeypatch.setattr(probes, "PATIENCE", 0.1)
    released = threading.Event()
    yield released
    released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("byron-"):
            thread.join(5)


def ready(client, label: str = "library") -> tuple[int, dict[str, object]]:
    response = client.get("/readyz")
    return response.status_code, response.json()["components"][label]


def parked(**changes: object) -> ParkedEvent:
    given = {
        "consumer": "library",
        "slot": 0,
        "position": 1,
        "event_id": "1",
        "name": "n",
        "key": "k",
        "state": "parked",
    }
    given |= {"key_digest": "d", "subject": "s", "headers": "{}", "body": b""} | changes
    return ParkedEvent.objects.using("library").create(**given)


def publish(broker: MemoryBroker, number: int) -> None:
    for each in range(number):
        subject = event_subject(broker.namespace, "new.book", str(each))
        broker.publish([Message(subject=subject, headers={"ce-id": f"m{each}"}, body=b"{}")], 1)


def test_the_process_answers_whatever_is_away(client, perses):
    perses.available = False
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_only_read(client, path):
    response = client.post(path, "{}", content_type="application/json")

    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_a_component_with_all_it_needs(client):
    assert ready(client) == (
        200,
        {"cache": "ok", "broker": "ok", "log": "ok", "position": 0, "last": 0, "lag": 0, "parked": 0, "sinks": 0},
    )
    assert client.get("/readyz").json()["status"] == "ok"


def test_how_far_the_cache_is_behind_the_log(client, perses):
    publish(perses, 7)
    slots = range(16)
    take_slots("library", "library", slots, "me", lambda owner: False)
    store_checkpoint("library", "library", slots, Applied(position=4, event_id="m3"))

    _, state = ready(client)
    assert (state["position"], state["last"], state["lag"]) == (4, 7, 3)


def test_a_log_that_is_another_than_the_one_applied_is_told(client, perses):
    publish(perses, 7)
    slots, known = range(16), perses.log_info()
    take_slots("library", "library", slots, "me", lambda owner: False)
    for applied, log, lag in [
        (Applied(position=4, event_id="m3", log_created=known.created), "ok", 3),
        # Made anew of the same events: the Sink goes on there, too.
        (Applied(position=5, event_id="m4", log_created=known.created - timedelta(days=1)), "ok", 2),
        (Applied(position=6, event_id="of another", log_created=known.created - timedelta(days=1)), ANOTHER_LOG, None),
        # Rolled back, and grown again.
        (Applied(position=7, event_id="of before", log_created=known.created), ANOTHER_LOG, None),
        (Applied(position=9, event_id="m8", log_created=known.created), ANOTHER_LOG, None),
    ]:
        store_checkpoint("library", "library", slots, applied)
        health.probes.cache_clear()
        code, state = ready(client)
        assert (code, state["broker"], state["log"], state["lag"]) == (200, "ok", log, lag), applied

    perses.available = False
    health.probes.cache_clear()
    assert ready(client)[1]["log"] is None


def test_who_may_not_read_the_log_goes_by_its_identity_and_asks_once(client, perses, monkeypatch):
    publish(perses, 7)
    asked = []

    def refuse(position, **options):
        asked.append(position)
        raise PublishDeniedError("not for you")

    monkeypatch.setattr(perses, "get", refuse)
    monkeypatch.setattr(health, "_closed", set())
    slots, known = range(16), perses.log_info()
    take_slots("library", "library", slots, "me", lambda owner: False)
    for applied, log in [
        (Applied(position=4, event_id="m3", log_created=known.created), "ok"),
        (Applied(position=5, event_id="m4", log_created=known.created - timedelta(days=1)), ANOTHER_LOG),
        (Applied(position=9, event_id="m8", log_created=known.created), ANOTHER_LOG),
    ]:
        store_checkpoint("library", "library", slots, applied)
        health.probes.cache_clear()
        assert ready(client)[1]["log"] == log, applied

    assert asked == [4]


def test_parked_events_and_living_sinks_are_counted(client):
    parked()
    parked(position=2, state="behind")
    parked(position=3, state="discarded")
    parked(position=4, consumer="other")
    sink, other = Membership("library", "library"), Membership("library", "other")
    sink.beat()
    other.beat()

    _, state = ready(client)
    assert (state["parked"], state["sinks"]) == (2, 1)


def test_the_broker_s_absence_is_only_reported(client, perses):
    perses.available = False
    status, state = ready(client)

    assert status == 200
    assert (state["broker"], state["last"], state["lag"]) == ("unreachable", None, None)


def test_a_namespace_without_a_log_or_a_broker(client, monkeypatch):
    with use_broker("Perses", MemoryBroker("Perses")):
        assert ready(client)[1]["broker"] == "ok, with no log yet"
    health.probes.cache_clear()

    def none_configured(namespace):
        raise ImproperlyConfigured("nats://user:secret@broker")

    monkeypatch.setattr(health, "broker_for", none_configured)
    response = client.get("/readyz")
    assert response.json()["components"]["library"]["broker"] == "not configured"
    assert b"secret" not in response.content


def test_a_cache_that_is_not_migrated_is_not_ready(client, monkeypatch, caplog):
    monkeypatch.setattr(health, "is_pending", lambda alias: alias == "library")

    status, state = ready(client)
    assert (status, state["cache"], state["position"]) == (503, "not migrated", None)
    assert client.get("/readyz").json()["status"] == "unavailable"
    assert ready(client, "students")[1]["cache"] == "ok"
    # Probes come every few seconds: each is a line of the access log, and no error.
    assert not [record for record in caplog.records if record.name == "django.request"]


def test_a_cache_that_is_away_is_not_ready(client, monkeypatch):
    def away(alias, consumer):
        raise OperationalError("password=secret")

    monkeypatch.setattr(health, "last_position", away)
    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json()["components"]["library"]["cache"] == "unreachable"
    assert b"secret" not in response.content


def test_a_schema_with_problems_is_not_ready(rf, library, monkeypatch):
    monkeypatch.setattr(library, "schema_problems", "schema.yaml:1:1: B001")
    response = readyz(rf.get("/readyz"))

    assert response.status_code == 503
    assert json.loads(response.content)["components"]["library"] == {"cache": "the schema has problems"}


def test_a_database_that_hangs_costs_a_bounded_time_once(client, monkeypatch, hung):
    asked = []
    monkeypatch.setattr(health, "last_position", lambda alias, consumer: asked.append(alias) or hung.wait(30) and 5)

    start = time.monotonic()
    status, state = ready(client)
    took = time.monotonic() - start
    for _ in range(3):
        ready(client)

    assert (status, state["cache"], state["broker"]) == (503, "no answer", "ok")
    assert 0.1 <= took < 2
    # The question of each component is asked once for as long as it hangs.
    assert sorted(asked) == ["library", "students"]


def test_a_broker_that_hangs_costs_a_bounded_time(client, monkeypatch, perses, hung):
    monkeypatch.setattr(perses, "log_info", lambda: hung.wait(30))

    start = time.monotonic()
    status, state = ready(client)

    assert (status, state["cache"], state["broker"]) == (200, "ok", "no answer")
    assert time.monotonic() - start < 2


def test_a_probe_that_fails_is_logged(client, monkeypatch, caplog):
    def broken(alias, consumer):
        raise RuntimeError("secret")

    monkeypatch.setattr(health, "open_events", broken)
    response = client.get("/readyz")

    assert response.json()["components"]["library"]["cache"] == "no answer"
    assert "probe=library failed" in caplog.text
    assert b"secret" not in response.content


def test_answers_are_given_again_for_a_moment(client, perses, monkeypatch):
    ready(client)
    publish(perses, 1)
    assert ready(client)[1]["last"] == 0

    monkeypatch.setattr(probes, "FRESH", 0.0)
    assert ready(client)[1]["last"] == 1


def test_readiness_is_only_read(client):
    assert client.post("/readyz").status_code == 405
    assert client.head("/readyz").status_code == 200
