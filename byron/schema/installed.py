"""The components of this Django project, in the order of INSTALLED_APPS."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from django.apps import AppConfig, apps

from byron.exceptions import SchemaError
from byron.schema.names import snake_case
from byron.schema.places import shown

if TYPE_CHECKING:
    from byron.schema.model import Component

SCHEMA_FILE = "schema.yaml"

log = logging.getLogger("byron.schema")


class ComponentConfig(AppConfig):
    """A component as a Django app. Its label is also its database alias and its API's path."""

    #: Not for an app by itself: what a component's apps.py makes of it is.
    default = False

    @cached_property
    def component(self) -> Component:
        """What the app's schema.yaml declared when it was first read. Raises InvalidSchemaError and OSError."""
        # Late: see byron.schema.
        from byron.schema.reader import read_component

        return read_component(self.schema_path, shown(self.schema_path))

    @cached_property
    def schema_problems(self) -> str:
        """What was wrong with the app's schema.yaml then, a line a problem; empty when nothing was."""
        try:
            name = self.component.name
        except SchemaError as error:
            return str(error)
        except OSError as error:
            return f"{shown(self.schema_path)} cannot be read: {error.strerror}."
        log.debug("read schema=%s component=%s", self.schema_path, name)
        return ""

    @property
    def schema_path(self) -> Path:
        return Path(self.path) / SCHEMA_FILE

    @property
    def alias(self) -> str:
        """The alias, in DATABASES, of this component's Cache."""
        return self.label

    @property
    def consumer_name(self) -> str:
        """The name under which the broker remembers this component's place in the log."""
        return snake_case(self.component.name)


def installed_components() -> list[ComponentConfig]:
    """Return the components of this project; the first also answers at `/graphql/`."""
    return [config for config in apps.get_app_configs() if isinstance(config, ComponentConfig)]


def installed_component(label: str) -> ComponentConfig | None:
    """Return the component with this app label, or None when it is no component."""
    config = apps.app_configs.get(label)
    return config if isinstance(config, ComponentConfig) else None
