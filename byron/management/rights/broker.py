"""`infrastructure config` and `prepare`: the broker's users and what they need, from the components' schema.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from byron.broker.access import configured_access, new_seed, read_seed
from byron.broker.nats import NatsBroker
from byron.broker.rights import Deployable, Role, readers_of, roles_of
from byron.codegen.nats import (
    ACCOUNTS_FILE,
    SERVER_FILE,
    Certificates,
    accounts_configuration,
    environment,
    server_configuration,
)
from byron.conf import byron_settings
from byron.events.subjects import SLOTS
from byron.exceptions import BrokerError, SchemaError
from byron.management.private_files import write_new, write_over
from byron.management.rights.certificates import ensure_certificates
from byron.schema.installed import SCHEMA_FILE, installed_components
from byron.schema.model import Component
from byron.schema.names import snake_case
from byron.schema.places import shown
from byron.schema.reader import read_component

_SEED = ".nk"
_LISTEN = re.compile(r"(?:(?P<host>[^:\s]+|\[[0-9A-Fa-f:]+\]):)?(?P<port>\d{1,5})")
_NAMESPACE = re.compile(r"[A-Za-z][A-Za-z0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the configuration is to be like, besides what the components say."""

    namespace: str
    directory: Path
    listen: str = "127.0.0.1:4222"
    lanes: int = 1
    #: Where clients find the server, if not where it listens.
    url: str = ""
    #: Names and addresses for a certificate of the server's that an own authority vouches for.
    tls_hosts: Sequence[str] = ()
    #: Certificates that exist already.
    certificates: Certificates | None = None


def find_deployables(namespace: str, paths: Sequence[Path]) -> list[Deployable]:
    """Return what runs together, by the folders of projects and components; without any, this project.

    This project's own folder stands for all of its components, also for those that settings.py takes from elsewhere.
    Raises BrokerError for a folder without components, for one component too many, and for one of another namespace;
    SchemaError for a schema with problems.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise BrokerError(f"{namespace!r} cannot name a namespace: a letter and then only letters and digits can.")
    here = _installed()
    found = [here if here is not None and _is_here(path) else _deployable(path) for path in paths]
    if not paths and here is not None:
        found = [here]
    if not found:
        raise BrokerError("Name the folders of the system's projects or components.")
    names = [each.name for each in found]
    for each in found:
        if names.count(each.name) > 1:
            raise BrokerError(f"Two of the folders are called {each.name}, so their roles would be the same.")
        for component in each.components:
            if component.namespace.lower() != namespace.lower():
                raise BrokerError(f"{component.name} is of the namespace {component.namespace}, not {namespace}.")
    return found


def _installed() -> Deployable | None:
    configs = installed_components()
    for config in configs:
        if config.schema_problems:
            raise SchemaError(config.schema_problems)
    return _together(_base(), [config.component for config in configs]) if configs else None


def _base() -> Path:
    return Path(getattr(settings, "BASE_DIR", "") or Path.cwd())


def _is_here(path: Path) -> bool:
    return path.resolve() == _base().resolve()


def _deployable(path: Path) -> Deployable:
    if (path / SCHEMA_FILE).is_file():
        schemas = [path / SCHEMA_FILE]
    else:
        schemas = sorted(each for each in path.glob(f"*/{SCHEMA_FILE}") if (each.parent / "apps.py").exists())
    if not schemas:
        raise BrokerError(f"{path} holds no component: neither {SCHEMA_FILE} nor a component's folder is in it.")
    try:
        return _together(path, [read_component(each, shown(each)) for each in schemas])
    except OSError as error:
        raise BrokerError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _together(folder: Path, components: Sequence[Component]) -> Deployable:
    name = snake_case(components[0].name) if len(components) == 1 else folder.resolve().name
    return Deployable(name=re.sub(r"[^a-z0-9_-]+", "_", name.lower()), components=tuple(components))


def write_configuration(wanted: Wanted, deployables: Sequence[Deployable], tell: Callable[[str], None]) -> list[str]:
    """Write the server's configuration and what each role needs; return warnings.

    Secrets that are there stay as they are; a file that says the same already is not touched. `tell` gets a line for
    each file. Raises BrokerError, MissingExtraError and OSError.
    """
    listening = _LISTEN.fullmatch(wanted.listen)
    if listening is None or not 0 < int(listening["port"]) < 65536:
        raise BrokerError(f"{wanted.listen!r} is no address to listen at, such as 127.0.0.1:4222.")
    if not 1 <= wanted.lanes <= SLOTS:
        raise BrokerError(f"There are 1 to {SLOTS} lanes, not {wanted.lanes}.")
    directory = wanted.directory.absolute()
    directory.mkdir(parents=True, exist_ok=True)
    roles = roles_of(wanted.namespace, deployables, wanted.lanes)
    publics = {role.name: _key(directory, role, tell) for role in roles}
    certificates = wanted.certificates
    if wanted.tls_hosts:
        certificates = ensure_certificates(directory, wanted.namespace, wanted.tls_hosts)
    url = wanted.url or _url(wanted, listening, certificates)
    texts = {
        ACCOUNTS_FILE: accounts_configuration(wanted.namespace, roles, publics),
        SERVER_FILE: server_configuration(wanted.namespace, wanted.listen, directory / "data", certificates),
    }
    for role in roles:
        lanes = wanted.lanes if role.name.endswith("-sink") else 1
        texts[f"{role.name}.env"] = environment(role, url, directory / f"{role.name}{_SEED}", certificates, lanes)
    for name, text in texts.items():
        tell(f"{name}: {write_over(directory / name, text)}")
    return [*_silent(deployables), *_left_over(directory, publics)]


def _key(directory: Path, role: Role, tell: Callable[[str], None]) -> str:
    """Return the public half of a role's nkey, made at the first call."""
    path = directory / f"{role.name}{_SEED}"
    if not path.exists():
        write_new(path, new_seed() + "\n", secret=True)
        tell(f"{path.name}: created")
    else:
        tell(f"{path.name}: kept")
    try:
        return read_seed(path, role.name).public
    except ImproperlyConfigured as error:
        raise BrokerError(str(error)) from error


def _url(wanted: Wanted, listening: re.Match[str], certificates: Certificates | None) -> str:
    host = wanted.tls_hosts[0] if wanted.tls_hosts else listening["host"] or "localhost"
    if host in ("0.0.0.0", "[::]"):
        host = "localhost"
    return f"{'tls' if certificates is not None else 'nats'}://{host}:{listening['port']}"


def _silent(deployables: Sequence[Deployable]) -> list[str]:
    return [
        f"{component.name} does not say what {', '.join(component.silent_mutations)} may emit, so the broker will "
        "refuse it; add `emits:` to them in schema.yaml."
        for deployable in deployables
        for component in deployable.components
        if component.silent_mutations
    ]


def _left_over(directory: Path, publics: dict[str, str]) -> list[str]:
    return [
        f"{path.name} is of no role any more; delete it, unless the role is to come back."
        for path in sorted(directory.glob(f"*{_SEED}"))
        if path.stem not in publics
    ]


def prepare_broker(namespace: str, deployables: Sequence[Deployable], lanes: int | None) -> list[str]:
    """Make the log, the claims' bucket and the readers of Sinks; return what was made or changed.

    The broker is that of the settings. Raises BrokerError and ImproperlyConfigured.
    """
    given = byron_settings()
    if not given.broker_url:
        raise ImproperlyConfigured("Say where the broker is: set BYRON_BROKER_URL, or use the lines of admin.env.")
    readers = [
        reader
        for deployable in deployables
        for component in deployable.components
        for reader in readers_of(component, lanes or given.sink_lanes)
    ]
    with NatsBroker(namespace, given.broker_url, replicas=given.broker_replicas, access=configured_access()) as broker:
        return broker.prepare(
            {reader.name: reader.events for reader in readers}, {reader.name: reader.slots for reader in readers}
        )
