"""A system's broker in a container, which all its projects use that engine `docker` runs."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from byron.codegen.deployment import system_broker_files, system_network
from byron.management.engines.compose import Compose, ensure_network, remove_network, require_docker
from byron.management.engines.docker import broker_directory, broker_password
from byron.management.private_files import write_new, write_over


@dataclass(frozen=True, slots=True)
class ContainerBroker:
    """A namespace's broker: a Compose project of its own, by files below the state directory.

    Its log is a volume, which stays when it is stopped. All methods raise EngineError.
    """

    namespace: str
    state_path: Path

    @property
    def key(self) -> tuple[str, Path]:
        """Tells it from others; a namespace's case does not count."""
        return self.namespace.lower(), self.state_path

    @property
    def directory(self) -> Path:
        return broker_directory(self.state_path, self.namespace)

    @property
    def network(self) -> str:
        """The network in which projects find it; also what Compose calls it."""
        return system_network(self.namespace)

    @property
    def volume(self) -> str:
        """The volume with the log."""
        return f"{self.network}_log"

    def runs(self) -> bool:
        if not (self.directory / "compose.yaml").exists():
            return False
        return any(each.get("State") == "running" for each in self._compose.containers())

    def start(self) -> None:
        """Start it, and return once it works; one that fails to is down afterwards."""
        require_docker()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            # Made once: it is what projects that are up have already.
            write_new(self.directory / ".env", f"BROKER_PASSWORD=p{secrets.token_hex(20)}\n", secret=True)
        for name, text in system_broker_files(self.namespace).items():
            write_over(self.directory / name, text)
        try:
            ensure_network(self.network)
            self._compose.run("up", "--detach", "--wait", "--wait-timeout", "120")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> bool:
        """Stop it; return whether it ran."""
        if not (self.directory / "compose.yaml").exists():
            return False
        was_up = bool(self._compose.containers())
        self._compose.run("down", "--remove-orphans")
        remove_network(self.network)
        return was_up

    @property
    def _compose(self) -> Compose:
        # The environment goes before the file: whatever is set there is some project's.
        password = {"BROKER_PASSWORD": broker_password(self.state_path, self.namespace) or "-"}
        name = f"broker of {self.namespace}"
        return Compose(name=name, folder=self.directory, files=("compose.yaml",), environment=password)


def container_brokers(state_path: Path) -> list[ContainerBroker]:
    """Return the brokers that were ever started in containers, by the namespaces' lower-case names."""
    files = sorted((state_path / "docker-engine").glob("*/compose.yaml"))
    return [ContainerBroker(file.parent.name, state_path) for file in files]
