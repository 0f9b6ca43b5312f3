"""Engine `docker`: a project's containers, by the files in deploy/ that `manage.py generate` writes.

A project's compose.yaml has a broker of its own. Here compose.system.yaml is named beside it, which leaves that broker
out and lets the containers into the network of their system, where `container_broker` runs one for all.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from byron.management.engines.base import Engine, EngineError, Order, Row, Say
from byron.management.engines.compose import Compose, as_objects, docker, ensure_network, remove_network, require_docker
from byron.management.engines.journal import Line
from byron.management.engines.ports import Ports, choose_port
from byron.management.private_files import write_new
from byron.management.systems.projects import Project

COMPOSE_FILE = "deploy/compose.yaml"
SYSTEM_FILE = "deploy/compose.system.yaml"
SECRETS_FILE = "deploy/.env"

#: Seconds that a project's containers may take until all of them are healthy.
START_DEADLINE = 300

_SECRETS = ("SECRET_KEY", "BROKER_PASSWORD", "CACHE_PASSWORD")


class DockerEngine(Engine):
    """Call `docker compose` in the project's folder; Docker itself knows what runs."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        # Those of engine `process`: a project has the same port whatever runs it.
        self._ports = Ports(root / "process-engine")
        self._usable = False

    def prepare(self, project: Project) -> list[str]:
        self._require(project)
        facts = self.facts(project)
        if facts["broker"] == "container" and len(facts["namespaces"]) > 1:
            raise EngineError(
                f"{project.name} has components of several systems ({', '.join(facts['namespaces'])}), which have no "
                f"broker in common: name one that they may all use, BYRON_BROKER_URL in {project.path / SECRETS_FILE}."
            )
        if (project.path / SECRETS_FILE).exists():
            return []
        write_new(project.path / SECRETS_FILE, _with_secrets(project), secret=True)
        return [f"{SECRETS_FILE} is made, with secrets of its own; keep it, and keep it out of git"]

    def build(self, project: Project) -> None:
        self._compose(project).run("build")

    def is_up(self, project: Project) -> bool:
        return self.status(project).state in ("up", "starting", "restarting")

    def choose_port(self, project: Project, asked: int | None = None) -> int:
        own = _value(project, "API_PORT")
        if own and not own.isdecimal():
            raise EngineError(f"{project.name}: API_PORT={own} in {SECRETS_FILE} is not a port.")
        return choose_port(self._ports, project, asked or int(own or 0), command="byron up -d --engine docker")

    def up(self, order: Order, say: Say) -> Row:
        project, facts = order.project, self.facts(order.project)
        environment = {"API_PORT": str(order.port)} if order.port else {}
        if facts["broker"] == "container":
            password = broker_password(self.root, facts["namespaces"][0]) or ""
            # Who knows the broker's password may publish anything: no need for one more secret.
            receipts = hmac.digest(password.encode(), b"receipts", "sha256").hex()
            environment |= {"SYSTEM_BROKER_PASSWORD": password, "SYSTEM_RECEIPT_KEY": receipts}
        compose = self._compose(project, **environment)
        say(project.name, "building and starting containers")
        try:
            ensure_network(facts["network"])
            wait = ("--wait", "--wait-timeout", str(START_DEADLINE))
            compose.run("up", "--detach", "--build", *wait, cancelled=order.cancelled)
        except BaseException as error:
            said = _last_words(compose) if not order.cancelled.is_set() else ""
            self.down(project)
            if isinstance(error, EngineError) and said:
                raise EngineError(f"{error}\n{said}") from error
            raise
        return self.status(project)

    def restart(self, order: Order, only: Sequence[str], say: Say) -> Row:
        if order.port is not None:
            raise EngineError(
                f"{order.project.name}: a container keeps its port. Take it down, and choose another: "
                f"byron up -d --engine docker --port {order.port} {order.project.path}"
            )
        if not self.is_up(order.project):
            raise EngineError(f"{order.project.name} is not up.")
        compose = self._compose(order.project)
        say(order.project.name, "restarting containers")
        wanted = tuple(f"-{each}" for each in only)
        services = sorted({str(each["Service"]) for each in compose.containers()})
        compose.run("restart", *(each for each in services if each.endswith(wanted or ("-api", "-sink"))))
        return self.status(order.project)

    def down(self, project: Project) -> bool:
        compose = self._compose(project)
        was_up = bool(compose.containers())
        # Networks may be left of an earlier time.
        compose.run("down", "--remove-orphans")
        remove_network(self.facts(project)["network"])
        return was_up

    def status(self, project: Project) -> Row:
        containers = self._compose(project).containers()
        ports = [port for container in containers for port in container.get("Publishers") or []]
        published = [int(port["PublishedPort"]) for port in ports if port.get("PublishedPort")]
        return Row(
            component=project.name,
            project=str(project.path),
            namespaces=self.facts(project)["namespaces"],
            state=_state(containers),
            port=published[0] if published else None,
        )

    def projects(self) -> list[Project]:
        self._require_docker()
        listed = as_objects("docker", docker("compose", "ls", "--all", "--format", "json") or "")
        files = {file for each in listed for file in str(each.get("ConfigFiles", "")).split(",")}
        ours = sorted(Path(file).parent.parent for file in files if file.endswith(f"/{SYSTEM_FILE}"))
        return [Project(path) for path in ours if (path / SYSTEM_FILE).is_file()]

    def logs(self, project: Project, *, last: int, follow: threading.Event | None = None) -> Iterator[Line]:
        compose = self._compose(project)
        command = compose.command("logs", "--no-color", "--tail", str(last), *(["-f"] if follow else []))
        process = subprocess.Popen(
            command,
            cwd=project.path,
            env={**os.environ, **compose.environment},
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        try:
            for line in process.stdout or ():
                name, _, text = line.rstrip("\n").partition("|")
                yield Line("", name.strip(), text.strip())
        finally:
            process.terminate()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def facts(self, project: Project) -> dict[str, Any]:
        """Return what a project's own files tell of it, as `describe` would. Raises EngineError."""
        self._require(project)
        try:
            system = yaml.safe_load((project.path / SYSTEM_FILE).read_text())
            namespaces, network = list(system["x-byron"]["namespaces"]), str(system["networks"]["system"]["name"])
        except (yaml.YAMLError, KeyError, TypeError) as error:
            raise EngineError(
                f"{project.name}: {SYSTEM_FILE} is not what `manage.py generate` writes; delete it and generate again."
            ) from error
        return {
            "namespaces": namespaces,
            "network": network,
            "broker": "configured" if _value(project, "BYRON_BROKER_URL") else "container",
            "state_path": str(self.root),
        }

    def _compose(self, project: Project, **environment: str) -> Compose:
        self._require(project)
        if not (project.path / SECRETS_FILE).exists():
            # Compose wants them whatever it is asked, also to tell that nothing is there.
            environment |= {name: "-" for name in _SECRETS if not os.environ.get(name)}
        return Compose(
            name=project.name, folder=project.path, files=(COMPOSE_FILE, SYSTEM_FILE), environment=environment
        )

    def _require(self, project: Project) -> None:
        self._require_docker()
        for file in (COMPOSE_FILE, SYSTEM_FILE):
            if not (project.path / file).is_file():
                raise EngineError(f"{project.name} has no {file}: `manage.py generate` writes it.")

    def _require_docker(self) -> None:
        if not self._usable:
            require_docker()
            self._usable = True


def broker_directory(root: Path, namespace: str) -> Path:
    """Return where the files of a system's broker are."""
    return root / "docker-engine" / namespace.lower()


def broker_password(root: Path, namespace: str) -> str | None:
    """Return the password of a system's broker; None as long as there is none."""
    return _read(broker_directory(root, namespace) / ".env", "BROKER_PASSWORD")


def _state(containers: list[dict[str, Any]]) -> str:
    """Return how a project is that has these containers."""
    # The migration has done its work.
    lasting = [each for each in containers if each.get("State") != "exited" or each.get("ExitCode")]
    states = {str(each.get("State", "")) for each in lasting}
    if "restarting" in states:
        return "restarting"
    if "running" not in states:
        return "down"
    healthy = all(each.get("Health", "") in ("", "healthy") for each in lasting)
    return "up" if states == {"running"} and healthy else "starting"


def _last_words(compose: Compose) -> str:
    """Return what the containers that failed said last."""
    try:
        failed = [each for each in compose.containers() if each.get("ExitCode") or each.get("Health") == "unhealthy"]
        services = sorted({str(each["Service"]) for each in failed})
        return compose.run("logs", "--no-color", "--tail", "15", *services).strip() if services else ""
    except (EngineError, KeyError):
        return ""


def _with_secrets(project: Project) -> str:
    """Return the project's .env.example with every secret in its place."""
    example = project.path / f"{SECRETS_FILE}.example"
    text = example.read_text() if example.is_file() else "".join(f"{name}=\n" for name in _SECRETS)
    for name in _SECRETS:
        # Letters and digits, a letter first, as they become parts of addresses and of the broker's configuration.
        text = re.sub(f"^{name}=$", f"{name}=p{secrets.token_hex(32)}", text, flags=re.MULTILINE)
    return text


def _value(project: Project, name: str) -> str:
    """Return what Compose would take for a variable: the environment's, else that of the project's file."""
    return os.environ.get(name) or _read(project.path / SECRETS_FILE, name) or ""


def _read(path: Path, name: str) -> str | None:
    try:
        found = re.findall(rf"^[ \t]*(?:export[ \t]+)?{name}[ \t]*=[ \t]*(.*?)[ \t]*$", path.read_text(), re.MULTILINE)
    except FileNotFoundError:
        return None
    return str(found[-1]).strip("\"'") if found else None
