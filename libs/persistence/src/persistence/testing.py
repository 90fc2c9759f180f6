"""Databases for tests: migrated once into a template, then copied for tests that want one.

Making a database takes half a second, emptying one a few milliseconds: what a test gives back is emptied for the
next one, unless it changed more than rows.

Put this into a conftest.py that provides the session fixture `database_url` (an administrator's URL):

    from persistence.testing import database_template, migrated_database, migration_owners

and ask for `migrated_database` in a test:

    async def test_x(migrated_database):
        database = Database(migrated_database.url(roles.GATEWAY))
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from persistence import migrate, roles
from persistence.urls import acting_url, with_database

# What a test may have changed besides rows; where a table's file lies is left out, for TRUNCATE makes a new one.
SHAPE = """SELECT md5(string_agg(what::text, ';' ORDER BY what::text)) FROM (
    SELECT (relname, relnamespace, relkind, relacl, relrowsecurity, relforcerowsecurity) FROM pg_class
        WHERE relkind <> 'i' AND relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg%')
    UNION ALL SELECT (attrelid, attname, atttypid, attnotnull, attacl)::record FROM pg_attribute
        WHERE attrelid >= 16384 AND attnum > 0
    UNION ALL SELECT (conrelid, conname, pg_get_constraintdef(oid))::record FROM pg_constraint
        WHERE conrelid >= 16384
    UNION ALL SELECT (indexrelid, pg_get_indexdef(indexrelid))::record FROM pg_index WHERE indrelid >= 16384
    UNION ALL SELECT (polrelid, polname, polroles)::record FROM pg_policy
    UNION ALL SELECT (tgrelid, tgname, tgenabled)::record FROM pg_trigger
    UNION ALL SELECT (nspname, nspacl)::record FROM pg_namespace
    UNION ALL SELECT (proname, proacl, prosrc)::record FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT (setrole, setconfig)::record FROM pg_db_role_setting
        WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())) AS shape(what)"""
OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()"""
EMPTY = """DO $$ DECLARE one record; filled boolean; names text := ''; BEGIN
    FOR one IN SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename NOT LIKE 'alembic%'
    LOOP
        EXECUTE 'SELECT EXISTS (SELECT FROM ' || one.name || ')' INTO filled;
        IF filled THEN names := names || ', ' || one.name; END IF;
    END LOOP;
    IF names <> '' THEN EXECUTE 'TRUNCATE ' || substr(names, 3) || ' CASCADE'; END IF;
    FOR one IN SELECT format('%I.%I', schemaname, sequencename) AS name FROM pg_sequences
        WHERE last_value IS NOT NULL
    LOOP EXECUTE 'ALTER SEQUENCE ' || one.name || ' RESTART'; END LOOP; END $$"""


@dataclass(frozen=True, slots=True)
class MigratedDatabase:
    """A database of a test's own with every owner's schema in it."""

    admin_url: str

    def url(self, role: str) -> str:
        """URL of a runtime role (`persistence.roles.GATEWAY` and so on).

        The administrator's connection acts as the role: rights and row-level security are the role's, and no
        password on a shared server is touched.
        """
        return acting_url(self.admin_url, role)


@dataclass(frozen=True, slots=True)
class Template:
    """A migrated database that is only ever copied.

    ``shape`` is a digest of everything in it but its rows, ``idle`` are emptied copies that nobody uses.
    """

    server_url: str
    name: str
    shape: str
    idle: list[MigratedDatabase] = field(default_factory=list)

    def take(self) -> MigratedDatabase:
        """An empty copy for one user; `give_back` returns it."""
        return self.idle.pop() if self.idle else self.copy()

    def give_back(self, database: MigratedDatabase) -> None:
        """Empty a copy for the next user, or drop it where more than its rows was changed."""
        if _emptied(database, self.shape):
            self.idle.append(database)
        else:
            self.drop(database)

    def copy(self) -> MigratedDatabase:
        """Make a database from it; `drop` removes it."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.server_url, autocommit=True) as admin:
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            admin.execute(statement.format(sql.Identifier(name), sql.Identifier(self.name)))
        return MigratedDatabase(with_database(self.server_url, name))

    def drop(self, database: MigratedDatabase) -> None:
        """Remove a copy, whoever is still connected to it."""
        _drop(self.server_url, urlsplit(database.admin_url).path.removeprefix("/"))


def make_template(server_url: str, owners: Mapping[str, str] | None = None) -> Template:
    """Migrate a new database; nobody can connect to it afterwards, so that it can always be copied."""
    name = f"template_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            migrate.upgrade(with_database(server_url, name), owners)
            _let_admin_act(admin)
            shape = _shape(with_database(server_url, name))
        except BaseException:
            _drop(server_url, name)
            raise
        admin.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    return Template(server_url, name, shape)


@pytest.fixture(scope="session")
def migration_owners() -> Mapping[str, str] | None:
    """Which owners' migrations to run: schema → package; None for all that are installed."""
    return None


@pytest.fixture(scope="session")
def database_template(database_url: str, migration_owners: Mapping[str, str] | None) -> Iterator[Template]:
    """The migrated database that the tests' own are copied from."""
    template = make_template(database_url, migration_owners)
    yield template
    for database in template.idle:
        template.drop(database)
    _drop(template.server_url, template.name)


@pytest.fixture
def migrated_database(database_template: Template) -> Iterator[MigratedDatabase]:
    """A migrated database of this test's own."""
    database = database_template.take()
    yield database
    database_template.give_back(database)


def _shape(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as conn:
        row = conn.execute(SHAPE).fetchone()
    return str(row[0]) if row else ""


def _emptied(database: MigratedDatabase, shape: str) -> bool:
    """Whether it could be made as good as new."""
    try:
        with psycopg.connect(database.admin_url, autocommit=True) as conn:
            conn.execute(OTHERS)
            conn.execute("SET lock_timeout = '2s'")
            row = conn.execute(SHAPE).fetchone()
            if row is None or row[0] != shape:
                return False
            conn.execute(EMPTY)
    except psycopg.Error:
        # Whatever a test did to it: a new one is only half a second away.
        return False
    return True


def _let_admin_act(admin: psycopg.Connection[Any]) -> None:
    """Make the administrator a member of the runtime roles; a superuser acts as anybody."""
    row = admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if row and not row[0]:
        for role in roles.LOGINS:
            admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _drop(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
