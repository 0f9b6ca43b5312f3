"""The work of `infrastructure reset`: a system without its past."""

from __future__ import annotations

from collections.abc import Callable

from byron.broker import server
from byron.broker.nats import NatsBroker
from byron.conf import byron_settings
from byron.exceptions import BrokerError
from byron.management.engines import ProcessEngine

#: What to do about the Caches, which are wherever each component keeps its own.
CACHES = (
    "The Caches still hold what that log told, and their Sinks refuse to go on from another one. In each project of "
    "the system, before it is started again: `python manage.py rebuildcache COMPONENT`, which makes an empty one."
)


def reset_log(namespace: str, confirmed: Callable[[str], bool]) -> bool:
    """Empty the log of a namespace's embedded broker if that is confirmed, and return whether there was one.

    `confirmed` is asked with what would be removed. Raises BrokerError while the broker or a component runs, and when
    it is not confirmed, with nothing removed; and MissingExtraError without nats-server.
    """
    engine = ProcessEngine(byron_settings().state_path.absolute())
    rows = [engine.status(project) for project in engine.projects()]
    running = [row.component for row in rows if namespace.lower() in map(str.lower, row.namespaces) and row.pids]
    if running:
        raise BrokerError(
            f"{', '.join(running)} of {namespace} is up, and nothing was removed: `byron down -N {namespace}` first."
        )
    found = server.status(namespace)
    if found.server is not None:
        raise server.still_running(namespace)
    if not found.data_bytes:
        return False
    if not confirmed(f"all events of {namespace}, {found.data_bytes:,} bytes in {found.directory / 'data'}"):
        raise BrokerError("Nothing was removed.")
    if server.reset(namespace):
        _begin_log(namespace)
    return True


def _begin_log(namespace: str) -> None:
    """Make the empty log: a rebuild refuses to begin without one, which might be that of a wrong broker."""
    started = server.ensure_running(namespace)
    try:
        with NatsBroker(namespace, started.url) as broker:
            broker.ensure_log()
    finally:
        server.stop(namespace)
