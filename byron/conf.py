"""The BYRON_* settings: one typed table, with a default and a line of documentation each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs
from django.conf import settings as django_settings
from django.core.signals import setting_changed

PREFIX = "BYRON_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByronSettings:
    """The settings in force; an attribute `x` is the Django setting `BYRON_X`."""

    #: Address of the NATS server, e.g. `nats://user:password@broker:4222`. Empty under DEBUG: the embedded broker.
    broker_url: str = ""
    #: File with the nkey seed by which this process proves to the broker who it is. Empty: what the address says.
    broker_credentials: str = ""
    #: File with the certificates of those who may vouch for the broker's own. Empty: the system's, if it speaks TLS.
    broker_ca: str = ""
    #: Beginning of the subjects of JetStream's API where the broker's accounts give it another one. Empty: `$JS.API`.
    broker_api: str = ""
    #: Copies of the event log that the brokers keep: 1 for a single server, 3 for a cluster in production.
    broker_replicas: int = 1
    #: Seconds that a mutation may wait for the broker to acknowledge its events.
    publish_timeout: float = 2.0
    #: Seconds that a claim on a unique value stands. The Cache may be half of this behind, a mutation take a quarter.
    claim_seconds: float = 60.0
    #: Seconds for which an Idempotency-Key is remembered, counted from the last change of what is kept of it.
    idempotency_seconds: float = 86400.0
    #: Where embedded brokers keep their log, configuration and address. Empty: the platform's state directory.
    state_directory: str = ""
    #: Events that a Sink applies in one transaction, at most.
    sink_batch_size: int = 500
    #: Lanes in which a component's events are applied side by side, 1 to 16; a Cache on SQLite has one in any case.
    sink_lanes: int = 1
    #: How often a failing handler is tried before its event waits for `manage.py parked`.
    sink_tries: int = 6
    #: Seconds before a handler that failed is tried again; doubled each time up to `sink_retry_limit`.
    sink_retry_delay: float = 0.5
    #: Longest pause between two tries of a failing handler, in seconds.
    sink_retry_limit: float = 30.0
    #: What receipts are signed with, the same for all components of a system. Empty: SECRET_KEY; under DEBUG, nothing
    #: secret.
    receipt_key: str = ""
    #: Seconds that a request with a receipt waits for the Cache, at most.
    receipt_timeout: float = 2.0
    #: Name of a cookie in which browsers keep their receipts. Empty: none.
    receipt_cookie: str = ""
    #: Bytes of a GraphQL request's body, at most.
    api_max_body_bytes: int = 1024 * 1024
    #: Values in the JSON of a GraphQL request, at most: each text, number, list and object is one.
    api_max_values: int = 20_000
    #: Tokens of a GraphQL document, at most.
    api_max_tokens: int = 1000
    #: Levels of fields of a GraphQL document, at most.
    api_max_depth: int = 10
    #: Aliases of a GraphQL document, at most.
    api_max_aliases: int = 15
    #: Directives of a GraphQL document, at most.
    api_max_directives: int = 50
    #: What an operation may cost: each field 1, below a list as often as the list may have entities.
    api_max_cost: int = 5000
    #: Seconds that an operation may take, without the publication of events; 0 for no limit.
    api_command_timeout: float = 10.0
    #: Whether the GraphiQL page is served. None: only under DEBUG.
    api_graphiql: bool | None = None
    #: Whether introspection queries are answered. None: only under DEBUG.
    api_introspection: bool | None = None
    #: Whether the API is a subgraph: answers `_entities`, and `_service` where introspection is on.
    federation: bool = True
    #: Where the keys are that tokens are checked with: a JWKS file, or an https:// URL. Empty: no authentication.
    jwt_keys: str = ""
    #: Algorithms that a token may be signed with.
    jwt_algorithms: tuple[str, ...] = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
    #: For whom a token must be made: its `aud`. Required with keys.
    jwt_audience: str = ""
    #: Who must have made a token: its `iss`. Required with keys.
    jwt_issuer: str = ""
    #: Seconds that a token's maker and this machine may differ in time.
    jwt_leeway: float = 10.0
    #: The claim that lists roles; dots lead into what a claim holds, as in `realm_access.roles`.
    jwt_roles_claim: str = "roles"

    @property
    def graphiql_enabled(self) -> bool:
        return bool(django_settings.DEBUG) if self.api_graphiql is None else self.api_graphiql

    @property
    def introspection_enabled(self) -> bool:
        return bool(django_settings.DEBUG) if self.api_introspection is None else self.api_introspection

    @property
    def receipt_secret(self) -> str:
        """What receipts are signed with."""
        if self.receipt_key:
            return self.receipt_key
        return "development" if django_settings.DEBUG else str(django_settings.SECRET_KEY)

    @property
    def state_path(self) -> Path:
        """The directory below which each namespace's embedded broker has its own."""
        if self.state_directory:
            return Path(self.state_directory)
        return platformdirs.user_state_path("byron", appauthor=False)


#: Least and greatest value of the settings that are numbers. (That of `jwt_leeway` is a matter of authentication.)
RANGES: Mapping[str, tuple[float, float]] = {
    "broker_replicas": (1, 5),
    "publish_timeout": (0.001, math.inf),
    "claim_seconds": (1, math.inf),
    "idempotency_seconds": (1, math.inf),
    "sink_batch_size": (1, math.inf),
    "sink_lanes": (1, 16),
    "sink_tries": (1, math.inf),
    "sink_retry_delay": (0, math.inf),
    "sink_retry_limit": (0, math.inf),
    "receipt_timeout": (0, math.inf),
    "api_max_body_bytes": (1, math.inf),
    "api_max_values": (1, math.inf),
    "api_max_tokens": (1, math.inf),
    "api_max_depth": (1, math.inf),
    "api_max_aliases": (0, math.inf),
    "api_max_directives": (0, math.inf),
    "api_max_cost": (1, math.inf),
    "api_command_timeout": (0, math.inf),
}


def senseless_numbers(given: ByronSettings) -> list[str]:
    """Say of each setting that is to be a number and is none, or none that makes sense, what it is and may be."""
    problems = []
    whole = {field.name for field in fields(ByronSettings) if field.type == "int"}
    for name, (least, greatest) in RANGES.items():
        value = getattr(given, name)
        known = (int,) if name in whole else (int, float)
        if type(value) in known and math.isfinite(value) and least <= value <= greatest:
            continue
        kind = "a whole number" if name in whole else "a number"
        allowed = f"of at least {least}" if greatest == math.inf else f"from {least} to {greatest}"
        problems.append(f"{PREFIX}{name.upper()} is {value!r}; it must be {kind} {allowed}.")
    return problems


@lru_cache(maxsize=1)
def byron_settings() -> ByronSettings:
    """Return the settings, read from Django's once and again after `override_settings`."""
    given = {
        field.name: _fixed(getattr(django_settings, PREFIX + field.name.upper()))
        for field in fields(ByronSettings)
        if hasattr(django_settings, PREFIX + field.name.upper())
    }
    return ByronSettings(**given)


def _fixed(value: Any) -> Any:
    """Return a setting's value as it can be a key of what is kept: settings.py may as well have a list as a tuple."""
    return tuple(value) if isinstance(value, list) else value


def _reload(*, setting: str, **kwargs: Any) -> None:
    if setting.startswith(PREFIX) or setting == "DEBUG":
        byron_settings.cache_clear()


setting_changed.connect(_reload, dispatch_uid="byron.conf")
