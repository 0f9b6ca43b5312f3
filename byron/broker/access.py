"""How this process proves to the broker who it is, and the broker to it: an nkey, and certificates."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from byron.conf import byron_settings
from byron.exceptions import MissingExtraError

#: Beginning of the subjects on which whoever has no nkey is answered.
_SHARED_INBOX = "_INBOX"

JETSTREAM_API = "$JS.API"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a connection is opened with; without an nkey, the address may name user and password."""

    #: The private half of the nkey; it stays in this process and signs what the broker makes up.
    seed: str = field(default="", repr=False)
    #: The public half, by which the broker knows its user.
    public: str = ""
    ca_file: str = ""
    #: Beginning of the subjects of JetStream's API. In an account without a JetStream of its own it is another one.
    api: str = JETSTREAM_API

    @property
    def inbox_prefix(self) -> str:
        """The beginning of the subjects on which this process is answered: nobody else may listen to an nkey's."""
        return inbox_of(self.public) if self.public else _SHARED_INBOX

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how the broker is to prove itself; None for as the system does it, if it speaks TLS at all."""
        return ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None


PLAIN = Access()


def inbox_of(public: str) -> str:
    """Return the beginning of the subjects on which the user with this public nkey is answered."""
    return f"{_SHARED_INBOX}_{public}"


def configured_access() -> Access:
    """Return what BYRON_BROKER_CREDENTIALS and BYRON_BROKER_CA say.

    Raises ImproperlyConfigured, naming the setting and the file, for a file that is missing, cannot be read, is read by
    others, or is no seed or no certificate; and when the extra `nkeys` is missing.
    """
    given = byron_settings()
    access = Access()
    if given.broker_credentials:
        access = read_seed(Path(given.broker_credentials), "BYRON_BROKER_CREDENTIALS")
    access = replace(access, ca_file=given.broker_ca, api=given.broker_api or JETSTREAM_API)
    try:
        access.tls_context()
    except OSError as error:
        # Of ssl's own errors, which are of this kind too, some have no words.
        reason = error.strerror if error.strerror and not isinstance(error, ssl.SSLError) else "no certificate in it"
        raise ImproperlyConfigured(f"BYRON_BROKER_CA: {given.broker_ca} cannot be used: {reason}.") from error
    return access


def read_seed(path: Path, setting: str) -> Access:
    """Return the access that a seed file gives. Raises ImproperlyConfigured, which names the setting and the file."""
    try:
        with path.open() as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4096)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ImproperlyConfigured(f"{setting}: {path} cannot be read: {reason}.") from error
    if mode & 0o007:
        raise ImproperlyConfigured(
            f"{setting}: {path} is a secret that every user of this machine may read: `chmod o-rwx {path}`."
        )
    # `nsc` and `nk` write comments and headers around it.
    seeds = [line.strip() for line in text.splitlines() if line.startswith("SU")]
    if len(seeds) != 1:
        raise ImproperlyConfigured(f"{setting}: {path} holds no nkey seed of a user, a line that begins with SU.")
    try:
        return Access(seed=seeds[0], public=public_of(seeds[0]))
    except MissingExtraError as error:
        raise ImproperlyConfigured(f"{setting}: {error}") from error
    except ValueError as error:
        raise ImproperlyConfigured(f"{setting}: {path} holds no usable nkey seed.") from error


def public_of(seed: str) -> str:
    """Return the public half of an nkey. Raises ValueError for what is no seed, MissingExtraError without `nkeys`."""
    nkeys = _nkeys()
    try:
        public: bytes = nkeys.from_seed(bytearray(seed.encode())).public_key
    except Exception as error:
        # It raises its own errors, binascii's and others.
        raise ValueError("not an nkey seed") from error
    return public.decode()


def new_seed() -> str:
    """Return a new nkey of a user. Raises MissingExtraError without `nkeys`."""
    nkeys = _nkeys()
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode()


def _nkeys() -> Any:
    if find_spec("nkeys") is None:
        raise MissingExtraError(
            "The nkeys of a broker's users need the package nkeys: pip install 'byron-framework[nkeys]'"
        )
    return import_module("nkeys")
