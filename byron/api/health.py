"""Whether the process runs, and whether it can do its work."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from byron.api.http.responses import mark_logged
from byron.api.probes import Probe
from byron.broker.connection import broker_for
from byron.cache.checkpoint import Applied, last_position, read_checkpoints
from byron.cache.members import living_members
from byron.cache.migrations import is_pending
from byron.cache.parked import open_events
from byron.cache.provenance import is_in_log, may_be_log
from byron.exceptions import BrokerPermissionError, ByronError, LogMismatchError
from byron.schema.installed import ComponentConfig, installed_components

#: Caches seen with all their migrations; a look at the files costs too much for every request.
_migrated: set[str] = set()

#: Namespaces whose events this process may not read: the broker would refuse, and log, each probe that asks for one.
_closed: set[str] = set()

#: What /readyz says of a log that was recreated or restored: the Sink applies none of it, and waits.
ANOTHER_LOG = "does not hold what the Cache has applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheState:
    """What a component's Cache tells: its own state, how far it is, what is set aside, and how many Sinks there are."""

    cache: str
    position: int | None = None
    parked: int | None = None
    sinks: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerState:
    """What a namespace's broker tells: its own state, and the last position of the log."""

    broker: str
    last: int | None = None


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process answers at all."""
    return _answer({"status": "ok"})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every component's Cache can be read, 503 otherwise; all else is only reported.

    Queries go on without a broker and without a Sink, so their absence does not take the API out of service. Takes
    two seconds at most, whatever hangs.
    """
    components = component_states()
    ready = all(each["cache"] == "ok" for each in components.values())
    return _answer({"status": "ok" if ready else "unavailable", "components": components}, 200 if ready else 503)


def component_states() -> dict[str, dict[str, Any]]:
    """Return the state of each component, by its label."""
    return probes().states()


class Probes:
    """The questions to every component's Cache, and to every namespace's broker."""

    def __init__(self) -> None:
        self._configs = installed_components()
        usable = [config for config in self._configs if not config.schema_problems]
        self._caches = {config.label: Probe(config.label, partial(_cache, config)) for config in usable}
        namespaces = {config.component.namespace for config in usable}
        self._logs = {config.label: Probe(config.label, partial(_log, config)) for config in usable}
        self._brokers = {namespace: Probe(namespace, partial(_broker, namespace)) for namespace in namespaces}

    def states(self) -> dict[str, dict[str, Any]]:
        every: list[Probe[Any]] = [*self._caches.values(), *self._logs.values(), *self._brokers.values()]
        for probe in every:
            probe.begin()
        return {config.label: self._state(config) for config in self._configs}

    def _state(self, config: ComponentConfig) -> dict[str, Any]:
        if config.label not in self._caches:
            return {"cache": "the schema has problems"}
        cache = self._caches[config.label].answer() or CacheState(cache="no answer")
        broker = self._brokers[config.component.namespace].answer() or BrokerState(broker="no answer")
        log = self._logs[config.label].answer()
        known = cache.position is not None and broker.last is not None and log != ANOTHER_LOG
        return {
            "cache": cache.cache,
            "broker": broker.broker,
            "log": log,
            "position": cache.position,
            "last": broker.last,
            "lag": max(0, (broker.last or 0) - (cache.position or 0)) if known else None,
            "parked": cache.parked,
            "sinks": cache.sinks,
        }


@lru_cache(maxsize=1)
def probes() -> Probes:
    """Return this process's probes."""
    return Probes()


def _cache(config: ComponentConfig) -> CacheState:
    try:
        if config.alias not in _migrated:
            if is_pending(config.alias):
                return CacheState(cache="not migrated")
            _migrated.add(config.alias)
        return CacheState(
            cache="ok",
            position=last_position(config.alias, config.consumer_name),
            parked=open_events(config.alias, config.consumer_name).count(),
            sinks=len(living_members(config.alias, config.consumer_name)),
        )
    except DatabaseError:
        return CacheState(cache="unreachable")


def _broker(namespace: str) -> BrokerState:
    try:
        return BrokerState(broker="ok", last=broker_for(namespace).log_info().last)
    except LogMismatchError:
        return BrokerState(broker="ok, with no log yet", last=0)
    except ImproperlyConfigured:
        return BrokerState(broker="not configured")
    except BrokerPermissionError:
        return BrokerState(broker="forbidden")
    except ByronError:
        return BrokerState(broker="unreachable")


def _log(config: ComponentConfig) -> str | None:
    """Tell whether the log is the one that the Cache was made from; None when this process cannot know."""
    try:
        found = read_checkpoints(config.alias, config.consumer_name).values()
        applied = max(found, key=lambda each: each.position, default=None)
        return "ok" if applied is None or _holds(config.component.namespace, applied) else ANOTHER_LOG
    except LogMismatchError:
        return ANOTHER_LOG
    except (ByronError, DatabaseError, ImproperlyConfigured):
        return None


def _holds(namespace: str, applied: Applied) -> bool:
    broker = broker_for(namespace)
    if namespace not in _closed:
        try:
            return is_in_log(applied, broker)
        except BrokerPermissionError:
            _closed.add(namespace)
    return may_be_log(applied, broker.log_info())


def _answer(body: dict[str, Any], status: int = 200) -> JsonResponse:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    response = JsonResponse(body, status=status, headers=headers)
    # Of each probe of a component that is not ready, the access log has a line.
    mark_logged(response)
    return response
