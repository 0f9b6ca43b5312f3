"""What a project's settings.py calls: which components it has, where their Caches are, which extras it needs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

_SQLITE_OPTIONS = {
    # A transaction that begins as a reader and turns writer fails at once under SQLite; immediate ones wait.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    # NORMAL may lose the last transactions in a power cut, checkpoint included: the log gives them again.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}

#: Seconds in which a server must have answered a new connection.
_CONNECT_TIMEOUT = 5

_MONGODB_SCHEMES = ("mongodb", "mongodb+srv")

_MONGODB_OPTIONS = {
    # Milliseconds until a server that is away is told of; PyMongo itself waits for half a minute.
    "serverSelectionTimeoutMS": 3000,
    # A server that accepts and says nothing counts as away after these two together, and what waits for it fails:
    # before a command's time is up. PyMongo takes 30 seconds for that.
    "connectTimeoutMS": 4000,
    "heartbeatFrequencyMS": 2000,
}


def find_components(*directories: Path, first: str) -> list[str]:
    """Return the names of these directories' folders that hold a schema.yaml and an apps.py, `first` before the others.

    Python must find them as well: directories other than the project's own belong on `sys.path`.
    """
    schemas = [schema for directory in directories for schema in directory.glob("*/schema.yaml")]
    found = sorted(schema.parent.name for schema in schemas if (schema.parent / "apps.py").exists())
    return sorted(found, key=lambda name: name != first)


def cache_databases(components: Sequence[str], directory: Path) -> dict[str, dict[str, Any]]:
    """Return the DATABASES entry of each component's Cache, by its alias.

    Its address is the environment's `<COMPONENT>_CACHE_URL`, or for the first component `CACHE_URL`;
    without either, it is a SQLite file in `directory`.
    """
    return {name: _cache_database(name, directory, is_first=name == components[0]) for name in components}


def _cache_database(name: str, directory: Path, *, is_first: bool) -> dict[str, Any]:
    env = environ.Env()
    for variable in (f"{name.upper()}_CACHE_URL", *(["CACHE_URL"] if is_first else [])):
        url = env.str(variable, default="")
        if url:
            break
    try:
        return database_of(url or f"sqlite:///{directory / name}.sqlite3")
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{variable} is no address of a database: {error}. Write sqlite:///path, "
            "postgres://user:password@host/name or mongodb://user:password@host/name."
        ) from None


def database_of(url: str) -> dict[str, Any]:
    """Return the DATABASES entry of a Cache's address.

    Raises ValueError for what is none, in words without the address, which may hold a password; and
    ImproperlyConfigured for one that cannot be used.
    """
    scheme = _scheme(url)
    if scheme not in (*_MONGODB_SCHEMES, *environ.Env.DB_SCHEMES):
        raise ValueError(f"{scheme}:// is unknown" if scheme else "it does not begin with a scheme")
    try:
        database = _mongodb_database(url) if scheme in _MONGODB_SCHEMES else dict(environ.Env.db_url_config(url))
    except ValueError:
        # Python's own words quote what stands where a port should: part of a password that has a slash, say.
        problem = "its host or port cannot be read; in a password, / is written %2F, @ %40, and : %3A"
        raise ValueError(problem) from None
    # Django's tests would make each Cache's database wait for `default`, which a project need not have.
    database["TEST"] = {"DEPENDENCIES": []}
    if database["ENGINE"] == "django.db.backends.sqlite3":
        database["OPTIONS"] = {**_SQLITE_OPTIONS, **database.get("OPTIONS", {})}
    else:
        database.setdefault("CONN_MAX_AGE", 60)
        database.setdefault("CONN_HEALTH_CHECKS", True)
    if database["ENGINE"] == "django.db.backends.postgresql":
        # Without it, a server that accepts and says nothing would hold whoever asks for as long as it likes.
        database["OPTIONS"] = {"connect_timeout": _CONNECT_TIMEOUT, **database.get("OPTIONS", {})}
    return database


def _scheme(url: str) -> str:
    """Return the scheme of an address, or nothing. What stands before a mere colon may be a user's name."""
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator and scheme.replace("+", "").replace("-", "").isalnum() else ""


def _mongodb_database(url: str) -> dict[str, Any]:
    """Return the DATABASES entry of a MongoDB URL, which goes to PyMongo as it is.

    Raises ImproperlyConfigured when the extra is missing, or the URL names no database.
    """
    require_extra("mongodb", "django_mongodb_backend", setting="CACHE_URL")
    parts = urlsplit(url)
    hosts = parts.netloc.rpartition("@")[2].split(",")
    if "@" in parts.path or any(urlsplit(f"//{host}").port == 0 for host in hosts):
        raise ValueError("a part of the user or the password stands where the database's name should")
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured(
            f"The CACHE_URL of a MongoDB server at {parts.hostname} names no database; add one: mongodb://host/students."
        )
    given = {option.split("=", 1)[0].lower() for option in parts.query.split("&")}
    options = {option: value for option, value in _MONGODB_OPTIONS.items() if option.lower() not in given}
    return {"ENGINE": "byron.cache.mongodb", "NAME": name, "HOST": url, "OPTIONS": options}


def require_extra(extra: str, module: str, *, setting: str) -> None:
    """Raise ImproperlyConfigured when a setting in use needs an extra of byron-framework that is not installed."""
    if find_spec(module) is None:
        raise ImproperlyConfigured(
            f"{setting} is set, but {module} is not installed: pip install 'byron-framework[{extra}]', or unset it."
        )
