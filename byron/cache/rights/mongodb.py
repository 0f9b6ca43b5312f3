"""The users of a Cache on MongoDB: what they have, compared with what they need.

Each role of Byron's is a role of MongoDB's in the Cache's database, which lists collections and actions, and belongs to
one user of that database. It gives no action on the database as a whole, since that would be one on every collection.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, connections
from django.db.migrations.recorder import MigrationRecorder
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from byron.cache.migrations import is_pending
from byron.cache.mongodb.base import SEQUENCES, SESSIONS
from byron.cache.rights.base import ROLES, Change, Plan, Rights, Users, tables_of
from byron.cache.roles import Role
from byron.cache.trouble import lacks_right
from byron.exceptions import CacheError
from byron.schema.installed import ComponentConfig

#: What each role may do with documents. A Sink ends sessions of its own user too, which needs nothing.
_READ = frozenset({"find"})
_WRITE = frozenset({"find", "insert", "update", "remove"})
_DOCUMENT_RIGHTS = {Role.API: _READ, Role.SINK: _WRITE}

#: Built-in roles of whoever sees to the server or the database, which is no role for these users.
_ADMINISTRATION = frozenset({"root", "__system", "dbOwner", "userAdmin", "userAdminAnyDatabase"})

_MECHANISM = "SCRAM-SHA-256"

#: What stands for a password where a plan is shown: mongosh asks for one, at that.
_ASK = "passwordPrompt()"

_MAY_NOT = (
    "Give CACHE_URL a user with dbOwner or userAdmin in this database, or have an administrator run what is printed "
    "without --apply."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MongoChange(Change):
    """One command, as a document too: a shell's text is for people."""

    document: Mapping[str, Any] = field(repr=False)


class MongoRights(Rights):
    """Users who may do what their role does with the component's collections and Byron's."""

    comment = "//"

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self._database = str(connections.settings[self.alias]["NAME"])

    def plan(self, users: Users) -> Plan:
        if is_pending(self.alias):
            raise CacheError(
                f"The Cache {self.alias} lacks collections to give rights to: run manage.py migrate first."
            )
        try:
            me = self._who_am_i()
            changes: list[Change] = []
            for role in ROLES:
                user = _User(self, role, users.names[role], users.passwords.get(role))
                user.refuse_unless_free({*me, *(name for other, name in users.names.items() if other is not role)})
                changes += user.role_changes(self._wanted(role))
                changes += user.user_changes()
        except DatabaseError as error:
            raise self._explained(error) from error
        notes = []
        if not me:
            notes.append(
                "The server did not ask who this is. No right binds anybody there until it runs with authorization "
                "(--auth, and --keyFile in a replica set)."
            )
        return Plan(changes=changes, notes=notes)

    def apply(self, plan: Plan) -> None:
        # MongoDB has no transactions for these. Each is whole by itself, and the next plan has what is left.
        documents = [change.document for change in plan.changes if isinstance(change, MongoChange)]
        for document in documents:
            if "createUser" in document and not document["pwd"]:
                raise CacheError(
                    f"{document['createUser']} needs a password, which MongoDB makes no user without. Set "
                    "CACHE_API_PASSWORD and CACHE_SINK_PASSWORD in the environment of this command, or use "
                    "--ask-passwords."
                )
        try:
            for document in documents:
                self.run(document)
        except DatabaseError as error:
            raise self._explained(error) from error

    def run(self, document: Mapping[str, Any]) -> Any:
        """Run one command in the Cache's database."""
        connection: Any = connections[self.alias]
        connection.ensure_connection()
        with connection.wrap_database_errors:
            return connection.database.command(dict(document))

    def change(self, document: Mapping[str, Any], why: str) -> MongoChange:
        """Return a command with its text for mongosh, in which there is no password."""
        shown = json.dumps({name: value for name, value in document.items() if name != "pwd"})
        if "pwd" in document:
            shown = f'{shown[:-1]}, "pwd": {_ASK}}}'
        text = f"db.getSiblingDB({json.dumps(self._database)}).runCommand({shown})"
        return MongoChange(command=text, why=why, document=document)

    def can_log_in(self, name: str, password: str) -> bool:
        """Whether a user has this password already."""
        connection: Any = connections[self.alias]
        given = {**connection.get_connection_params(), "username": name, "password": password}
        client: MongoClient[Any] = MongoClient(**given, authSource=self._database, authMechanism=_MECHANISM)
        with connection.wrap_database_errors, client:
            try:
                client[self._database].command("ping")
            except OperationFailure:
                return False
        return True

    @property
    def database(self) -> str:
        return self._database

    def _wanted(self, role: Role) -> dict[str, frozenset[str]]:
        """Return the actions on each collection that a role needs."""
        wanted = dict.fromkeys(tables_of(self.config), _DOCUMENT_RIGHTS[role])
        wanted[MigrationRecorder.Migration._meta.db_table] = _READ
        if role is Role.SINK:
            wanted[SESSIONS] = _WRITE
            wanted[SEQUENCES] = _WRITE - {"remove"}
        return wanted

    def _who_am_i(self) -> list[str]:
        """Return this connection's user, whatever database it is of; nothing at a server that asks nobody."""
        found = self.run({"connectionStatus": 1})["authInfo"]["authenticatedUsers"]
        return [str(each["user"]) for each in found]

    def _explained(self, error: DatabaseError) -> Exception:
        return CacheError(f"{str(error).strip()}\n{_MAY_NOT}") if lacks_right(error) else error


class _User:
    """One user, existing or to be made, and its role: what they lack or have too much."""

    def __init__(self, rights: MongoRights, role: Role, name: str, password: str | None) -> None:
        self._rights, self._role, self._name, self._password = rights, role, name, password
        self._mongo_role = rights.default_name(role)
        place = rights.database
        [self._user] = rights.run({"usersInfo": {"user": name, "db": place}})["users"] or [None]
        found = rights.run({"rolesInfo": {"role": self._mongo_role, "db": place}, "showPrivileges": True})["roles"]
        [self._has] = found or [None]

    def refuse_unless_free(self, others: Collection[str]) -> None:
        """Raise CacheError when this user is somebody else's, or sees to the database."""
        if self._name in others:
            raise CacheError(
                f"{self._name} cannot be the {self._role.value}'s user: it runs this command, or is the other role's. "
                f"Name another one with --{self._role.value}."
            )
        roles = {str(each["role"]) for each in self._user["roles"]} if self._user else set()
        if roles & _ADMINISTRATION:
            raise CacheError(
                f"{self._name} has the role {min(roles & _ADMINISTRATION)}, and may be needed as it is. Name another "
                f"user with --{self._role.value}."
            )

    def role_changes(self, wanted: Mapping[str, Collection[str]]) -> Iterator[Change]:
        """Make the role, or have it give what is wanted and no more.

        By grants and revocations: to update a role takes rights on every database of the server.
        """
        needs = {(name, action) for name in wanted for action in wanted[name]}
        if self._has is None:
            document = {"createRole": self._mongo_role, "privileges": self._privileges(needs), "roles": []}
            yield self._rights.change(document, f"what the {self._role.value} does")
            return
        if self._has["roles"]:
            document = {"revokeRolesFromRole": self._mongo_role, "roles": self._has["roles"]}
            yield self._rights.change(document, f"it had the rights of {_names(self._has['roles'])}")
        has = {
            (each["resource"]["collection"], action)
            for each in self._has["privileges"]
            for action in each["actions"]
            if each["resource"].get("db") == self._rights.database
        }
        if has - needs:
            document = {"revokePrivilegesFromRole": self._mongo_role, "privileges": self._privileges(has - needs)}
            yield self._rights.change(document, f"it had more: {_listed(has - needs)}")
        if needs - has:
            document = {"grantPrivilegesToRole": self._mongo_role, "privileges": self._privileges(needs - has)}
            yield self._rights.change(document, f"what the {self._role.value} does: {_listed(needs - has)}")

    def user_changes(self) -> Iterator[Change]:
        """Make the user, or take every role but its own; and set the password that was given."""
        own = {"role": self._mongo_role, "db": self._rights.database}
        if self._user is None:
            document = {"createUser": self._name, "roles": [own], "mechanisms": [_MECHANISM], "pwd": self._password}
            yield self._rights.change(document, f"the user of the {self._role.value}")
            return
        if beyond := [each for each in self._user["roles"] if each != own]:
            document = {"revokeRolesFromUser": self._name, "roles": beyond}
            yield self._rights.change(document, f"it had the rights of {_names(beyond)}")
        if own not in self._user["roles"]:
            document = {"grantRolesToUser": self._name, "roles": [own]}
            yield self._rights.change(document, f"what the {self._role.value} does")
        if self._password and not self._rights.can_log_in(self._name, self._password):
            document = {"updateUser": self._name, "mechanisms": [_MECHANISM], "pwd": self._password}
            yield self._rights.change(document, "the password that was given")

    def _privileges(self, found: Collection[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return actions on collections as MongoDB has them."""
        actions: dict[str, list[str]] = defaultdict(list)
        for name, action in sorted(found):
            actions[name].append(action)
        place = self._rights.database
        return [{"resource": {"db": place, "collection": name}, "actions": actions[name]} for name in actions]


def _names(roles: Collection[Mapping[str, Any]]) -> str:
    return ", ".join(sorted(str(each["role"]) for each in roles))


def _listed(found: Collection[tuple[str, str]]) -> str:
    """Return actions by their collection; those on no certain one are on all of them."""
    return ", ".join(f"{action} on {name or 'every collection'}" for name, action in sorted(found))
