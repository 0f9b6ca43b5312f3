"""Which broker a namespace has in this process: the settings' one, or under DEBUG the embedded one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from byron.broker.access import PLAIN, configured_access
from byron.broker.base import Broker
from byron.broker.server import ensure_running
from byron.conf import byron_settings

if TYPE_CHECKING:
    from byron.broker.nats import NatsBroker


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    url: str
    broker: NatsBroker


_lock = threading.RLock()
_opened: dict[str, _Opened] = {}
_installed: dict[str, Broker] = {}


def broker_for(namespace: str) -> Broker:
    """Return this process's broker of a namespace, the same one at every call.

    The embedded broker is started on need, again when it has ended meanwhile. Raises
    ImproperlyConfigured when no broker is configured or its credentials cannot be used, BrokerError when the
    embedded one fails.
    """
    key = namespace.lower()
    with _lock:
        if key in _installed:
            return _installed[key]
        opened = _opened.get(key)
        url = byron_settings().broker_url
        if opened is not None and (opened.broker.is_connected() if not url else opened.url == url):
            return opened.broker
        url = url or _embedded_url(namespace)
        if opened is not None:
            if opened.url == url:
                return opened.broker
            opened.broker.close()
        # The embedded broker knows one user, whom its address names.
        access = configured_access() if byron_settings().broker_url else PLAIN
        # Only here: tests in one process, and commands without a broker, need no client of NATS.
        from byron.broker.nats import NatsBroker

        broker = NatsBroker(namespace, url, replicas=byron_settings().broker_replicas, access=access)
        _opened[key] = _Opened(url=url, broker=broker)
        return broker


def _embedded_url(namespace: str) -> str:
    if not settings.DEBUG:
        raise ImproperlyConfigured(
            f"Namespace {namespace!r} has no broker: set BYRON_BROKER_URL, e.g. to 'nats://user:password@broker:4222'. "
            "The embedded broker is for DEBUG only."
        )
    return ensure_running(namespace).url


@contextmanager
def use_broker(namespace: str, broker: Broker) -> Iterator[Broker]:
    """Install another broker for a namespace, for tests. It is neither opened nor closed here."""
    key = namespace.lower()
    with _lock:
        before = _installed.get(key)
        _installed[key] = broker
    try:
        yield broker
    finally:
        with _lock:
            if before is None:
                del _installed[key]
            else:
                _installed[key] = before


def close_brokers() -> None:
    """Close the brokers that this process opened; the next use opens them anew."""
    with _lock:
        opened = list(_opened.values())
        _opened.clear()
    for item in opened:
        item.broker.close()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


# Another thread may hold the lock at the moment of a fork, and is not there to release it afterwards.
os.register_at_fork(after_in_child=_renew_lock)
