"""What `component.survives` finds does not depend on the engine, and on none of them it leaves anything behind."""

from __future__ import annotations

import itertools
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.management import call_command
from django.db import ConnectionHandler, connections, transaction
from django.db.models import F
from students.sink.handlers import new_student

from byron.cache.roles import Role, acting_as
from byron.commands.functions import load_function
from byron.events.event import Event
from byron.exceptions import CacheError
from byron.project import database_of
from byron.schema.installed import ComponentConfig, installed_component
from byron.testing.component import ComponentUnderTest
from byron.testing.events import event
from byron.testing.survival import SurvivalError, proof
from byron.testing.survival.faults import Faults
from byron.testing.survival.stages import stage_for
from tests.mongodb import MongoServer

pytestmark = pytest.mark.django_db(databases=["library", "students"])

ALIAS, DATABASE = "students", "survivors"

Handler = Callable[[Any, Event], object]
Engine = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def engines(mongodb_server: MongoServer) -> dict[str, Engine]:
    """What puts the students' Cache on an engine for a while, in a test's transaction."""
    return {"sqlite": nullcontext, "mongodb": lambda: on_mongodb(mongodb_server)}


@contextmanager
def on_mongodb(server: MongoServer, alias: str = ALIAS, name: str = DATABASE) -> Iterator[None]:
    settings = {"default": {}, alias: database_of(server.create_database(name))}
    # The connection on SQLite stays open: it is in pytest-django's transaction.
    before = connections[alias]
    made: Any = ConnectionHandler(settings).create_connection(alias)
    connections[alias] = made
    try:
        call_command("migrate", database=alias, verbosity=0)
        with transaction.atomic(using=alias):
            yield
            transaction.set_rollback(True, using=alias)
    finally:
        connections[alias] = before
        made.close_pool()
        with server.client() as client:
            client.drop_database(name)


@contextmanager
def students() -> Iterator[ComponentUnderTest]:
    """The component of examples/hello."""
    config = installed_component(ALIAS)
    assert config is not None
    with ComponentUnderTest(config).connected() as under_test:
        yield under_test


@pytest.fixture
def on_mongo(engines: dict[str, Engine]) -> Iterator[ComponentUnderTest]:
    with ExitStack() as stack:
        stack.enter_context(engines["mongodb"]())
        yield stack.enter_context(students())


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


def student(identity: str, **changes: Any) -> Event:
    return event("new.student", id=identity, **{"name": f"Student {identity}", "course": "CS", "ingress": 0} | changes)


def store(ctx: Any, event: Event) -> None:
    ctx.db.Student.objects.update_or_create(
        pk=event.key, defaults={name: event.payload[name] for name in ("name", "course", "ingress")}
    )


def set_ingress(ctx: Any, event: Event, value: Any) -> None:
    store(ctx, event)
    ctx.db.Student.objects.filter(pk=event.key).update(ingress=value)


def welcome(ctx: Any, event: Event) -> None:
    set_ingress(ctx, event, F("ingress") + 1)
    ctx.emit("student.welcomed", {"id": event.key, "name": event.payload["name"]})


# Each returns a handler with a bug that is typical.


def fresh_id() -> Handler:
    return lambda ctx, event: ctx.db.Student.objects.create(id=str(uuid.uuid4()), name="", course="", ingress=0)


def fresh_payload() -> Handler:
    return lambda ctx, event: ctx.emit("lot.drawn", {"id": event.key, "lot": str(uuid.uuid4())})


def clock() -> Handler:
    def stamp(ctx: Any, event: Event) -> None:
        store(ctx, event)
        ctx.db.Student.objects.filter(pk=event.key).update(course=datetime.now(UTC).isoformat())

    return stamp


def numbers() -> Handler:
    found = itertools.count()
    return lambda ctx, event: set_ingress(ctx, event, next(found))


def seen_before() -> Handler:
    seen: set[str] = set()

    def once(ctx: Any, event: Event) -> None:
        if event.id not in seen:
            store(ctx, event)
        seen.add(event.id)

    return once


def numbers_from_the_first() -> Handler:
    found = itertools.count()

    def number(ctx: Any, event: Event) -> None:
        nonlocal found
        if event.key == "a":
            found = itertools.count()
        set_ingress(ctx, event, next(found))

    return number


def after_another_key() -> Handler:
    def advise(ctx: Any, event: Event) -> None:
        if event.key == "x":
            ctx.db.Student.objects.filter(pk="a").update(ingress=1)
        else:
            store(ctx, event)

    return advise


def failing() -> Handler:
    def fail(ctx: Any, event: Event) -> None:
        if event.key == "x":
            raise ValueError("no x")
        store(ctx, event)

    return fail


def without_an_end() -> Handler:
    return lambda ctx, event: ctx.emit("new.student", dict(event.payload))


def changing(text: str) -> str:
    """Return a report without what is another in each run."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]*", "MOMENT", text)


@pytest.mark.parametrize(
    "bug",
    [
        fresh_id,
        fresh_payload,
        clock,
        numbers,
        seen_before,
        numbers_from_the_first,
        after_another_key,
        failing,
        without_an_end,
    ],
)
def test_a_bug_is_told_in_the_same_words(
    engines: dict[str, Engine], handler: Callable[[Handler], Handler], bug: Callable[[], Handler]
) -> None:
    told = []
    for engine in engines.values():
        handler(bug())
        with engine(), students() as component, pytest.raises(SurvivalError) as failure:
            component.survives(student("a"), student("x"), student("b"))
        told.append(sorted(changing(str(failure.value)).splitlines()))
    assert told[0] == told[1]


@pytest.mark.parametrize("function", [store, welcome])
def test_the_process_ends_at_the_same_steps(
    engines: dict[str, Engine],
    handler: Callable[[Handler], Handler],
    function: Handler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends: dict[str, list[str]] = {}
    end = Faults.end
    monkeypatch.setattr(proof, "_explorer", lambda: lambda *args, **options: None)
    for name, engine in engines.items():
        told = ends[name] = []

        def noting(faults: Faults, what: str, told: list[str] = told) -> None:
            told.append(what)
            end(faults, what)

        monkeypatch.setattr(Faults, "end", noting)
        handler(function)
        with engine(), students() as component:
            component.survives(student("a"), student("b"), student("a", name="Ada"), student("c"))
    assert ends["mongodb"] == ends["sqlite"]
    words = [
        "the handler of",
        "the commit",
        "makes the lane's checkpoint",
        "it acknowledges",
        *(["is published"] * (function is welcome)),
    ]
    assert [word for word in words if not any(word in each for each in ends["mongodb"])] == []


def test_what_is_right_survives_on_mongodb(on_mongo: ComponentUnderTest, handler: Callable[[Handler], Handler]) -> None:
    handler(welcome)
    on_mongo.survives(student("a"), student("b"), student("a", name="Ada"), student("c"))


@pytest.fixture
def library_on_mongo(mongodb_server: MongoServer) -> Iterator[None]:
    with on_mongodb(mongodb_server, "library", f"{DATABASE}_library"):
        yield


def test_what_is_declared_survives_on_mongodb(component: ComponentUnderTest, library_on_mongo: None) -> None:
    assert component.config.alias == "library"
    component.survives(
        event("new.author", id="a1", full_name="Ada"),
        event("author.seen", id="a1", full_name="Ada L."),
        event("shelf.made", id="s1", label="one", count=0, above=None),
        event("new.book", id="b1", title="one", genre="DRAMA", author="a1", tags=["x"], price="1.50"),
        event("book.renamed", id="b1", title="uno"),
        event("shelf.filled", id="s1", count=1),
        event("book.gone", id="b1"),
    )


def test_rehearsals_refuse_what_the_cache_refuses(component: ComponentUnderTest, library_on_mongo: None) -> None:
    with pytest.raises(SurvivalError, match="IntegrityError"):
        component.survives(*(event("shelf.made", id=each, label="one", count=0, above=None) for each in "ab"))


def test_a_write_to_another_cache_is_found_and_undone(
    on_mongo: ComponentUnderTest,
    library_on_mongo: None,
    handler: Callable[[Handler], Handler],
    library: ComponentConfig,
    mongodb_server: MongoServer,
) -> None:
    author: Any = library.get_model("Author")

    @handler
    def write_elsewhere(ctx: Any, event: Event) -> None:
        store(ctx, event)
        number = author.objects.using("library").select_for_update().count()
        author.objects.using("library").create(id=f"{event.key}{number}", full_name=f"{event.key}{number}")

    with pytest.raises(SurvivalError, match=r"library\.Author"):
        on_mongo.survives(student("a"), student("b"), across_keys=False)
    with acting_as(Role.MAINTENANCE):
        assert not author.objects.using("library").exists()
    assert databases(mongodb_server) == [DATABASE, f"{DATABASE}_library"]


def databases(server: MongoServer) -> Sequence[str]:
    with server.client() as client:
        return [name for name in client.list_database_names() if name.startswith(DATABASE)]


def test_nothing_is_left_at_the_server_and_the_cache_is_as_it_was(
    on_mongo: ComponentUnderTest, handler: Callable[[Handler], Handler], mongodb_server: MongoServer
) -> None:
    handler(store)
    ada = on_mongo.mutate("createStudent", name="Ada", course="CS", ingress=1)
    on_mongo.settle()
    connection = connections[ALIAS]
    on_mongo.survives(student("x"), examples=3)

    assert connections[ALIAS] is connection
    assert on_mongo.query("getStudents") == [ada]
    with mongodb_server.client() as client:
        assert client[DATABASE]["students_student"].find_one() is None
    assert databases(mongodb_server) == [DATABASE]


def interrupted(*args: Any, **options: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("ends", [SurvivalError, KeyboardInterrupt])
def test_nothing_is_left_after_a_failure(
    on_mongo: ComponentUnderTest,
    handler: Callable[[Handler], Handler],
    mongodb_server: MongoServer,
    monkeypatch: pytest.MonkeyPatch,
    ends: type[BaseException],
) -> None:
    handler(store if ends is KeyboardInterrupt else after_another_key())
    if ends is KeyboardInterrupt:
        monkeypatch.setattr(proof, "_explorer", lambda: interrupted)
    connection = connections[ALIAS]
    with pytest.raises(ends):
        on_mongo.survives(student("a"), student("x"))

    assert connections[ALIAS] is connection
    assert on_mongo.query("getStudents") == []
    assert databases(mongodb_server) == [DATABASE]


def test_what_a_killed_test_left_is_replaced(
    on_mongo: ComponentUnderTest, handler: Callable[[Handler], Handler], mongodb_server: MongoServer
) -> None:
    with mongodb_server.client() as client:
        client[f"{DATABASE}_rehearsal"]["students_student"].insert_one({"_id": "left", "id": "left"})
    handler(store)
    on_mongo.survives(student("a"), examples=1)

    assert databases(mongodb_server) == [DATABASE]


def test_what_waits_for_a_commit_does_not_run(
    engines: dict[str, Engine], handler: Callable[[Handler], Handler]
) -> None:
    @handler
    def tell(ctx: Any, event: Event) -> None:
        store(ctx, event)
        transaction.on_commit(lambda: pytest.fail("It ran."), using=ALIAS)

    for engine in engines.values():
        with engine(), students() as component:
            component.survives(student("a"), examples=1)


def test_a_database_whose_name_has_no_room_for_another_is_told(on_mongo: ComponentUnderTest) -> None:
    connections[ALIAS].settings_dict["NAME"] = "n" * 60
    with pytest.raises(CacheError, match="longer than MongoDB takes"):
        stage_for(on_mongo.config)
