"""The users of a Cache on PostgreSQL: what they have, compared with what they need."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connections, transaction
from django.db.migrations.recorder import MigrationRecorder

from byron.cache.migrations import applied_migrations, is_pending
from byron.cache.rights.base import ROLES, Change, Plan, Rights, Users, tables_of
from byron.cache.roles import Role
from byron.cache.trouble import lacks_right
from byron.exceptions import CacheError
from byron.schema.installed import ComponentConfig

#: What each role may do with rows. A Sink locks rows too, which needs UPDATE, and ends sessions of its own user, which
#: needs nothing.
_ROW_RIGHTS = {Role.API: frozenset({"SELECT"}), Role.SINK: frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})}

#: The schema of a database in which nobody has chosen one.
_FIRST_SCHEMA = "public"

_READ_ONLY = "default_transaction_read_only"

#: What `pg_default_acl` calls kinds of objects, as ALTER DEFAULT PRIVILEGES does.
_KINDS = {"r": "TABLES", "S": "SEQUENCES", "f": "FUNCTIONS", "T": "TYPES", "n": "SCHEMAS"}

_OURS = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"

#: Privileges beyond those of the tables as a whole are told by their column.
_TABLE_GRANTS = f"""
    SELECT n.nspname, c.relname, c.relkind = 'S', '', a.privilege_type, a.is_grantable
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
    WHERE {_OURS} AND a.grantee = %s
    UNION ALL
    SELECT n.nspname, c.relname, false, t.attname, a.privilege_type, a.is_grantable
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace,
    aclexplode(t.attacl) a
    WHERE {_OURS} AND a.grantee = %s
    ORDER BY 1, 2, 4, 5
"""

_SCHEMA_GRANTS = f"""
    SELECT n.nspname, a.privilege_type, a.is_grantable
    FROM pg_namespace n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
    WHERE {_OURS} AND a.grantee = %s ORDER BY 1, 2
"""

_DATABASE_GRANTS = """
    SELECT a.privilege_type, a.is_grantable
    FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
    WHERE d.datname = current_database() AND a.grantee = %s ORDER BY 1
"""

_DEFAULT_GRANTS = """
    SELECT pg_get_userbyid(d.defaclrole), coalesce(n.nspname, ''), d.defaclobjtype, a.privilege_type, a.is_grantable
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a
    WHERE a.grantee = %s ORDER BY 1, 2, 3, 4
"""

_OWNED = """
    SELECT pg_describe_object(classid, objid, objsubid) FROM pg_shdepend
    WHERE deptype = 'o' AND refclassid = 'pg_authid'::regclass AND refobjid = %s
    AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) LIMIT 1
"""

_SETTINGS = """
    SELECT setconfig FROM pg_db_role_setting
    WHERE setrole = %s AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
"""

#: The number by which PostgreSQL's access lists mean everybody.
_PUBLIC = 0


class PostgresRights(Rights):
    """Users who may do what their role does with the component's tables and Byron's, in their one schema."""

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self._database = str(connections.settings[self.alias]["NAME"])

    def default_name(self, role: Role) -> str:
        # Users are those of the whole server: the database's name is unique there, the component's need not be.
        [[schema]] = _rows(self.alias, "SELECT current_schema()")
        place = self._database if schema in (None, _FIRST_SCHEMA) else f"{self._database}_{schema}"
        return f"{place}_{role.value}"

    def plan(self, users: Users) -> Plan:
        if is_pending(self.alias):
            raise CacheError(f"The Cache {self.alias} lacks tables to give rights to: run manage.py migrate first.")
        self._refuse_others_users(users)
        schema, owner = self._place()
        tables = tables_of(self.config)
        changes: list[Change] = []
        notes: list[str] = []
        for role in ROLES:
            user = _User(self.alias, role, users.names[role], users.passwords.get(role))
            user.refuse_unless_free({owner, *(name for other, name in users.names.items() if other is not role)})
            changes += user.existence()
            changes += user.database_rights(self._database)
            changes += user.schema_rights(schema)
            wanted = dict.fromkeys(tables, _ROW_RIGHTS[role]) | {MigrationRecorder.Migration._meta.db_table: _READ}
            changes += user.table_rights({(schema, table): wanted[table] for table in wanted})
            changes += user.later_rights(owner, schema)
            notes += user.notes
        changes += self._everybody(schema, tables)
        return Plan(changes=changes, notes=notes)

    def apply(self, plan: Plan) -> None:
        try:
            with transaction.atomic(using=self.alias), connections[self.alias].cursor() as cursor:
                for change in plan.changes:
                    cursor.execute(change.command)
        except DatabaseError as error:
            if not lacks_right(error):
                raise
            raise CacheError(
                f"{str(error).strip()}\nGive CACHE_URL the user that owns the tables and has CREATEROLE, or have an "
                "administrator run what is printed without --apply."
            ) from error

    def _refuse_others_users(self, users: Users) -> None:
        """Raise CacheError where another project's component may have these users: it would lose its rights."""
        others = {app for app, _ in applied_migrations(self.alias)} - set(apps.app_configs)
        if others and not users.are_named:
            raise CacheError(
                f"The database {self._database} also has tables of {', '.join(sorted(others))}, not of this project. "
                f"If a component of another project has its Cache there, its users must not be those of "
                f"{self.config.label}: they would lose their rights. Name other ones with --api and --sink, or give "
                "each component a schema. If nothing uses these tables any more, name the usual ones."
            )

    def _place(self) -> tuple[str, str]:
        """Return the schema of the Cache's tables, and who owns them: whoever migrates."""
        table = MigrationRecorder.Migration._meta.db_table
        [[schema, owner]] = _rows(
            self.alias,
            "SELECT n.nspname, pg_get_userbyid(c.relowner) FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)",
            table,
        )
        return schema, owner

    def _everybody(self, schema: str, tables: Collection[str]) -> Iterator[Change]:
        """Take from everybody what would be more than the users' own rights."""
        why = "everybody has it, and so the users"
        write = _Writer(self.alias)
        for privilege, _ in _rows(self.alias, _DATABASE_GRANTS, _PUBLIC):
            if privilege != "CONNECT":
                yield write(f"REVOKE {privilege} ON DATABASE {{}} FROM PUBLIC", self._database, why=why)
        for each, privilege, _ in _rows(self.alias, _SCHEMA_GRANTS, _PUBLIC):
            if each == schema and privilege != "USAGE":
                yield write(f"REVOKE {privilege} ON SCHEMA {{}} FROM PUBLIC", schema, why=why)
        beyond = {
            table
            for where, table, _, _, privilege, _ in _rows(self.alias, _TABLE_GRANTS, _PUBLIC, _PUBLIC)
            if where == schema and table in tables and privilege != "SELECT"
        }
        for table in sorted(beyond):
            yield write("REVOKE ALL ON TABLE {}.{} FROM PUBLIC", schema, table, why=why)


_READ = _ROW_RIGHTS[Role.API]


class _User:
    """One user, existing or to be made, and what it lacks or has too much."""

    def __init__(self, alias: str, role: Role, name: str, password: str | None) -> None:
        self._alias, self._role, self._name, self._password = alias, role, name, password
        self._write = _Writer(alias)
        self.notes: list[str] = []
        found = _rows(
            alias,
            "SELECT oid, rolsuper, rolcanlogin, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
            " FROM pg_roles WHERE rolname = %s",
            name,
        )
        self._id, self._is_super, *self._attributes = found[0] if found else (None, False)

    def refuse_unless_free(self, others: Collection[str]) -> None:
        """Raise CacheError when rights cannot bind this user, or belong to somebody else."""
        if self._name in others:
            raise CacheError(
                f"{self._name} cannot be the {self._role.value}'s user: it owns the tables, or is the other role's. "
                f"Name another one with --{self._role.value}."
            )
        owned = _rows(self._alias, _OWNED, self._id) if self._id is not None else []
        if self._is_super or owned:
            reason = "is a superuser" if self._is_super else f"owns {owned[0][0]}"
            raise CacheError(
                f"{self._name} {reason}, so no right can be kept from it. Name another user with --{self._role.value}."
            )

    def existence(self) -> Iterator[Change]:
        """Make the user, or take what it may do in the whole server."""
        if self._id is None:
            yield self._write("CREATE ROLE {} LOGIN", self._name, why=f"the user of the {self._role.value}")
            if not self._password:
                self.notes.append(
                    f"{self._name} has no password. Give it one with CACHE_{self._role.name}_PASSWORD in the "
                    f"environment of this command, with --ask-passwords, or with \\password {self._name} in psql."
                )
        else:
            can_login, *others = self._attributes
            if not can_login:
                yield self._write("ALTER ROLE {} LOGIN", self._name, why="it is to log in")
            for has, attribute in zip(others, ("CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS"), strict=True):
                if has:
                    yield self._write(f"ALTER ROLE {{}} NO{attribute}", self._name, why=f"it had {attribute}")
            groups = "SELECT pg_get_userbyid(roleid) FROM pg_auth_members WHERE member = %s ORDER BY 1"
            for (group,) in _rows(self._alias, groups, self._id):
                yield self._write("REVOKE {} FROM {}", group, self._name, why=f"it had the rights of {group}")
        if self._password and not (self._id is not None and self._can_log_in()):
            yield self._password_change(self._password)

    def database_rights(self, database: str) -> Iterator[Change]:
        have = self._grants(_DATABASE_GRANTS)
        yield from self._corrected(have, {(): {"CONNECT"}}, "DATABASE {}", (database,))
        settings = [line for (lines,) in self._rows(_SETTINGS) for line in lines]
        if self._role is Role.API and f"{_READ_ONLY}=on" not in settings:
            command = f"ALTER ROLE {{}} IN DATABASE {{}} SET {_READ_ONLY} = on"
            yield self._write(command, self._name, database, why="its transactions only read")

    def schema_rights(self, schema: str) -> Iterator[Change]:
        yield from self._corrected(self._grants(_SCHEMA_GRANTS, 1), {(schema,): {"USAGE"}}, "SCHEMA {}")

    def table_rights(self, wanted: Mapping[tuple[str, str], Collection[str]]) -> Iterator[Change]:
        tables: dict[tuple[str, ...], set[str]] = defaultdict(set)
        sequences: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for schema, table, is_sequence, column, privilege, is_grantable in self._rows(_TABLE_GRANTS, twice=True):
            told = privilege + (f" ({column})" if column else "") + (" WITH GRANT OPTION" if is_grantable else "")
            (sequences if is_sequence else tables)[schema, table].add(told)
        yield from self._corrected(tables, wanted, "TABLE {}.{}")
        yield from self._corrected(sequences, {}, "SEQUENCE {}.{}")

    def later_rights(self, owner: str, schema: str) -> Iterator[Change]:
        """Have the tables of later migrations come with the same rights."""
        have: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        for grantor, where, kind, privilege, is_grantable in self._rows(_DEFAULT_GRANTS):
            have[grantor, where, kind].add(privilege + (" WITH GRANT OPTION" if is_grantable else ""))
        wanted = {(owner, schema, "r"): set(_ROW_RIGHTS[self._role])}
        for grantor, where, kind in sorted(have.keys() | wanted.keys()):
            has, needs = have[grantor, where, kind], wanted.get((grantor, where, kind), set())
            names = (grantor, where, self._name) if where else (grantor, self._name)
            start = "ALTER DEFAULT PRIVILEGES FOR ROLE {}" + (" IN SCHEMA {}" if where else "")
            if has - needs:
                told = f"it would have had more on later {_KINDS[kind].lower()}: {', '.join(sorted(has - needs))}"
                yield self._write(f"{start} REVOKE ALL ON {_KINDS[kind]} FROM {{}}", *names, why=told)
                has = set()
            if needs - has:
                listed = ", ".join(sorted(needs))
                why = "tables of later migrations"
                yield self._write(f"{start} GRANT {listed} ON {_KINDS[kind]} TO {{}}", *names, why=why)

    def _corrected(
        self,
        have: Mapping[tuple[str, ...], Collection[str]],
        wanted: Mapping[Any, Collection[str]],
        what: str,
        names: tuple[str, ...] = (),
    ) -> Iterator[Change]:
        """Take all of what is too much anywhere, and give what is wanted and not there."""
        for place in sorted(have.keys() | wanted.keys()):
            has, needs = set(have.get(place, ())), set(wanted.get(place, ()))
            beyond = has - needs
            if beyond:
                told = f"it had more: {', '.join(sorted(beyond))}"
                yield self._write(f"REVOKE ALL ON {what} FROM {{}}", *names, *place, self._name, why=told)
                has = set()
            if needs - has:
                listed = ", ".join(sorted(needs))
                why = f"what the {self._role.value} does"
                yield self._write(f"GRANT {listed} ON {what} TO {{}}", *names, *place, self._name, why=why)

    def _grants(self, query: str, names: int = 0) -> dict[tuple[str, ...], set[str]]:
        """Return the privileges that a query finds, by the names that come first in its rows."""
        found: dict[tuple[str, ...], set[str]] = defaultdict(set)
        for row in self._rows(query):
            privilege, is_grantable = row[names:]
            found[tuple(row[:names])].add(privilege + (" WITH GRANT OPTION" if is_grantable else ""))
        return found

    def _rows(self, query: str, *, twice: bool = False) -> list[tuple[Any, ...]]:
        """Return what a query finds about this user; nothing while there is none."""
        if self._id is None:
            return []
        return _rows(self._alias, query, *([self._id] * (2 if twice else 1)))

    def _password_change(self, password: str) -> Change:
        """Set the password by what the server stores of it, so that neither a terminal nor its log sees it."""
        raw = _raw(self._alias)
        stored = raw.pgconn.encrypt_password(password.encode(), self._name.encode(), b"scram-sha-256").decode()
        made = self._write("ALTER ROLE {} PASSWORD ", self._name, why="the password that was given")
        return Change(command=f"{made.command}'{stored}'", shown=f"{made.command}'...'", why=made.why)

    def _can_log_in(self) -> bool:
        """Whether the user has the password already; the server does not tell otherwise."""
        import psycopg

        given = _raw(self._alias).info.get_parameters()
        try:
            with psycopg.connect(**{**given, "user": self._name, "password": self._password, "connect_timeout": 5}):
                return True
        except psycopg.OperationalError:
            return False


class _Writer:
    """Writes commands with names in quotes."""

    def __init__(self, alias: str) -> None:
        self._raw = _raw(alias)

    def __call__(self, template: str, *names: str, why: str) -> Change:
        from psycopg import sql

        composed = sql.SQL(template).format(*map(sql.Identifier, names))
        return Change(command=composed.as_string(self._raw), why=why)


def _raw(alias: str) -> Any:
    """Return psycopg's own connection."""
    connections[alias].ensure_connection()
    return connections[alias].connection


def _rows(alias: str, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())
