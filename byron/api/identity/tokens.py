"""A token's text to the user it was made for. Needs PyJWT, the extra `jwt`."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from threading import Lock
from time import time
from typing import Any

import jwt
from jwt import PyJWK

from byron.api.identity.jwks import KeySet
from byron.api.identity.key_sources import KeySource
from byron.commands.user import User
from byron.exceptions import AuthenticationError

#: Seconds for which a token that was checked is believed again, and how many such tokens are remembered.
_BELIEVED_FOR = 60
_MOST_BELIEVED = 1024


class TokenVerifier:
    """Check tokens: signature, algorithm, audience, issuer, times. Thread-safe."""

    def __init__(
        self,
        keys: KeySource,
        *,
        algorithms: Sequence[str],
        audience: str,
        issuer: str,
        leeway: float,
        roles_claim: str,
    ) -> None:
        self._keys = keys
        self._algorithms = algorithms
        self._audience, self._issuer, self._leeway = audience, issuer, leeway
        self._roles_claim = roles_claim
        self._believed = _Believed()

    def prepare(self) -> None:
        """Have the keys at hand before there are requests. Raises KeysUnavailableError when they cannot be had."""
        self._keys.at_start()

    def user(self, token: str) -> User:
        """Return who a token was made for. Raises AuthenticationError and KeysUnavailableError."""
        keys = self._keys.current()
        claims = self._believed.claims(token, keys)
        if claims is None:
            claims, keys = self._checked(token, keys)
            # Its exp may be a number that no float can be.
            soon = min(claims["exp"], time() + _BELIEVED_FOR)
            self._believed.remember(token, claims, keys, soon + self._leeway)
        return User(id=claims["sub"], roles=roles_in(claims, self._roles_claim), claims=claims)

    def _checked(self, token: str, keys: KeySet) -> tuple[dict[str, Any], KeySet]:
        try:
            key, keys = self._key(jwt.get_unverified_header(token), keys)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": ["exp", "sub", "aud", "iss"]},
            )
        except jwt.PyJWTError as error:
            raise AuthenticationError(str(error)) from error
        except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
            # Whatever a stranger's text does to a parser is the text's fault.
            raise AuthenticationError(f"it cannot be read: {error}") from error
        if not claims["sub"]:
            raise AuthenticationError("its sub is empty")
        if not isinstance(claims["exp"], int | float):
            raise AuthenticationError("its exp is no number")
        return claims, keys

    def _key(self, header: Mapping[str, Any], keys: KeySet) -> tuple[PyJWK, KeySet]:
        """Return the one key that a token's header asks for. Everything else that a header may hold is ignored."""
        kid, algorithm = header.get("kid"), str(header.get("alg"))
        if algorithm not in self._algorithms:
            raise AuthenticationError(f"its algorithm {algorithm!r} is not allowed")
        found = keys.matching(kid, algorithm)
        if not found and kid is not None:
            keys = self._keys.newer()
            found = keys.matching(kid, algorithm)
        if len(found) != 1:
            raise AuthenticationError(f"{len(found)} keys fit its kid {kid!r} and {algorithm}")
        return found[0], keys


def roles_in(claims: Mapping[str, Any], name: str) -> frozenset[str]:
    """Return the roles that a claim lists, or gives in one text separated by spaces.

    A dot in the claim's name leads into an object, unless a claim has just that name, dots and all.
    """
    value: Any = claims.get(name)
    if value is None:
        value = claims
        for step in name.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return frozenset(value.split())
    return frozenset(role for role in value if isinstance(role, str)) if isinstance(value, list) else frozenset()


@dataclass(frozen=True, slots=True)
class _Memory:
    claims: str
    keys: KeySet
    until: float


class _Believed:
    """Tokens that were checked not long ago: a signature costs about as much as a whole request without one.

    Only while the keys are the same ones: a key that was withdrawn takes its tokens with it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._memories: OrderedDict[bytes, _Memory] = OrderedDict()

    def claims(self, token: str, keys: KeySet) -> dict[str, Any] | None:
        """Return a token's claims, a copy for each who asks: they are handed to commands, which may change them."""
        digest = sha256(token.encode()).digest()
        with self._lock:
            memory = self._memories.get(digest)
            if memory is None:
                return None
            if memory.keys is not keys or time() >= memory.until:
                del self._memories[digest]
                return None
            self._memories.move_to_end(digest)
        claims: dict[str, Any] = json.loads(memory.claims)
        return claims

    def remember(self, token: str, claims: Mapping[str, Any], keys: KeySet, expiry: float) -> None:
        memory = _Memory(json.dumps(claims), keys, min(expiry, time() + _BELIEVED_FOR))
        with self._lock:
            self._memories[sha256(token.encode()).digest()] = memory
            if len(self._memories) > _MOST_BELIEVED:
                self._memories.popitem(last=False)
