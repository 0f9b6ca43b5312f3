"""The users of a Cache's database: what each may do there, and the commands that make it so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.apps import apps

from byron.cache.roles import Role
from byron.schema.installed import ComponentConfig

#: The roles that have a user of their own. The third one, maintenance, is whoever owns the tables.
ROLES = (Role.API, Role.SINK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One command to the database, and why it is needed."""

    command: str
    why: str
    #: What to show of it on a terminal or in a log, where the command holds a secret.
    shown: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be done so that the users have their rights and no others."""

    changes: Sequence[Change] = ()
    #: What whoever runs this should know, a sentence each.
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """How the users of one Cache are called, and the passwords to give them; one without is left as it is."""

    names: Mapping[Role, str]
    passwords: Mapping[Role, str] = field(default_factory=dict)
    #: Whether somebody chose the names, all of them.
    are_named: bool = False


class Rights(ABC):
    """One Cache's users. Each engine has its own way to say what they may do.

    `plan` only looks; it is empty once the users have exactly their rights, however often it is asked.
    """

    #: Whether the engine knows users at all.
    supports_users = True
    #: What a line begins with that the database's own shell leaves out.
    comment = "--"

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config
        self.alias = config.alias

    def default_name(self, role: Role) -> str:
        """Return what a role's user is called unless something else is wanted."""
        return f"{self.config.label}_{role.value}"

    @abstractmethod
    def plan(self, users: Users) -> Plan:
        """Return what is to be done. Raises CacheError when a user must not be touched, or nothing is migrated."""

    @abstractmethod
    def apply(self, plan: Plan) -> None:
        """Do all of it or nothing, where the engine can. Raises CacheError when the connection's user may not."""


def tables_of(config: ComponentConfig) -> list[str]:
    """Return the tables that a component's Cache consists of, but for Django's list of migrations."""
    models = [
        *config.get_models(include_auto_created=True),
        *apps.get_app_config("byron").get_models(include_auto_created=True),
    ]
    return sorted({model._meta.db_table for model in models if model._meta.managed})
