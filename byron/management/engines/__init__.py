"""Engines: what runs a project's processes. `process` runs them on this machine, `docker` in containers."""

from byron.management.engines.base import Engine, EngineError, Row
from byron.management.engines.docker import DockerEngine
from byron.management.engines.process import ProcessEngine

__all__ = ["ENGINES", "DockerEngine", "Engine", "EngineError", "ProcessEngine", "Row"]

#: By the name that `--engine` takes; the first is the default.
ENGINES: dict[str, type[Engine]] = {"process": ProcessEngine, "docker": DockerEngine}
