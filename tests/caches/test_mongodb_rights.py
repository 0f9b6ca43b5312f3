"""`cacheroles` on a real mongod that asks for users: what its users can do, and all that the API's cannot."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin import ModelAdmin, site
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, transaction
from django.test import RequestFactory
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from byron.broker.memory import MemoryBroker
from byron.cache.checkpoint import release_slots, take_slots
from byron.cache.migrations import is_pending
from byron.cache.roles import Role, acting_as
from byron.cache.trouble import is_trouble, is_unavailable, lacks_right
from byron.exceptions import CacheError, CacheWriteError
from byron.project import cache_databases
from byron.schema.installed import ComponentConfig
from byron.sink.rebuild import rebuild
from tests.cache.conftest import meaning
from tests.mongodb import MongoServer, why_not, why_not_real
from tests.processes import byron_admin, system, wait_for
from tests.sink.conftest import Workbench

_WHY = why_not() or why_not_real()
pytestmark = pytest.mark.skipif(bool(_WHY), reason=f"rights need a real mongod: {_WHY}")

ALIAS = DATABASE = "library"
API, SINK = "library_api", "library_sink"
PASSWORDS = {API: "apis-secret", SINK: "sinks-secret"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoServer]:
    """A server with a third user, who owns the Cache and is no administrator of anything else."""
    rebuilt = f"{DATABASE}_rebuild"
    roles = ["dbOwner", *({"role": role, "db": rebuilt} for role in ("readWrite", "dbAdmin"))]
    with MongoServer(tmp_path_factory.mktemp("mongodb"), auth=True) as running:
        with running.client() as client:
            client[DATABASE].command({"createUser": "owner", "pwd": "owners-secret", "roles": roles})
        yield running


@pytest.fixture
def cache(server: MongoServer, django_db_blocker: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[MongoServer]:
    """A migrated Cache of the component, for its owner, without users of the roles."""
    with server.client() as other:
        for each in other[DATABASE].command("usersInfo")["users"]:
            if each["user"] != "owner":
                other[DATABASE].command("dropUser", each["user"])
        other[DATABASE].command("dropAllRolesFromDatabase")
        for name in (DATABASE, f"{DATABASE}_rebuild", "elsewhere"):
            other.drop_database(name)
    monkeypatch.setenv("CACHE_API_PASSWORD", PASSWORDS[API])
    monkeypatch.setenv("CACHE_SINK_PASSWORD", PASSWORDS[SINK])
    with django_db_blocker.unblock(), using(server, "owner", "owners-secret"):
        call_command("migrate", database=ALIAS, verbosity=0)
        yield server


@contextmanager
def using(server: MongoServer, user: str, password: str = "") -> Iterator[Any]:
    """Let the component's Cache be used by a user for a while; gives its connection."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIBRARY_CACHE_URL", server.url(DATABASE, user=user, password=password or PASSWORDS[user]))
        settings = connections.configure_settings({"default": {}, **cache_databases([ALIAS], Path())})
    with meaning(ALIAS, settings[ALIAS]):
        connection: Any = connections[ALIAS]
        connection.ensure_connection()
        try:
            yield connection
        finally:
            # A client of a user that is made anew later would go on as the one before.
            connection.ensure_connection()
            connection.close_pool()


def cacheroles(*arguments: str) -> str:
    out = io.StringIO()
    call_command("cacheroles", ALIAS, *arguments, stdout=out)
    return out.getvalue()


def commands(printed: str) -> list[str]:
    """Return the printed commands, without what is said of them."""
    return [line.rpartition(";  // ")[0] for line in printed.splitlines() if not line.startswith("//")]


def run_as_mongosh(server: MongoServer, printed: str) -> None:
    """Run printed commands as a shell does, whose user answers every prompt with the password of the user named."""
    with server.client() as client:
        for command in commands(printed):
            place, text = re.fullmatch(r"db\.getSiblingDB\((.*?)\)\.runCommand\((.*)\)", command).groups()  # type: ignore[union-attr]
            user = re.search(r'"(?:create|update)User": "(\w+)"', text)
            secret = json.dumps(PASSWORDS[user[1]]) if user else ""
            client[json.loads(place)].command(json.loads(text.replace("passwordPrompt()", secret)))


def client_of(server: MongoServer, user: str) -> MongoClient[Any]:
    return MongoClient(server.url(DATABASE, user=user, password=PASSWORDS[user]), serverSelectionTimeoutMS=5000)


def model(name: str = "Author") -> Any:
    return apps.get_model("library", name).objects.using(ALIAS)


def owner(cache: MongoServer, command: dict[str, Any]) -> None:
    with cache.client() as client:
        client[DATABASE].command(command)


def test_what_it_prints_changes_nothing_and_can_be_given_to_the_shell(cache: MongoServer) -> None:
    printed = cacheroles()

    assert cacheroles() == printed
    assert "secret" not in printed and printed.count("passwordPrompt()") == 2
    run_as_mongosh(cache, printed)
    assert "they have their rights and no others; nothing to change" in cacheroles()
    with using(cache, API):
        assert not is_pending(ALIAS) and model().count() == 0


def test_applied_twice_it_has_nothing_to_do(cache: MongoServer) -> None:
    first, again = cacheroles("--apply"), cacheroles("--apply")

    assert "secret" not in first
    assert len(commands(first)) == 4
    assert commands(again) == []
    assert "nothing to change" in again


def test_another_password_is_the_only_change(cache: MongoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    cacheroles("--apply")
    monkeypatch.setenv("CACHE_API_PASSWORD", "another")

    [changed] = commands(cacheroles("--apply"))

    assert f'"updateUser": "{API}"' in changed and "another" not in changed
    with client_of(cache, API) as api, pytest.raises(OperationFailure, match="Authentication failed"):
        api[DATABASE].command("ping")


def test_a_new_user_needs_a_password(cache: MongoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_API_PASSWORD")
    with pytest.raises(CommandError, match=f"{API} needs a password.*CACHE_API_PASSWORD.*--ask-passwords"):
        cacheroles("--apply")
    with cache.client() as client:
        assert [each["user"] for each in client[DATABASE].command("usersInfo")["users"]] == ["owner"]

    run_as_mongosh(cache, cacheroles())

    assert commands(cacheroles("--apply")) == []


def _writes() -> dict[str, Callable[[Any], object]]:
    """Return the ways round the router: each writes, given the connection of the Cache."""

    def in_a_transaction(connection: Any) -> None:
        with transaction.atomic(using=ALIAS):
            model().create(id="2", full_name="two")

    def by_a_session(connection: Any) -> None:
        with connection.connection.start_session() as session, session.start_transaction():
            connection.database["library_author"].insert_one({}, session=session)

    def holding(connection: Any) -> None:
        with transaction.atomic(using=ALIAS):
            list(model().select_for_update())

    def raw_aggregate(connection: Any, stage: dict[str, str]) -> object:
        from django_mongodb_backend.queryset import MongoQuerySet

        return list(MongoQuerySet(model().model, using=ALIAS).raw_aggregate([stage]))

    def by_schema(connection: Any) -> None:
        with connection.schema_editor() as editor:
            editor.delete_model(model().model)

    def author(**values: Any) -> Any:
        return model().model(**values)

    return {
        "create": lambda _: model().create(id="2", full_name="two"),
        "save": lambda _: author(id="1", full_name="x").save(using=ALIAS),
        "update": lambda _: model().update(full_name="x"),
        "delete": lambda _: model().all().delete(),
        "bulk_create": lambda _: model().bulk_create([author(id="3", full_name="x")]),
        "bulk_create of conflicts": lambda _: model().bulk_create(
            [author(id="1", full_name="x")], update_conflicts=True, unique_fields=["id"], update_fields=["full_name"]
        ),
        "bulk_update": lambda _: model().bulk_update([author(id="1", full_name="x")], ["full_name"]),
        "get_or_create": lambda _: model().get_or_create(id="9", defaults={"full_name": "x"}),
        "update_or_create": lambda _: model().update_or_create(id="1", defaults={"full_name": "x"}),
        "a transaction": in_a_transaction,
        "a session": by_a_session,
        "select_for_update": holding,
        "raw_aggregate $out": lambda each: raw_aggregate(each, {"$out": "library_author"}),
        "raw_aggregate $merge": lambda each: raw_aggregate(each, {"$merge": "library_book"}),
        "insert_one": lambda each: each.database["library_author"].insert_one({}),
        "bulk_write": lambda each: each.get_collection("library_author").delete_many({}),
        "an upsert": lambda each: each.database.library_author.find_one_and_update({}, {"$set": {"a": 1}}, upsert=True),
        "$out": lambda each: list(each.database["library_author"].aggregate([{"$out": "elsewhere"}])),
        "a command": lambda each: each.database.command(
            {"delete": "library_author", "deletes": [{"q": {}, "limit": 0}]}
        ),
        "another database": lambda each: each.connection["elsewhere"]["x"].insert_one({}),
        "drop": lambda each: each.database["library_author"].drop(),
        "drop_database": lambda each: each.connection.drop_database(DATABASE),
        "create_index": lambda each: each.database["library_author"].create_index("full_name"),
        "rename": lambda each: each.database["library_author"].rename("gone"),
        "create_collection": lambda each: each.database.create_collection("new"),
        "delete_model": by_schema,
        "a user's roles": lambda each: each.database.command(
            {"grantRolesToUser": API, "roles": [{"role": "readWrite", "db": DATABASE}]}
        ),
        "the role's rights": lambda each: each.database.command({"updateRole": API, "roles": ["dbOwner"]}),
        "others' sessions": lambda each: each.connection.admin.command("killAllSessions", []),
    }


@pytest.mark.parametrize("way", sorted(_writes()) if not _WHY else [])
def test_a_write_of_the_apis_is_refused_by_the_connection_and_by_the_database(
    cache: MongoServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    model().create(id="1", full_name="one")
    cacheroles("--apply")
    write = _writes()[way]

    with using(cache, API) as connection:
        # No role at all, so that nothing is in between.
        with pytest.raises((DatabaseError, OperationFailure)) as refused:
            write(connection)
        assert lacks_right(refused.value), refused.value
    monkeypatch.setenv("BYRON_ROLE", "api")
    with using(cache, API) as connection, pytest.raises(CacheWriteError, match="Emit an event, and write in its"):
        write(connection)
    monkeypatch.delenv("BYRON_ROLE")

    assert list(model().values_list("pk", "full_name")) == [("1", "one")]


def test_what_goes_round_the_connection_is_refused_by_the_database(
    cache: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cacheroles("--apply")
    monkeypatch.setenv("BYRON_ROLE", "api")
    with using(cache, API) as connection:
        guarded = connection.database["library_author"]
        with pytest.raises(CacheWriteError):
            guarded.insert_one({})
        with pytest.raises(OperationFailure) as refused:
            Collection.insert_one(guarded, {})
        assert lacks_right(refused.value)
        with MongoClient(connection.settings_dict["HOST"]) as another, pytest.raises(OperationFailure) as refused:
            another[DATABASE]["library_author"].insert_one({})
        assert lacks_right(refused.value)


def test_the_admin_is_refused_by_the_router_and_past_it_by_the_database(cache: MongoServer) -> None:
    cacheroles("--apply")
    Author = model().model
    request = RequestFactory().post("/")
    admin: Any = ModelAdmin(Author, site)
    with using(cache, API):
        with acting_as(Role.API), pytest.raises(CacheWriteError, match="The API cannot write Author"):
            admin.save_model(request, Author(id="1", full_name="x"), form=None, change=False)
        with pytest.raises(DatabaseError) as refused:
            admin.save_model(request, Author(id="1", full_name="x"), form=None, change=False)
        assert lacks_right(refused.value)


def test_the_apis_user_reads_what_the_api_needs(cache: MongoServer, monkeypatch: pytest.MonkeyPatch) -> None:
    model().bulk_create([model().model(id=str(number), full_name=f"{number:03}") for number in range(300)])
    cacheroles("--apply")
    monkeypatch.setenv("BYRON_ROLE", "api")
    with using(cache, API) as connection:
        assert not is_pending(ALIAS)
        assert model().filter(full_name__gte="200").count() == 100
        assert model("Book").filter(author__full_name="001").count() == 0
        # A cursor that is left open is ended by its own user.
        with connection.database["library_author"].find(batch_size=2) as cursor:
            next(cursor)
        with transaction.atomic(using=ALIAS):
            assert model().get(pk="7").full_name == "007"


def test_the_sinks_user_applies_events_and_takes_over(
    cache: MongoServer, library: ComponentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    cacheroles("--apply")
    monkeypatch.setenv("BYRON_ROLE", "sink")
    with using(cache, SINK):
        bench = Workbench(library, MemoryBroker("Perses"))
        bench.author("a")
        bench.publish_raw("new.author", b"{", key="x")
        bench.run()
        assert bench.authors == ["a"] and len(bench.states) == 1
        assert take_slots(ALIAS, "another", [0, 1], "old", lambda _: False) is False
        assert take_slots(ALIAS, "another", [0, 1], "new", lambda _: False) is True
        release_slots(ALIAS, "another", [0, 1], "new")


def test_the_sinks_user_changes_documents_and_nothing_else(cache: MongoServer) -> None:
    cacheroles("--apply")
    writes = _writes()
    structure = ("drop", "create_index", "create_collection", "rename", "drop_database", "another database")
    with using(cache, SINK) as connection:
        model().create(id="1", full_name="one")
        for way in (*structure, "a user's roles", "the role's rights", "others' sessions", "$out"):
            with pytest.raises((DatabaseError, OperationFailure)) as refused:
                writes[way](connection)
            assert lacks_right(refused.value), way
        with pytest.raises(OperationFailure, match="not authorized"):
            connection.database["django_migrations"].delete_many({})


def test_the_owner_rebuilds_and_the_sink_does_not(cache: MongoServer, library: ComponentConfig) -> None:
    cacheroles("--apply")
    bench = Workbench(library, MemoryBroker("Perses"))
    bench.author("a")
    bench.run()
    model().update(full_name="wrong")
    with using(cache, SINK), pytest.raises((DatabaseError, OperationFailure, CacheError), match="not authorized"):
        rebuild(bench.config, lambda: bench.broker)

    rebuild(bench.config, lambda: bench.broker)

    assert list(model().values_list("pk", "full_name")) == [("a", "Author a")]


def test_other_collections_and_databases_are_not_for_them(cache: MongoServer) -> None:
    with cache.client() as client:
        client[DATABASE]["grades_grade"].insert_one({})
        client["elsewhere"]["thing"].insert_one({})
    cacheroles("--apply")

    for user in (API, SINK):
        with client_of(cache, user) as client:
            names = client[DATABASE].list_collection_names(authorizedCollections=True)
            assert "library_author" in names and "grades_grade" not in names
            for place, name in ((DATABASE, "grades_grade"), (DATABASE, "byron_rebuild"), ("elsewhere", "thing")):
                for use in (client[place][name].find_one, lambda at=client[place][name]: at.insert_one({})):
                    with pytest.raises(OperationFailure, match="not authorized"):
                        use()
            with pytest.raises(OperationFailure, match="not authorized"):
                list(client[DATABASE]["library_author"].aggregate([{"$unionWith": "grades_grade"}]))


def test_a_collection_without_rights_is_trouble_that_cacheroles_ends(cache: MongoServer) -> None:
    cacheroles("--apply")
    owner(cache, {"revokePrivilegesFromRole": SINK, "privileges": [_privilege("library_author", "find", "insert")]})
    with using(cache, SINK), pytest.raises(DatabaseError) as caught:
        model().create(id="1", full_name="one")
    assert is_trouble(caught.value, ALIAS)
    with using(cache, SINK), pytest.raises(DatabaseError) as caught:
        list(model())
    assert is_unavailable(caught.value, ALIAS)

    assert "what the sink does: find on library_author, insert on" in cacheroles("--apply")

    with using(cache, SINK):
        model().create(id="1", full_name="one")


def _privilege(collection: str, *actions: str) -> dict[str, Any]:
    return {"resource": {"db": DATABASE, "collection": collection}, "actions": list(actions)}


def _granted(role: str, collection: str, action: str) -> dict[str, Any]:
    return {"grantPrivilegesToRole": role, "privileges": [_privilege(collection, action)]}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"grantRolesToUser": API, "roles": ["readWrite"]}, "it had the rights of readWrite"),
        ({"revokeRolesFromUser": SINK, "roles": [SINK]}, "what the sink does"),
        ({"grantRolesToRole": API, "roles": [SINK]}, "it had the rights of library_sink"),
        (_granted(API, "library_author", "insert"), "it had more: insert on library_author"),
        (_granted(SINK, "library_author", "collMod"), "it had more: collMod on library_author"),
        (_granted(SINK, "django_migrations", "update"), "it had more: update on django_migrations"),
        (_granted(API, "", "listCollections"), "it had more: listCollections on every collection"),
        (_granted(API, "grades_grade", "find"), "it had more: find on grades_grade"),
    ],
)
def test_what_is_too_much_or_missing_is_told_and_put_right(cache: MongoServer, given: Any, told: str) -> None:
    cacheroles("--apply")
    owner(cache, given)

    assert told in cacheroles("--apply")

    assert "nothing to change" in cacheroles()


@pytest.mark.parametrize("role", ["api", "sink"])
def test_users_that_are_needed_as_they_are_are_refused(cache: MongoServer, role: str) -> None:
    with pytest.raises(CommandError, match=f"owner cannot be the {role}'s user: it runs this command.*with --{role}"):
        cacheroles(f"--{role}", "owner")
    owner(cache, {"createUser": "admin", "pwd": "x", "roles": ["userAdmin"]})
    with pytest.raises(CommandError, match="admin has the role userAdmin"):
        cacheroles(f"--{role}", "admin")
    with pytest.raises(CommandError, match="is the other role's"):
        cacheroles("--api", "both", "--sink", "both")


def test_a_user_who_may_not_is_told_who_may(cache: MongoServer) -> None:
    cacheroles("--apply")
    with using(cache, SINK), pytest.raises(CommandError, match="not authorized(?s:.*)dbOwner or userAdmin"):
        cacheroles("--apply")


def test_a_cache_without_collections_is_to_be_migrated_first(cache: MongoServer) -> None:
    with cache.client() as client:
        client.drop_database(DATABASE)
    with pytest.raises(CommandError, match=r"lacks collections to give rights to: run manage\.py migrate first"):
        cacheroles()


def test_a_server_that_asks_nobody_is_told_of(mongodb_cache: str) -> None:
    printed = cacheroles()
    assert "No right binds anybody there until it runs with authorization" in printed


def test_a_project_whose_processes_have_users_of_their_own_goes_on_when_the_primary_steps_down(
    cache: MongoServer, tmp_path: Path
) -> None:
    byron_admin("startcomponent", "students", directory=tmp_path)
    project, state, database = tmp_path / "students", tmp_path / "state", "students"
    with cache.client() as client:
        client.drop_database(database)
        client[database].command("dropAllUsersFromDatabase")
        client[database].command("dropAllRolesFromDatabase")
        client[database].command({"createUser": "owner", "pwd": "owners-secret", "roles": ["dbOwner"]})
    api, sink = (
        cache.url(database, user=f"students_{role}", password=PASSWORDS[user])
        for role, user in (("api", API), ("sink", SINK))
    )
    owner_url = cache.url(database, user="owner", password="owners-secret")
    (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={owner_url}\n")
    with system(project, state, "Calisto") as running:
        running.manage("migrate")
        assert "students_api and students_sink" in running.manage("cacheroles", "--apply").stdout
        running.start("runserver", "--noreload", str(running.port), CACHE_URL=api)
        wait_for(lambda: running.get("/healthz"), "the API to answer")
        sinking = running.start("runsink", CACHE_URL=sink)
        sinking.says("consuming component=")

        def names() -> list[str]:
            answer = running.graphql("{ getStudents { name } }")
            return sorted(each["name"] for each in (answer.get("data") or {}).get("getStudents") or [])

        create = 'mutation { createStudent(name: "NAME", course: "c", ingress: 1) { id } }'
        running.graphql(create.replace("NAME", "one"))
        wait_for(lambda: names() == ["one"], "the first student")
        with cache.client() as client:
            client.admin.command("replSetStepDown", 1, secondaryCatchUpPeriodSecs=0, force=True)
        running.graphql(create.replace("NAME", "two"))
        wait_for(lambda: names() == ["one", "two"], "API and Sink to go on with the new primary")
        assert sinking.stop() == 0
