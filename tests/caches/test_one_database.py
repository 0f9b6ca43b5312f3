"""Two components in one database of PostgreSQL: each in a schema of its own, and what is said without."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import DjangoDbBlocker

from byron.broker.memory import MemoryBroker
from byron.cache.workspace import PostgresWorkspace
from byron.models import Checkpoint
from byron.project import cache_databases
from byron.schema.installed import ComponentConfig
from tests.cache.conftest import meaning
from tests.postgres import PostgresServer
from tests.sink.conftest import Workbench

LABELS = ("library", "students")

Sharing = Callable[..., None]


@pytest.fixture
def share(
    postgresql_server: PostgresServer, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sharing]:
    """Let both components' Caches be in one database, each in its schema or both in the first one."""
    url = postgresql_server.create_database("both")
    with psycopg.connect(postgresql_server.url(), autocommit=True) as other:
        for (name,) in other.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'both%'").fetchall():
            other.execute(f'DROP ROLE "{name}"')
    with ExitStack() as stack:

        def begin(*, schemas: bool) -> None:
            for label in LABELS:
                if schemas:
                    with psycopg.connect(url) as other:
                        other.execute(f"CREATE SCHEMA {label}")
                address = f"{url}?options=-csearch_path%3D{label}" if schemas else url
                monkeypatch.setenv(f"{label.upper()}_CACHE_URL", address)
            made = connections.configure_settings({"default": {}, **cache_databases(LABELS, Path())})
            for label in LABELS:
                stack.enter_context(meaning(label, made[label]))

        stack.enter_context(django_db_blocker.unblock())
        yield begin


def shared() -> list[str]:
    return [error.msg for error in run_checks(tags=["byron"]) if error.id == "byron.E017"]


def cacheroles(label: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command("cacheroles", label, *arguments, stdout=out)
    return out.getvalue()


def test_components_in_one_schema_are_an_error_since_one_s_tables_would_not_be_made(
    share: Sharing, library: ComponentConfig
) -> None:
    assert shared() == []
    share(schemas=False)
    [message] = shared()
    assert message.startswith("library and students have one Cache, 127.0.0.1:")
    assert message.endswith(" both: the tables of one of them would never be made.")

    for label in reversed(LABELS):
        call_command("migrate", database=label, verbosity=0, skip_checks=True)
    with connections["library"].cursor() as cursor:
        tables = connections["library"].introspection.table_names(cursor)
    assert "students_student" in tables and "library_author" not in tables
    bench = Workbench(library, MemoryBroker("Perses"))
    bench.publish("shelf.made", {"id": "a", "label": "first", "count": 1})
    bench.run()
    assert "does not exist" in bench.parked[0].error


def test_components_in_schemas_of_their_own_have_all_to_themselves(
    share: Sharing, library: ComponentConfig, postgresql_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    share(schemas=True)
    assert shared() == []
    for label in LABELS:
        call_command("migrate", database=label, verbosity=0)

    bench = Workbench(library, MemoryBroker("Perses"))
    bench.publish("shelf.made", {"id": "a", "label": "first", "count": 1})
    bench.run()
    students: Any = apps.get_model("students", "Student").objects.using("students")
    students.create(pk="1", name="Ada", course="CS", ingress=2024)
    assert Checkpoint.objects.using("library").exists() and not Checkpoint.objects.using("students").exists()

    # Each has users of its own, and what the second is given takes nothing from the first.
    monkeypatch.setenv("CACHE_API_PASSWORD", "pass")
    for label in LABELS:
        assert f"-- {label}: both_{label}_api and both_{label}_sink." in cacheroles(label, "--apply")
    for label in LABELS:
        assert "nothing to change" in cacheroles(label)
    address = f"host=127.0.0.1 port={postgresql_server.port} dbname=both user=both_library_api password=pass"
    with psycopg.connect(address, autocommit=True) as api:
        assert api.execute("SELECT id FROM library.library_shelf").fetchall() == [("a",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            api.execute("SELECT id FROM students.students_student")

    # Rebuilds of both can be at work at once.
    rebuilds = [PostgresWorkspace(label) for label in LABELS]
    with rebuilds[0].opened(), rebuilds[1].opened():
        for rebuild in rebuilds:
            with rebuild.switch():
                rebuild.replace(list(apps.get_app_config(rebuild.alias).get_models()))
            rebuild.remove()
    assert not bench.model("Shelf").exists() and not students.exists()
    assert Checkpoint.objects.using("library").exists()


def test_users_of_another_project_s_component_keep_their_rights(share: Sharing) -> None:
    """In one schema, where only components of several projects can be: each project makes its own tables."""
    share(schemas=False)
    call_command("migrate", database="library", verbosity=0, skip_checks=True)
    assert "CREATE ROLE" in cacheroles("library")
    with connections["library"].cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('mentors', '0001_initial', now())")

    with pytest.raises(CommandError, match=r"also has tables of mentors, .* Name other ones with --api and --sink"):
        cacheroles("library")

    printed = cacheroles("library", "--api", "both_library_api", "--sink", "both_library_sink")
    assert "CREATE ROLE" in printed and "both_api" not in printed
