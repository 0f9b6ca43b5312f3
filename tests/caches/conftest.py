"""Servers of the engines, and a component of these tests' project whose Cache is on MongoDB."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connections
from pytest_django import DjangoDbBlocker

from byron.project import cache_databases
from tests import mongodb, postgres
from tests.cache.conftest import meaning
from tests.mongodb import MongoServer


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.PostgresServer]:
    if reason := postgres.why_not():
        pytest.skip(reason)
    with postgres.PostgresServer(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[mongodb.MongoServer]:
    if reason := mongodb.why_not():
        pytest.skip(reason)
    with mongodb.MongoServer(tmp_path_factory.mktemp("mongodb")) as server:
        yield server


@pytest.fixture
def sqlite_cache(tmp_path: Path, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The alias of the Library's Cache, which is on SQLite for the length of a test, migrated and empty."""
    monkeypatch.setenv("LIBRARY_CACHE_URL", f"sqlite:///{tmp_path / 'library.sqlite3'}")
    settings = connections.configure_settings({"default": {}, **cache_databases(["library"], Path())})
    with django_db_blocker.unblock(), meaning("library", settings["library"]):
        call_command("migrate", database="library", verbosity=0)
        yield "library"


@pytest.fixture
def mongodb_cache(
    mongodb_server: MongoServer, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The alias of the Library's Cache, which is on MongoDB for the length of a test, migrated and empty."""
    monkeypatch.setenv("LIBRARY_CACHE_URL", mongodb_server.create_database("library"))
    settings = connections.configure_settings({"default": {}, **cache_databases(["library"], Path())})
    with django_db_blocker.unblock(), meaning("library", settings["library"]):
        call_command("migrate", database="library", verbosity=0)
        yield "library"
        connections["library"].close_pool()


@pytest.fixture
def postgresql_cache(
    postgresql_server: postgres.PostgresServer, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The alias of the Library's Cache, which is on PostgreSQL for the length of a test, migrated and empty."""
    monkeypatch.setenv("LIBRARY_CACHE_URL", postgresql_server.create_database("library"))
    settings = connections.configure_settings({"default": {}, **cache_databases(["library"], Path())})
    with django_db_blocker.unblock(), meaning("library", settings["library"]):
        call_command("migrate", database="library", verbosity=0)
        yield "library"
