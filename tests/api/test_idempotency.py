"""Idempotency keys: a mutation that is sent again takes effect once, whatever happened to it the first time."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.test import override_settings

from byron.api.execution import GraphQLService
from byron.broker.memory import MemoryBroker
from byron.commands import idempotency
from byron.commands.bulkhead import BODIES, BULKHEAD, PATIENCE, WAITS, limit_waits
from byron.commands.idempotency import record_name
from byron.commands.records import Record
from byron.commands.runner import CommandRunner
from byron.exceptions import BrokerUnavailableError, OutcomeUnknownError
from byron.testing import GraphQLFailure, event

URL = "/graphql/"
CREATE = "mutation($name: String!) { createAuthor(fullName: $name) { id fullName } }"


class Crash(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _short():
    with override_settings(BYRON_PUBLISH_TIMEOUT=0.2):
        yield


@pytest.fixture
def keyed(component):
    return component.with_idempotency_key("k1")


@pytest.fixture
def later(monkeypatch):
    """Let time pass for records: the processes that worked on them would be dead."""

    def pass_time(seconds=60.0):
        monkeypatch.setattr("byron.broker.memory.monotonic", lambda: time.monotonic() + seconds)

    return pass_time


def ask(client, name="Ada", key="k1", query=CREATE, **headers):
    body = json.dumps({"query": query, "variables": {"name": name} if "$name" in query else {}})
    return client.post(URL, body, content_type="application/json", headers={"Idempotency-Key": key} | headers)


def code(call, *arguments, **named):
    with pytest.raises(GraphQLFailure) as failure:
        call(*arguments, **named)
    return failure.value.code


def record(component, key="k1", user=None):
    name = record_name(component.config.component.name, user, key)
    claim, _ = component.broker._claims.get(name, (None, 0))
    return Record.read(claim.note) if claim is not None else None


def crashing(component, monkeypatch, step, call):
    """Run a call in a process that ends before (or, with publish, instead of or after) a step of the broker's."""
    original = getattr(component.broker, step)

    def end(*arguments, **options):
        raise Crash

    with monkeypatch.context() as patch:
        patch.setattr(component.broker, step, end)
        with pytest.raises(Crash):
            call()
    assert getattr(component.broker, step) == original


def lost_note(component, monkeypatch):
    """Have the answer not be kept, as when the process ends right after publishing."""
    monkeypatch.setattr(component.broker, "note", lambda claim, text: None)


# The plain cases.


def test_a_repeated_mutation_answers_the_same_and_emits_nothing(client, component):
    first, second = ask(client), ask(client)

    assert first.json()["data"]["createAuthor"]["fullName"] == "Ada"
    assert second.content == first.content
    assert second["Byron-Receipt"] == first["Byron-Receipt"]
    assert "Idempotency-Replayed" not in first
    assert second["Idempotency-Replayed"] == "true"
    assert len(component.events) == 1


def test_it_is_no_conflict_with_itself_when_the_sink_has_applied_it(component, keyed):
    made = keyed.mutate("createAuthor", fullName="Ada")
    component.settle()

    assert keyed.mutate("createAuthor", fullName="Ada") == made
    assert code(component.mutate, "createAuthor", fullName="Ada") == "CONFLICT"


def test_another_request_under_the_key_is_refused(client, component):
    ask(client, "Ada")
    response = ask(client, "Grace")

    assert response.status_code == 422
    assert response.json()["errors"][0]["extensions"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    assert len(component.events) == 1


def test_each_user_has_keys_of_their_own(component):
    made = [
        component.as_user(user).with_idempotency_key("k1").mutate("createAuthor", fullName=name)["fullName"]
        for user, name in [("u1", "Ada"), ("u2", "Grace"), ("u1", "Ada")]
    ]

    assert made == ["Ada", "Grace", "Ada"]
    assert len(component.events) == 2


def test_a_refused_mutation_leaves_the_key_free(component, keyed):
    component.mutate("createAuthor", fullName="Ada")
    assert code(keyed.mutate, "createAuthor", fullName="Ada") == "CONFLICT"
    assert record(component) is None

    assert keyed.mutate("createAuthor", fullName="Grace")


def test_a_mutation_that_emits_nothing_is_run_once(component, keyed, monkeypatch):
    runs = []
    monkeypatch.setattr("byron.commands.runner.load_function", lambda *names: lambda ctx, **given: not runs.append(1))

    assert keyed.mutate("closeLibrary") is True
    assert keyed.mutate("closeLibrary") is True
    assert runs == [1]


def test_errors_below_the_mutation_are_part_of_the_answer(component, client):
    add = """mutation {
        addBook(data: {title: "T", genre: POETRY, author: "nobody", tags: []}) { author { fullName } }
    }"""
    first, second = (ask(client, query=add) for _ in range(2))

    assert first.json()["errors"][0]["extensions"]["code"] == "REFERENCE_MISSING"
    assert second.content == first.content
    assert len(component.events) == 1


def test_a_key_is_forgotten_when_its_time_is_up(component, keyed, later):
    keyed.mutate("createAuthor", fullName="Ada")
    later(86400.0 + 1)

    assert keyed.mutate("createAuthor", fullName="Grace")
    first, second = component.events
    assert first.id != second.id


def test_queries_have_no_use_for_a_key(client, component):
    assert ask(client, query="{ howMany }", key="ü \x01").json()["data"] == {"howMany": 0}


@pytest.mark.parametrize("key", ["", "a b", "ü", "k" * 256])
def test_a_key_is_visible_ascii(client, component, key):
    response = ask(client, key=key)

    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
    assert component.events == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ('mutation { a: createAuthor(fullName: "A") { id } b: createAuthor(fullName: "B") { id } }', 400),
        ('mutation { createAuthor(fullName: "A") @skip(if: true) { id } }', 400),
        ('mutation { ...F createAuthor(fullName: "A") { id } } fragment F on Mutation { closeLibrary }', 400),
        ('mutation { createAuthor(fullName: "A") { id } closeLibrary @skip(if: true) }', 200),
        ('mutation($yes: Boolean = true) { createAuthor(fullName: "A") { id } closeLibrary @skip(if: $yes) }', 200),
        ('mutation { createAuthor(fullName: "A") { id } createAuthor(fullName: "A") { fullName } __typename }', 200),
    ],
)
def test_an_operation_under_a_key_has_one_mutation(client, component, query, status):
    response = ask(client, query=query)

    assert response.status_code == status
    assert len(component.events) == (status == 200)
    assert (record(component) is not None) == (status == 200)


def test_roles_come_first(client, component, guarded, authentication):
    response = ask(client)

    assert response.status_code == 401
    assert record(component) is None


# At the same moment.


@pytest.mark.django_db(databases=["library"], transaction=True)
def test_fifty_at_once_are_one(component, monkeypatch):
    start = threading.Barrier(50)

    def run(number):
        try:
            start.wait(30)
            return component.with_idempotency_key("k1").graphql(CREATE, name="Ada")["createAuthor"]["id"]
        finally:
            connections.close_all()

    with override_settings(BYRON_PUBLISH_TIMEOUT=20.0), ThreadPoolExecutor(50) as pool:
        assert len(set(pool.map(run, range(50)))) == 1
    assert len(component.events) == 1


def test_who_finds_it_at_work_waits_for_some_time(client, component, monkeypatch):
    crashing(component, monkeypatch, "publish", lambda: ask(client))
    response = ask(client)

    assert (response.status_code, response["Retry-After"]) == (409, "1")
    assert response.json()["errors"][0]["extensions"]["code"] == "IDEMPOTENCY_KEY_IN_USE"


@pytest.fixture
def limited():
    """Share out threads as `serve` does."""
    yield limit_waits
    BULKHEAD.limit(None)
    WAITS.limit(None)
    BODIES.limit(None)


@pytest.mark.django_db(databases=["library"], transaction=True)
def test_a_run_does_not_compete_with_those_who_wait_for_it(component, monkeypatch, limited):
    at_work, waiting = threading.Event(), threading.Event()
    value, sleep = CommandRunner._value, idempotency.sleep

    def slow(*arguments):
        at_work.set()
        assert waiting.wait(30)
        # Longer than the patience of who looks for a place.
        sleep(2 * PATIENCE)
        return value(*arguments)

    def seen(seconds):
        waiting.set()
        sleep(seconds)

    def run():
        try:
            return component.with_idempotency_key("k1").graphql(CREATE, name="Ada")["createAuthor"]["id"]
        finally:
            connections.close_all()

    monkeypatch.setattr(CommandRunner, "_value", slow)
    monkeypatch.setattr(idempotency, "sleep", seen)
    limited(3)
    with override_settings(BYRON_PUBLISH_TIMEOUT=20.0), ThreadPoolExecutor(2) as pool:
        first = pool.submit(run)
        assert at_work.wait(30)
        second = pool.submit(run)
        assert first.result(30) == second.result(30)
    assert len(component.events) == 1


def test_who_finds_no_place_to_wait_is_told_that_the_key_is_in_use(client, component, monkeypatch, limited):
    crashing(component, monkeypatch, "publish", lambda: ask(client))
    limited(2)
    with override_settings(BYRON_PUBLISH_TIMEOUT=20.0):
        began = time.monotonic()
        response = ask(client)
        assert time.monotonic() - began < 20

    assert response.status_code == 409
    assert response.json()["errors"][0]["extensions"]["code"] == "IDEMPOTENCY_KEY_IN_USE"


# Processes that end.


def test_one_that_ends_before_it_decides_is_followed_by_another(component, keyed, monkeypatch, later):
    crashing(component, monkeypatch, "ensure_log", lambda: keyed.mutate("createAuthor", fullName="Ada"))
    assert record(component).state == "begun"
    assert code(keyed.mutate, "createAuthor", fullName="Ada") == "IDEMPOTENCY_KEY_IN_USE"
    later()

    assert keyed.mutate("createAuthor", fullName="Ada")["fullName"] == "Ada"
    assert len(component.events) == 1


def test_one_that_ends_before_it_publishes_is_run_again(component, keyed, monkeypatch, later):
    crashing(component, monkeypatch, "publish", lambda: keyed.mutate("createAuthor", fullName="Ada"))
    assert record(component).state == "decided"
    # Its claim on the name stands still, but is this mutation's own.
    later(30.0)
    made = keyed.mutate("createAuthor", fullName="Ada")

    assert [each.payload for each in component.events] == [{"id": made["id"], "full_name": "Ada", "born_on": None}]
    assert keyed.mutate("createAuthor", fullName="Ada") == made


@pytest.mark.parametrize("applied", [False, True])
def test_one_that_ends_after_it_published_is_answered_for_at_once(client, component, monkeypatch, applied):
    with monkeypatch.context() as patch:
        lost_note(component, patch)
        first = ask(client)
    assert record(component).state == "decided"
    if applied:
        component.settle()
    second = ask(client)

    assert second.content == first.content
    assert second["Idempotency-Replayed"] == "true"
    assert record(component).state == "done"
    assert len(component.events) == 1


def test_an_answer_is_made_again_with_every_scalar(component, everything, monkeypatch):
    lost_note(component, monkeypatch)
    keyed = component.with_idempotency_key("k1")
    first = keyed.mutate("makeEverything", **everything)

    assert record(component).state == "decided"
    assert keyed.mutate("makeEverything", **everything) == first
    assert first["amount"] == everything["amount"]


def test_references_in_an_answer_that_is_made_again_are_looked_up(component, keyed, monkeypatch):
    component.given(event("new.author", id="a1", full_name="Ada", born_on=None))
    lost_note(component, monkeypatch)
    add = """mutation { addBook(data: {title: "T", genre: POETRY, author: "a1", tags: ["x"], price: "1.50"})
        { title price tags author { fullName } } }"""

    assert keyed.graphql(add) == keyed.graphql(add)


def test_a_long_answer_is_made_again(component, keyed):
    tags = ["T" * 70_000]
    data = {"title": "Long", "genre": "POETRY", "author": "a1", "tags": tags}
    first = keyed.mutate("addBook", data=data)
    assert record(component).body is None

    assert keyed.mutate("addBook", data=data) == first
    assert len(component.events) == 1


def test_a_result_that_cannot_be_kept_is_refused_before_it_takes_effect(component, keyed):
    data = {"title": "Long", "genre": "POETRY", "author": "a1", "tags": ["T" * 600_000]}

    assert code(keyed.mutate, "addBook", data=data) == "RESULT_TOO_LARGE"
    assert component.events == []
    assert record(component) is None


# Processes that are frozen, and go on when another has taken over.


def frozen(component, monkeypatch, step, keyed, meanwhile, **arguments):
    """Run createAuthor with something else happening right before its first use of the broker's `step`."""
    original = getattr(component.broker, step)
    waiting = [meanwhile]

    def after_a_while(*given, **options):
        if waiting and (step != "claim" or options.get("over") is not None):
            waiting.pop()()
        return original(*given, **options)

    monkeypatch.setattr(component.broker, step, after_a_while)
    return keyed.mutate("createAuthor", **arguments)


def test_one_that_cannot_decide_any_more_answers_as_its_follower(component, keyed, monkeypatch, later):
    answers, published, publish = [], [], component.broker.publish

    def follow():
        later(30.0)
        answers.append(keyed.mutate("createAuthor", fullName="Ada"))

    def counted(messages, timeout, **options):
        published.append(messages)
        return publish(messages, timeout, **options)

    monkeypatch.setattr(component.broker, "publish", counted)
    answers.append(frozen(component, monkeypatch, "claim", keyed, follow, fullName="Ada"))

    assert answers[0] == answers[1]
    assert len(component.events) == len(published) == 1


def test_one_that_publishes_too_late_answers_as_its_follower(component, keyed, monkeypatch, later):
    answers = []

    def follow():
        later(30.0)
        answers.append(keyed.mutate("createAuthor", fullName="Ada"))

    answers.append(frozen(component, monkeypatch, "publish", keyed, follow, fullName="Ada"))

    assert answers[0] == answers[1]
    assert len(component.events) == 1


def test_one_whose_time_to_publish_is_over_publishes_nothing(component, keyed, monkeypatch):
    """Nobody has followed yet, but somebody may."""
    decide = idempotency.Attempt.decide

    def slowly(attempt, decision):
        decide(attempt, decision)
        monkeypatch.setattr("byron.commands.idempotency.monotonic", lambda: time.monotonic() + 30.0)

    monkeypatch.setattr(idempotency.Attempt, "decide", slowly)

    assert code(keyed.mutate, "createAuthor", fullName="Ada") == "IDEMPOTENCY_KEY_IN_USE"
    assert component.events == []
    assert record(component).state == "decided"


def test_when_the_first_publishes_after_all_its_follower_answers_the_same(component, keyed, monkeypatch, later):
    """The follower has looked into the log and runs the command; then the first one's events arrive."""
    messages = []
    with monkeypatch.context() as patch:

        def lose(given, timeout, **options):
            messages.extend(given)
            raise Crash

        patch.setattr(component.broker, "publish", lose)
        with pytest.raises(Crash):
            keyed.mutate("createAuthor", fullName="Ada")
    later(30.0)

    def arrive():
        MemoryBroker.publish(component.broker, messages, 1)

    made = frozen(component, monkeypatch, "publish", keyed, arrive, fullName="Ada")

    assert [each.payload["id"] for each in component.events] == [made["id"]]
    assert keyed.mutate("createAuthor", fullName="Ada") == made


def test_of_two_runs_with_several_events_the_log_has_those_of_one(component, keyed, monkeypatch, later):
    count = iter([3, 2, 0])

    def several(ctx, **given):
        ids = [ctx.uuid() for _ in range(next(count))]
        for id in ids:
            ctx.emit("author.seen", {"id": id})
        return {"id": ids[0], "full_name": "Ada"}

    monkeypatch.setattr("byron.commands.runner.load_function", lambda *names: several)
    answers = []

    def follow():
        later(30.0)
        answers.append(keyed.mutate("createAuthor", fullName="Ada"))

    answers.append(frozen(component, monkeypatch, "publish", keyed, follow, fullName="Ada"))

    assert answers[0] == answers[1]
    assert len(component.events) == 2
    assert component.events[0].key == answers[0]["id"]


def test_a_follower_that_is_refused_does_not_say_that_nothing_was_changed_before(component, keyed, monkeypatch, later):
    crashing(component, monkeypatch, "publish", lambda: keyed.mutate("createAuthor", fullName="Ada"))
    before = record(component)
    later(30.0)
    monkeypatch.setattr(idempotency.IdempotencyKeys, "_published", lambda *given: None)
    component.given(event("new.author", id="a9", full_name="Ada", born_on=None))

    assert code(keyed.mutate, "createAuthor", fullName="Ada") == "CONFLICT"
    assert record(component) == before


# Brokers that are away.


def test_without_a_broker_nothing_runs(component, keyed, monkeypatch):
    monkeypatch.setattr("byron.commands.runner.load_function", lambda *names: pytest.fail("it ran"))
    component.broker.available = False

    assert code(keyed.mutate, "createAuthor", fullName="Ada") == "BROKER_UNAVAILABLE"


def test_a_mutation_that_certainly_was_not_published_leaves_the_key_free(component, keyed, monkeypatch):
    def away(messages, timeout, **options):
        raise BrokerUnavailableError("away")

    with monkeypatch.context() as patch:
        patch.setattr(component.broker, "publish", away)
        assert code(keyed.mutate, "createAuthor", fullName="Ada") == "BROKER_UNAVAILABLE"
    assert record(component) is None

    assert keyed.mutate("createAuthor", fullName="Ada")


@pytest.mark.parametrize("stored", [True, False])
def test_an_unknown_outcome_is_known_when_the_mutation_is_sent_again(component, keyed, monkeypatch, later, stored):
    def lose(messages, timeout, **options):
        if stored:
            MemoryBroker.publish(component.broker, messages, timeout)
        raise OutcomeUnknownError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(component.broker, "publish", lose)
        assert code(keyed.mutate, "createAuthor", fullName="Ada") == "OUTCOME_UNKNOWN"
    if not stored:
        assert code(keyed.mutate, "createAuthor", fullName="Ada") == "IDEMPOTENCY_KEY_IN_USE"
        later(30.0)
    made = keyed.mutate("createAuthor", fullName="Ada")

    assert [each.payload["id"] for each in component.events] == [made["id"]]


def test_a_service_made_anew_knows_the_key(component):
    """Nothing is kept in the process."""
    first, second = (GraphQLService(component.config) for _ in range(2))
    request = component.with_idempotency_key("k1")._request()
    bodies = [each.execute(CREATE, {"name": "Ada"}, request=request).body for each in (first, second)]

    assert bodies[0] == bodies[1]
