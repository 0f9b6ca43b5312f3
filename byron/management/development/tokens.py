"""Tokens for trying out roles, signed by a key that this machine makes for its developer. Needs the extra `jwt`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from byron.conf import ByronSettings
from byron.exceptions import ByronError
from byron.management.private_files import write_new

_ALGORITHM = "EdDSA"
#: The key in Byron's state directory, where no project's repository sees it.
_KEY_FILE = "development-key.pem"
_KEY_ID = "byron-development"


class DevelopmentTokenError(ByronError):
    """A token that cannot be made; the text says what is to be done."""


def development_token(settings: ByronSettings, subject: str, roles: Sequence[str], hours: float) -> str:
    """Return a token that the APIs with these settings accept, for a user with these roles.

    The file that BYRON_JWT_KEYS names is written if it is not there. Raises DevelopmentTokenError when the settings
    name none, or one with other keys, and OSError.
    """
    if not (settings.jwt_keys and settings.jwt_issuer and settings.jwt_audience):
        raise DevelopmentTokenError(
            "Tokens are not looked at yet. Put these into .env, and run this again:\n"
            "BYRON_JWT_KEYS=development-jwks.json\nBYRON_JWT_ISSUER=development\nBYRON_JWT_AUDIENCE=development"
        )
    if "://" in settings.jwt_keys:
        raise DevelopmentTokenError(
            f"Tokens are checked with the keys at {settings.jwt_keys}: have their owner make one."
        )
    key = _key(settings.state_path)
    _publish(key, Path(settings.jwt_keys))
    now = int(time.time())
    claims: dict[str, Any] = {"sub": subject, "iss": settings.jwt_issuer, "aud": settings.jwt_audience}
    claims |= {"iat": now, "exp": now + int(hours * 3600), **_nested(settings.jwt_roles_claim, list(roles))}
    return jwt.encode(claims, key, _ALGORITHM, headers={"kid": _KEY_ID})


def _key(directory: Path) -> Ed25519PrivateKey:
    path = directory / _KEY_FILE
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # Another process may have been first.
        with suppress(FileExistsError):
            write_new(path, made.decode(), secret=True)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise DevelopmentTokenError(f"{path} holds no key of Byron's; remove it.")
    return key


def _publish(key: Ed25519PrivateKey, path: Path) -> None:
    """See to it that the JWKS file has the key. Only a file that is not there is written."""
    public = jwt.get_algorithm_by_name(_ALGORITHM).to_jwk(key.public_key(), as_dict=True)
    if not path.exists():
        text = json.dumps({"keys": [{**public, "kid": _KEY_ID, "alg": _ALGORITHM}]}, indent=2) + "\n"
        with suppress(FileExistsError):
            write_new(path, text)
    try:
        known = [each.get("x") for each in json.loads(path.read_text())["keys"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        known = []
    if public["x"] not in known:
        raise DevelopmentTokenError(
            f"{path} has other keys than this machine's own. Set BYRON_JWT_KEYS to a file that is not there yet, or "
            "remove it if an earlier `manage.py token` wrote it."
        )


def _nested(claim: str, value: object) -> dict[str, Any]:
    first, _, rest = claim.partition(".")
    return {first: _nested(rest, value) if rest else value}
