"""A JSON Web Key Set: the public keys that tokens are checked with. Needs PyJWT, the extra `jwt`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from byron.exceptions import KeysUnavailableError

log = logging.getLogger("byron.api")

#: The type, and for curves the curve, of the keys that each algorithm takes.
_KEYS_FOR = {
    "ES256": ("EC", "P-256"),
    "ES256K": ("EC", "secp256k1"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", None),
    **{f"{family}{bits}": ("RSA", None) for family in ("RS", "PS") for bits in (256, 384, 512)},
    **{f"HS{bits}": ("oct", None) for bits in (256, 384, 512)},
}
#: Every algorithm that BYRON_JWT_ALGORITHMS may list. `none`, which signs nothing, is not one.
ALGORITHMS = tuple(sorted(_KEYS_FOR))
#: What a key set should not hold: with these a token can be signed. They are never read.
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})

#: What public keys are made of, and all that is written down of them.
_PUBLIC = frozenset({"kty", "kid", "use", "key_ops", "alg", "crv", "x", "y", "n", "e"})


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """Keys, each for one algorithm. A set that was read anew is another one, equal or not."""

    keys: tuple[PyJWK, ...]

    def matching(self, kid: str | None, algorithm: str) -> list[PyJWK]:
        """Return the keys for an algorithm with this id, or with any when the token names none."""
        return [key for key in self.keys if key.algorithm_name == algorithm and (kid is None or key.key_id == kid)]


def read_key_set(text: bytes, algorithms: Sequence[str]) -> KeySet:
    """Return the keys of a JWKS that these algorithms can use; others are left out, as for encryption.

    There may be none: who takes the only key away, since it has leaked, means just that. Raises KeysUnavailableError
    when the text is no JWKS.
    """
    return KeySet(tuple(key for entry in _entries(text) for key in _usable(entry, algorithms)))


def public_part(text: bytes) -> str | None:
    """Return a JWKS without what tokens could be signed with; None when the keys themselves are such secrets.

    Raises KeysUnavailableError when the text is no JWKS.
    """
    entries = [{name: value for name, value in entry.items() if name in _PUBLIC} for entry in _entries(text)]
    return None if any(entry.get("kty") == "oct" for entry in entries) else json.dumps({"keys": entries})


def _entries(text: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KeysUnavailableError("it is not JSON") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise KeysUnavailableError('it is no JWKS: a JSON object with a list "keys"')
    return [entry for entry in entries if isinstance(entry, dict)]


def _usable(entry: Mapping[str, Any], algorithms: Sequence[str]) -> Iterator[PyJWK]:
    operations = entry.get("key_ops", ["verify"])
    if entry.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return
    public = {name: value for name, value in entry.items() if name not in _PRIVATE}
    for algorithm in algorithms:
        kind, curve = _KEYS_FOR.get(algorithm, (None, None))
        if entry.get("kty") != kind or curve not in (None, entry.get("crv")):
            continue
        if entry.get("alg", algorithm) != algorithm:
            continue
        try:
            key = PyJWK(public, algorithm)
        except (PyJWTError, ValueError, TypeError) as error:
            log.warning("a key cannot be used: kid=%r algorithm=%s error=%s", entry.get("kid"), algorithm, error)
            continue
        too_short = key.Algorithm.check_key_length(key.key)
        if too_short:
            log.warning("a key cannot be used: kid=%r algorithm=%s error=%s", entry.get("kid"), algorithm, too_short)
            continue
        yield key
