"""Who sends a request: its bearer token, checked as the BYRON_JWT_* settings say."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

from byron.commands.user import User
from byron.conf import ByronSettings, byron_settings
from byron.exceptions import AuthenticationError, KeysUnavailableError, MissingExtraError

if TYPE_CHECKING:
    from byron.api.identity.tokens import TokenVerifier

#: Characters of an Authorization header, at most. Tokens with many roles have a few thousand.
_LONGEST_HEADER = 16 * 1024
_BEARER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE | re.ASCII)


def requesting_user(request: HttpRequest) -> Any:
    """Return who sends a request: a User, or None without a token.

    With authentication off, whoever a middleware of the project says. Raises AuthenticationError for a token
    that is not accepted, and KeysUnavailableError when it cannot be told.
    """
    settings = byron_settings()
    if not settings.jwt_keys:
        return getattr(request, "user", None)
    header = request.META.get("HTTP_AUTHORIZATION")
    return None if header is None else _user(header, settings)


def _user(header: str, settings: ByronSettings) -> User:
    if len(header) > _LONGEST_HEADER:
        raise AuthenticationError(f"the Authorization header has more than {_LONGEST_HEADER} characters")
    found = _BEARER.fullmatch(header)
    if found is None:
        raise AuthenticationError("the Authorization header is not the word Bearer and one token")
    return _configured_verifier(settings).user(found[1])


def prepare_authentication() -> None:
    """Have the keys at hand before the first token comes. Raises KeysUnavailableError when they cannot be had."""
    settings = byron_settings()
    if settings.jwt_keys:
        _configured_verifier(settings).prepare()


def _configured_verifier(settings: ByronSettings) -> TokenVerifier:
    try:
        return _verifier(
            settings.jwt_keys,
            tuple(settings.jwt_algorithms),
            settings.jwt_audience,
            settings.jwt_issuer,
            settings.jwt_leeway,
            settings.jwt_roles_claim,
        )
    except MissingExtraError as error:
        raise KeysUnavailableError(str(error)) from error


@lru_cache(maxsize=1)
def _verifier(
    location: str, algorithms: tuple[str, ...], audience: str, issuer: str, leeway: float, roles_claim: str
) -> TokenVerifier:
    require_pyjwt()
    # A server that was started without system checks: nobody's token is worth anything then.
    if not audience or not issuer:
        raise KeysUnavailableError("BYRON_JWT_AUDIENCE and BYRON_JWT_ISSUER must be set.")
    # Late: an optional part, and slow to import.
    tokens, sources = import_module("byron.api.identity.tokens"), import_module("byron.api.identity.key_sources")
    verifier: TokenVerifier = tokens.TokenVerifier(
        sources.key_source(location, algorithms),
        algorithms=algorithms,
        audience=audience,
        issuer=issuer,
        leeway=leeway,
        roles_claim=roles_claim,
    )
    return verifier


def require_pyjwt() -> None:
    """Raise MissingExtraError when tokens cannot be checked for lack of PyJWT or what it needs."""
    if find_spec("jwt") is None or find_spec("cryptography") is None:
        raise MissingExtraError(
            "Authentication needs PyJWT with cryptography, not installed: pip install 'byron-framework[jwt]'"
        )
