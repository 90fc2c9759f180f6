"""Databases for tests: migrated once into a template, then copied for each test that wants one.

Put this into a conftest.py that provides the session fixture `database_url` (an administrator's URL):

    from persistence.testing import database_template, migrated_database, migration_owners

and ask for `migrated_database` in a test:

    async def test_x(migrated_database):
        database = Database(migrated_database.url(roles.GATEWAY))
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from persistence import migrate, roles
from persistence.urls import acting_url, with_database


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
    """A migrated database that is only ever copied."""

    server_url: str
    name: str

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
        except BaseException:
            _drop(server_url, name)
            raise
        admin.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
    return Template(server_url, name)


@pytest.fixture(scope="session")
def migration_owners() -> Mapping[str, str] | None:
    """Which owners' migrations to run: schema → package; None for all that are installed."""
    return None


@pytest.fixture(scope="session")
def database_template(database_url: str, migration_owners: Mapping[str, str] | None) -> Iterator[Template]:
    """The migrated database that the tests' own are copied from."""
    template = make_template(database_url, migration_owners)
    yield template
    _drop(template.server_url, template.name)


@pytest.fixture
def migrated_database(database_template: Template) -> Iterator[MigratedDatabase]:
    """A migrated database of this test's own."""
    database = database_template.copy()
    yield database
    database_template.drop(database)


def _let_admin_act(admin: psycopg.Connection[Any]) -> None:
    """Make the administrator a member of the runtime roles; a superuser acts as anybody."""
    row = admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if row and not row[0]:
        for role in roles.LOGINS:
            admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(role)))


def _drop(server_url: str, name: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
