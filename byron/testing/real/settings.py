"""Settings of the processes of a test marked `real`: the project's own, with everything of its places replaced.

Whatever the project's settings say, nothing here reaches a database or a broker other than the test's.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from byron.project import cache_databases
from byron.testing.real.places import BROKER, DIRECTORY, SETTINGS

_given = {name: value for name, value in vars(import_module(os.environ[SETTINGS])).items() if name.isupper()}
_directory = Path(os.environ[DIRECTORY])
globals().update(_given)

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
SECURE_SSL_REDIRECT = False
DATABASES: dict[str, Any] = {
    **_given["DATABASES"],
    **cache_databases([alias for alias, database in _given["DATABASES"].items() if database], _directory),
}
BYRON_BROKER_URL = os.environ[BROKER]
BYRON_BROKER_REPLICAS = 1
# How the project's own broker is reached means nothing to the test's.
BYRON_BROKER_CA = BYRON_BROKER_CREDENTIALS = BYRON_BROKER_API = ""
BYRON_STATE_DIRECTORY = str(_directory / "state")
# A handler that fails for good is told of within a second, not after half a minute.
BYRON_SINK_RETRY_DELAY = 0.05
BYRON_SINK_RETRY_LIMIT = 0.2
# Who asks is what the test says, without tokens.
BYRON_JWT_KEYS = ""
SILENCED_SYSTEM_CHECKS = [*_given.get("SILENCED_SYSTEM_CHECKS", ()), "byron.W003"]
MIDDLEWARE = [*_given.get("MIDDLEWARE", ()), "byron.testing.real.users.ActingUserMiddleware"]
