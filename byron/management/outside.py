"""Settings of commands that run outside a project, where no settings.py reads the environment."""

from __future__ import annotations

import os


def settings_of_environment() -> dict[str, str | int]:
    """Return the settings of the broker that the environment has, for commands outside a project."""
    names = ("BYRON_BROKER_URL", "BYRON_BROKER_CREDENTIALS", "BYRON_BROKER_CA", "BYRON_BROKER_API")
    found: dict[str, str | int] = {name: os.environ[name] for name in names if os.environ.get(name)}
    for name in ("BYRON_BROKER_REPLICAS", "BYRON_SINK_LANES"):
        if os.environ.get(name, "").isdecimal():
            found[name] = int(os.environ[name])
    return found
