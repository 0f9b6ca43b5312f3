"""Servers of the engines, and a component of these tests' project whose Cache is on MongoDB."""

from __future__ import annotations

import subprocess
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
from tests.processes import PATIENCE

#: A locale that sorts as dictionaries do, and not by code point.
LOCALE = "en_US.UTF-8"


@pytest.fixture(scope="session", autouse=True)
def _own_databases(django_db_setup: None) -> None:
    """Make the tests' own databases first: while an alias means another one, they would be made there, and stay."""


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
def mongodb_cache(
    mongodb_server: MongoServer, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The alias of the Library's Cache, which is on MongoDB for the length of a test, migrated and empty."""
    for alias in _library(mongodb_server.create_database("library"), django_db_blocker, monkeypatch):
        yield alias
        connections[alias].close_pool()


@pytest.fixture
def postgresql_cache(
    postgresql_server: postgres.PostgresServer, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The alias of the Library's Cache, which is on PostgreSQL for the length of a test, migrated and empty."""
    yield from _library(postgresql_server.create_database("library"), django_db_blocker, monkeypatch)


@pytest.fixture(scope="session")
def dictionary_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL that knows LOCALE, by files of the system's library: it is built without ICU."""
    if reason := postgres.why_not():
        pytest.skip(reason)
    directory = tmp_path_factory.mktemp("dictionary")
    # PostgreSQL writes it either way.
    locale = directory / "locales" / LOCALE
    locale.parent.mkdir()
    command = ["localedef", "--no-archive", "-i", "en_US", "-f", "UTF-8", str(locale)]
    try:
        made = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except FileNotFoundError:
        pytest.skip("there is no localedef to make a locale with")
    if not (locale / "LC_COLLATE").is_file():
        pytest.skip(f"{LOCALE} cannot be made here: {made.stderr.strip()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCPATH", f"{locale.parent}:/usr/lib/locale")
        with postgres.PostgresServer(directory) as server:
            yield server


@pytest.fixture
def dictionary_cache(
    dictionary_server: postgres.PostgresServer, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The alias of the Library's Cache, on PostgreSQL in a database that sorts texts as dictionaries do."""
    yield from _library(dictionary_server.create_database("library", locale=LOCALE), django_db_blocker, monkeypatch)


@pytest.fixture
def sqlite_cache(tmp_path: Path, django_db_blocker: DjangoDbBlocker, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The alias of the Library's Cache, which is a file for the length of a test, migrated and empty."""
    yield from _library(f"sqlite:///{tmp_path / 'library.sqlite3'}", django_db_blocker, monkeypatch)


def _library(url: str, blocker: DjangoDbBlocker, patch: pytest.MonkeyPatch) -> Iterator[str]:
    patch.setenv("LIBRARY_CACHE_URL", url)
    settings = connections.configure_settings({"default": {}, **cache_databases(["library"], Path())})
    with blocker.unblock(), meaning("library", settings["library"]):
        call_command("migrate", database="library", verbosity=0)
        yield "library"
