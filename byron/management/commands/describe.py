"""`describe`: what a project is made of, for programs."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connections

from byron.conf import byron_settings
from byron.management.preparation import require_components
from byron.schema.installed import ComponentConfig


class Command(BaseCommand):
    help = "Print a line of JSON: this project's components, and where their log and Caches are."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        configs = require_components()
        self.stdout.write(
            json.dumps(
                {
                    "components": [_component(config) for config in configs],
                    "namespaces": sorted({config.component.namespace for config in configs}),
                    # No address: it may hold a password.
                    "broker": "configured" if byron_settings().broker_url else "embedded",
                    "debug": bool(settings.DEBUG),
                    "state_path": str(byron_settings().state_path.absolute()),
                }
            )
        )


def _component(config: ComponentConfig) -> dict[str, Any]:
    database = connections.databases.get(config.alias, {})
    engine = str(database.get("ENGINE", "")).rpartition(".")[2]
    return {
        "label": config.label,
        "name": config.component.name,
        "namespace": config.component.namespace,
        "path": str(config.path),
        "handlers": len(config.component.handlers),
        "cache": {"engine": engine, "name": str(database["NAME"]) if engine == "sqlite3" else None},
    }
