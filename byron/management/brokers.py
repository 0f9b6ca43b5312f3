"""The embedded brokers that projects of this machine use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byron.broker import server


@dataclass(frozen=True, slots=True)
class EmbeddedBroker:
    """A namespace's embedded broker, by where its log is."""

    namespace: str
    state_path: Path

    @property
    def key(self) -> tuple[str, Path]:
        """Tells it from others; a namespace's case does not count."""
        return self.namespace.lower(), self.state_path

    def runs(self) -> bool:
        return server.running(self.namespace, state_path=self.state_path) is not None

    def start(self) -> None:
        """Start it. Raises BrokerError and MissingExtraError."""
        server.ensure_running(self.namespace, state_path=self.state_path)

    def stop(self) -> bool:
        """Stop it; return whether it ran."""
        return server.stop(self.namespace, state_path=self.state_path)


def brokers_of(facts: Mapping[str, Any] | None) -> list[EmbeddedBroker]:
    """Return the embedded brokers of a project, by what `describe` told of it."""
    if facts is None or facts["broker"] != "embedded" or not facts["debug"]:
        return []
    return [EmbeddedBroker(namespace, Path(facts["state_path"])) for namespace in facts["namespaces"]]
