"""The brokers on this machine that its projects use: embedded ones, or containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byron.broker import server
from byron.management.systems.container_broker import ContainerBroker


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


#: What can be started and stopped here for a namespace.
Broker = EmbeddedBroker | ContainerBroker


def brokers_of(facts: Mapping[str, Any] | None) -> Sequence[Broker]:
    """Return the brokers on this machine that a project uses, by what `describe` or an engine told of it."""
    if facts is None:
        return []
    root = Path(facts["state_path"])
    if facts["broker"] == "container":
        return [ContainerBroker(namespace, root) for namespace in facts["namespaces"]]
    if facts["broker"] != "embedded" or not facts["debug"]:
        return []
    return [EmbeddedBroker(namespace, root) for namespace in facts["namespaces"]]
