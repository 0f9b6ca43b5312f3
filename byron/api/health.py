"""Whether the process runs, and whether it can do its work."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, connections
from django.http import HttpRequest, JsonResponse

from byron.broker.connection import broker_for
from byron.cache.checkpoint import last_position
from byron.cache.migrations import is_pending
from byron.cache.parked import open_events
from byron.exceptions import ByronError, LogMismatchError
from byron.schema.installed import ComponentConfig, installed_components

#: Caches seen with all their migrations; a look at the files costs too much for every request.
_migrated: set[str] = set()


def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process answers at all."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every component's Cache can be read, 503 otherwise; the broker is only reported.

    Queries go on without a broker, so its absence does not take the API out of service.
    """
    components = {config.label: _state(config) for config in installed_components()}
    ready = all(each["cache"] == "ok" for each in components.values())
    return JsonResponse(
        {"status": "ok" if ready else "unavailable", "components": components}, status=200 if ready else 503
    )


def _state(config: ComponentConfig) -> dict[str, Any]:
    if config.schema_problems:
        return {"cache": "the schema has problems"}
    return {
        "cache": _cache(config),
        "broker": _broker(config),
        "position": _position(config),
        "parked": _parked(config),
    }


def _cache(config: ComponentConfig) -> str:
    try:
        if config.alias in _migrated:
            connections[config.alias].ensure_connection()
            return "ok"
        if is_pending(config.alias):
            return "not migrated"
    except DatabaseError:
        return "unreachable"
    _migrated.add(config.alias)
    return "ok"


def _broker(config: ComponentConfig) -> str:
    try:
        broker_for(config.component.namespace).log_info()
        return "ok"
    except LogMismatchError:
        return "ok, with no log yet"
    except ByronError:
        return "unreachable"


def _position(config: ComponentConfig) -> int | None:
    try:
        return last_position(config.alias, config.consumer_name)
    except DatabaseError:
        return None


def _parked(config: ComponentConfig) -> int | None:
    try:
        return open_events(config.alias, config.consumer_name).count()
    except DatabaseError:
        return None
