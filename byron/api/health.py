"""Whether the process runs, and whether it can do its work."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, connections
from django.http import HttpRequest, JsonResponse

from byron.broker.connection import broker_for
from byron.cache.checkpoint import read_checkpoint
from byron.exceptions import ByronError
from byron.schema.installed import ComponentConfig, installed_components


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
    return {"cache": _cache(config), "broker": _broker(config), "position": _position(config)}


def _cache(config: ComponentConfig) -> str:
    try:
        tables = connections[config.alias].introspection.table_names()
    except DatabaseError:
        return "unreachable"
    return "ok" if "byron_checkpoint" in tables else "not migrated"


def _broker(config: ComponentConfig) -> str:
    try:
        return "ok" if broker_for(config.component.namespace).is_connected() else "unreachable"
    except ByronError:
        return "unreachable"


def _position(config: ComponentConfig) -> int | None:
    try:
        applied = read_checkpoint(config.alias, config.consumer_name)
    except DatabaseError:
        return None
    return applied.position if applied else 0
