"""A certificate authority of a broker's own, and the server's certificate that it vouches for."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from byron.codegen.nats import Certificates
from byron.exceptions import BrokerError, MissingExtraError
from byron.management.private_files import write_new

#: How long the authority and the server's certificate are good for.
_AUTHORITY_DAYS, _SERVER_DAYS = 3650, 825


def ensure_certificates(directory: Path, namespace: str, hosts: Sequence[str]) -> Certificates:
    """Return an authority and a server's certificate for these hosts in a directory; what is there stays.

    Raises BrokerError when the certificate there is for other hosts or past its time, or lacks its key;
    MissingExtraError without `cryptography`.
    """
    if find_spec("cryptography") is None:
        raise MissingExtraError("--tls needs the package cryptography: pip install 'byron-framework[nkeys]'")
    # Late: the extra may be missing.
    from byron.management.rights import x509

    found = Certificates(
        certificate=directory / "server.crt", key=directory / "server.key", authority=directory / "ca.crt"
    )
    authority_key = directory / "ca.key"
    _require_pair(found.authority, authority_key)
    _require_pair(found.certificate, found.key)
    if not found.authority.exists():
        if found.certificate.exists():
            raise BrokerError(f"{found.certificate} has lost its authority {found.authority}; delete it and its key.")
        pair = x509.new_authority(f"Byron {namespace}", datetime.timedelta(days=_AUTHORITY_DAYS))
        write_new(authority_key, pair.key, secret=True)
        write_new(found.authority, pair.certificate)
    if not found.certificate.exists():
        issuer = x509.Pair(certificate=found.authority.read_text(), key=authority_key.read_text())
        pair = x509.new_server(issuer, hosts, datetime.timedelta(days=_SERVER_DAYS))
        write_new(found.key, pair.key, secret=True)
        write_new(found.certificate, pair.certificate)
    known, until = x509.hosts_of(found.certificate.read_text())
    if known != {_plain(host) for host in hosts}:
        raise BrokerError(
            f"{found.certificate} is for {', '.join(sorted(known))}; delete it and {found.key.name} to have one for "
            f"{', '.join(hosts)}."
        )
    if until < datetime.datetime.now(datetime.UTC):
        raise BrokerError(f"{found.certificate} ended on {until:%Y-%m-%d}; delete it and {found.key.name}.")
    return found


def _require_pair(certificate: Path, key: Path) -> None:
    if certificate.exists() != key.exists():
        there, lost = (certificate, key) if certificate.exists() else (key, certificate)
        raise BrokerError(f"{there} is there without {lost.name}; bring that back, or delete {there.name}.")


def _plain(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host
