"""What a long-running process does before its work: a usable schema, tables, a log, its role."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.conf import settings
from django.core.management import CommandError
from django.db import OperationalError, connections

from byron.broker.connection import broker_for
from byron.cache.connections import open_by_role
from byron.cache.migrations import migrate_caches
from byron.cache.roles import Role, set_process_role
from byron.exceptions import BrokerError
from byron.management.processes import end_with_parent
from byron.schema.installed import ComponentConfig, installed_components
from byron.schema.problems import did_you_mean

log = logging.getLogger("byron")


def require_components() -> list[ComponentConfig]:
    """Return the project's components, each with a valid schema.

    Raises Django's CommandError when there is none or a schema has problems.
    """
    components = installed_components()
    if not components:
        raise CommandError("This project has no component; `manage.py startcomponent NAME` makes one.")
    problems = [config.schema_problems for config in components if config.schema_problems]
    if problems:
        raise CommandError("The schema has problems:\n" + "\n".join(problems))
    return components


def choose(components: Sequence[ComponentConfig], labels: Sequence[str]) -> list[ComponentConfig]:
    """Return the components with these labels, in the labels' order; all of them without any label.

    Raises Django's CommandError for a label that none of them has.
    """
    known = {config.label: config for config in components}
    for label in labels:
        if label not in known:
            hint = did_you_mean(label, known) or "."
            raise CommandError(f"There is no component {label!r} in this project{hint} There are: {', '.join(known)}.")
    return [known[label] for label in labels or known]


def prepare(role: Role) -> list[ComponentConfig]:
    """Make ready for a role and take it on; return the project's components.

    Under DEBUG the Caches are migrated and the embedded broker is started, so that a new project
    runs at once. A broker or a Cache that is away is only logged: work that does not need it goes on.
    """
    end_with_parent()
    components = require_components()
    if settings.DEBUG:
        _migrate()
        for namespace in {config.component.namespace for config in components}:
            _meet_broker(namespace)
    # Connections made so far may write; those of the role may be read-only.
    connections.close_all()
    set_process_role(role)
    open_by_role()
    return components


def _migrate() -> None:
    try:
        for alias in migrate_caches():
            log.info("migrated cache=%s", alias)
    except OperationalError as error:
        log.warning("cache away, not migrated error=%s", str(error).strip())


def _meet_broker(namespace: str) -> None:
    try:
        broker_for(namespace).ensure_log()
    except BrokerError as error:
        log.warning("broker away namespace=%s error=%s", namespace, error)
