"""A nats-server's configuration, made of roles and their keys: accounts, and a server around them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from byron.broker.access import JETSTREAM_API, inbox_of
from byron.broker.rights import Role

ACCOUNTS_FILE = "accounts.conf"
SERVER_FILE = "nats.conf"

#: Beginning of the subjects of JetStream's API in the accounts of roles.
IMPORTED_API = "JS.API"

_HEADER = "# Written by `byron infrastructure config` for namespace {namespace}; changes are lost.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """The files by which the server proves itself, and the one that its clients check them with."""

    certificate: Path
    key: Path
    authority: Path


def accounts_configuration(namespace: str, roles: Iterable[Role], publics: Mapping[str, str]) -> str:
    """Return the accounts of a system, for the `accounts` block of a server; `publics` are nkeys by role.

    It holds the public halves only. The log is in one account, in which only the admin is. Each role has an account of
    its own, which imports just what the role may do. Permissions of a user alone would not do: JetStream sends
    its answers wherever a request asks, also to the subject of an event that the one who asks may not publish.
    """
    log = _account(namespace)
    lines = [
        _HEADER.format(namespace=namespace) + "# Include it in the `accounts` block of a server.",
        f"{log}: {{",
        "  jetstream: enabled",
    ]
    roles = list(roles)
    for role in roles:
        if role.is_admin:
            lines += _user(role, publics[role.name], role.publish)
    services = sorted({each for role in roles if not role.is_admin for each in role.publish})
    lines += [
        *_list("exports", [f"{{ service: {json.dumps(each)}, response_type: stream }}" for each in services]),
        "}",
    ]
    for role in roles:
        if not role.is_admin:
            lines += _importing(log, role, publics[role.name])
    return "\n".join((*lines, ""))


def _importing(log: str, role: Role, public: str) -> list[str]:
    imports = [_import(log, "service", each) for each in role.publish]
    imports += [_import(_account(log, role.hears_from), "stream", each) for each in role.hears]
    # Not by the log's account, from which the server does not pass on what comes from another one.
    exports = [f"{{ stream: {json.dumps(each)} }}" for each in role.signals]
    return [
        f"{_account(log, role.name)}: {{",
        *_user(role, public, (*map(_local, role.publish), *role.signals)),
        *_list("imports", imports),
        *_list("exports", exports),
        "}",
    ]


def _list(name: str, items: Sequence[str]) -> list[str]:
    return [f"  {name}: [", *(f"    {each}" for each in items), "  ]"] if items else []


def _import(log: str, kind: str, subject: str) -> str:
    local = _local(subject)
    to = f", to: {json.dumps(local)}" if local != subject else ""
    return f"{{ {kind}: {{ account: {log}, subject: {json.dumps(subject)} }}{to} }}"


def _local(subject: str) -> str:
    """Return a subject as it is called outside the log's account, where the server itself answers `$JS.API`."""
    return subject.replace(f"{JETSTREAM_API}.", f"{IMPORTED_API}.", 1) if subject.startswith(JETSTREAM_API) else subject


def _account(*names: str) -> str:
    return "_".join(names).upper().replace("-", "_")


def _user(role: Role, public: str, publish: Iterable[str]) -> list[str]:
    return [
        "  users: [",
        "    {",
        f"      # {role.name}: {role.title}",
        f"      nkey: {public}",
        "      permissions: {",
        *_allowed("publish", publish),
        *_allowed("subscribe", (f"{inbox_of(public)}.>", *role.hears)),
        "      }",
        "    }",
        "  ]",
    ]


def _allowed(verb: str, subjects: Iterable[str]) -> list[str]:
    # JSON's strings are strings of the server's configuration language too.
    return [f"        {verb}: {{ allow: [", *(f"          {json.dumps(each)}" for each in subjects), "        ] }"]


def server_configuration(namespace: str, listen: str, store: Path, certificates: Certificates | None) -> str:
    """Return the configuration of a single server whose users are in the file beside it."""
    text = (
        _HEADER.format(namespace=namespace)
        + f"""\
# To have a server of your own do this, include {ACCOUNTS_FILE} in its configuration instead.
server_name: {json.dumps(f"byron-{namespace.lower()}")}
listen: {json.dumps(listen)}
max_payload: 1MB
jetstream {{
  store_dir: {json.dumps(str(store))}
  # With the default, a power cut takes up to the last minutes' acknowledged events with it.
  sync_interval: always
}}
accounts {{
  include {ACCOUNTS_FILE}
}}
"""
    )
    if certificates is None:
        return text
    return (
        text
        + f"""\
tls {{
  cert_file: {json.dumps(str(certificates.certificate))}
  key_file: {json.dumps(str(certificates.key))}
}}
"""
    )


def environment(role: Role, url: str, credentials: Path, certificates: Certificates | None, lanes: int) -> str:
    """Return the settings with which a process takes on a role."""
    lines = [f"BYRON_BROKER_URL={url}", f"BYRON_BROKER_CREDENTIALS={credentials}"]
    if not role.is_admin:
        lines.append(f"BYRON_BROKER_API={IMPORTED_API}")
    if certificates is not None:
        lines.append(f"BYRON_BROKER_CA={certificates.authority}")
    if lanes > 1:
        lines.append(f"BYRON_SINK_LANES={lanes}")
    return "\n".join((*lines, ""))
