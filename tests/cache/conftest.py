"""Databases for tests of what only some engines do, beside those of tests/settings.py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.postgres import PostgresServer, why_not


@contextmanager
def database(alias: str, **settings: Any) -> Iterator[BaseDatabaseWrapper]:
    """Give Django one more database for a while."""
    configured = connections.configure_settings({"default": {}, alias: settings})[alias]
    connections.settings[alias] = configured
    try:
        yield connections[alias]
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


@contextmanager
def postgresql(server: PostgresServer, name: str, *, alias: str, **changes: Any) -> Iterator[BaseDatabaseWrapper]:
    with database(
        alias,
        **{
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "HOST": "127.0.0.1",
            "PORT": server.port,
            "USER": server.user,
            "PASSWORD": server.password,
            **changes,
        },
    ) as made:
        yield made


def connected(server: PostgresServer, name: str = "postgres", *, autocommit: bool = True) -> Any:
    """Return a connection of someone else's."""
    import psycopg

    return psycopg.connect(server.url(name), autocommit=autocommit)


@pytest.fixture(scope="session", autouse=True)
def _own_databases(django_db_setup: None) -> None:
    """Make the tests' own databases first: while an alias means another one, they would be made there, and stay."""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    if reason := why_not():
        pytest.skip(reason)
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as running:
        yield running


def on_postgresql(server: PostgresServer, name: str, **changes: Any) -> dict[str, Any]:
    """Return the settings of a database on the server, as in DATABASES and complete."""
    given = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": "127.0.0.1",
        "PORT": server.port,
        "USER": server.user,
        "PASSWORD": server.password,
        **changes,
    }
    return connections.configure_settings({"default": {}, "one": given})["one"]


@contextmanager
def meaning(alias: str, database: dict[str, Any]) -> Iterator[None]:
    """Let an alias mean another database for a while, one inside of another if need be."""
    before = connections.settings[alias]
    connections[alias].close()
    del connections[alias]
    connections.settings[alias] = database
    try:
        yield
    finally:
        connections[alias].close()
        del connections[alias]
        connections.settings[alias] = before
