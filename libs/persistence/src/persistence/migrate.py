"""Migrations: every owner's schema brought up to date, in one transaction.

An owner (`portfolio`, `sync`, `gateway`, `webhooks`) announces itself by an entry point of the group
`onefolio.migrations`: its name is the schema, its value a package that holds Alembic's `versions/`. Each schema has
its own version table. `python -m persistence.migrate up` does it all; it may run twice at once.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import psycopg
import sqlalchemy
import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql

from persistence import roles
from persistence.urls import role_url

log = structlog.get_logger(__name__)

GROUP = "onefolio.migrations"
LOCK = 0x6F6E65666F6C696F  # "onefolio"
TRIES = 5
ENVIRONMENT = Path(__file__).parent / "migration_environment"
_ACQUIRE = "SELECT pg_advisory_xact_lock(%s)"


class MigrationError(Exception):
    """The migrations cannot be run as they are."""


@dataclass(frozen=True, slots=True)
class State:
    """Where one owner's schema stands; `current` is None where nothing was run yet."""

    owner: str
    current: str | None
    head: str | None

    @property
    def up_to_date(self) -> bool:
        """Whether there is nothing to do."""
        return self.current == self.head


def installed_owners() -> dict[str, str]:
    """The owners of migrations among the installed members: schema → package."""
    return {point.name: point.value for point in entry_points(group=GROUP)}


def prepare(admin_url: str, passwords: Mapping[str, str]) -> dict[str, str]:
    """Create the roles, give them their passwords, and return each one's connection URL.

    Args:
        admin_url: of a role that may create roles (a superuser, or CREATEROLE).
        passwords: login role → password (`persistence.roles.LOGINS` names them all).

    Raises:
        RoleError: a role exists that may more than it should, or a name is not one of ours.
    """
    for attempt in range(1, TRIES + 1):
        try:
            with psycopg.connect(admin_url) as admin:
                roles.ensure_roles(admin)
                roles.set_passwords(admin, passwords)
            break
        except psycopg.errors.InternalError_:
            # Roles are shared by all databases, advisory locks are not: "tuple concurrently updated".
            if attempt == TRIES:
                raise
    return {role: role_url(admin_url, role, password) for role, password in passwords.items()}


def upgrade(admin_url: str, owners: Mapping[str, str] | None = None) -> list[State]:
    """Create roles and schemas where they are missing and bring every owner's schema to its newest version.

    One transaction: after a failure nothing has changed. A second migrator waits for the first and then finds
    nothing to do.

    Args:
        admin_url: of a role that may create roles and schemas.
        owners: schema → package; by default the installed ones.

    Raises:
        MigrationError: an owner is unknown or its package holds no `versions/`.
        RoleError: the roles cannot be made right.
    """
    found = _checked(installed_owners() if owners is None else owners)
    with _connected(admin_url) as connection:
        admin = _driver(connection)
        admin.execute(_ACQUIRE, (LOCK,))
        roles.ensure_roles(admin)
        roles.ensure_schemas(admin)
        for owner, package in found.items():
            _upgrade_one(connection, owner, package)
        states = [_state(connection, owner, package) for owner, package in found.items()]
    for state in states:
        log.info("migrations.applied", owner=state.owner, version=state.current)
    return states


def status(admin_url: str, owners: Mapping[str, str] | None = None) -> list[State]:
    """Where every owner's schema stands; changes nothing."""
    found = _checked(installed_owners() if owners is None else owners)
    with _connected(admin_url) as connection:
        return [_state(connection, owner, package) for owner, package in found.items()]


def _checked(owners: Mapping[str, str]) -> dict[str, str]:
    for owner in owners:
        if owner not in roles.WRITER_OF:
            raise MigrationError(f"no role writes a schema {owner!r}; there are {', '.join(roles.WRITER_OF)}")
    return dict(sorted(owners.items()))


def _upgrade_one(connection: sqlalchemy.Connection, owner: str, package: str) -> None:
    admin = _driver(connection)
    schema = sql.Identifier(owner)
    admin.execute(sql.SQL("SET LOCAL search_path TO {}").format(schema))
    command.upgrade(_config(owner, package, connection), "head")
    admin.execute(sql.SQL("SET LOCAL search_path TO DEFAULT"))
    if not _has_version_table(connection, owner):
        return
    admin.execute(
        sql.SQL("REVOKE INSERT, UPDATE, DELETE ON {}.alembic_version FROM {}").format(
            schema, sql.Identifier(roles.WRITER_OF[owner])
        )
    )


def _state(connection: sqlalchemy.Connection, owner: str, package: str) -> State:
    head = ScriptDirectory.from_config(_config(owner, package, connection)).get_current_head()
    current = None
    if _has_version_table(connection, owner):
        options = {"version_table_schema": owner}
        current = MigrationContext.configure(connection, opts=options).get_current_revision()
    return State(owner, current, head)


def _has_version_table(connection: sqlalchemy.Connection, owner: str) -> bool:
    row = _driver(connection).execute("SELECT to_regclass(%s)", (f"{owner}.alembic_version",)).fetchone()
    return row is not None and row[0] is not None


def _config(owner: str, package: str, connection: sqlalchemy.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", _escaped(ENVIRONMENT))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", _escaped(_versions(package)))
    config.attributes.update(connection=connection, schema=owner)
    return config


def _versions(package: str) -> Path:
    places = list(importlib.import_module(package).__path__)
    versions = Path(places[0]) / "versions"
    if not versions.is_dir():
        raise MigrationError(f"package {package} has no directory versions/")
    return versions


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


@contextmanager
def _connected(admin_url: str) -> Iterator[sqlalchemy.Connection]:
    with psycopg.connect(admin_url, application_name="onefolio-migrate") as admin:
        engine = sqlalchemy.create_engine(
            "postgresql+psycopg://", creator=lambda: admin, poolclass=sqlalchemy.NullPool
        )
        with engine.begin() as connection:
            yield connection


def _driver(connection: sqlalchemy.Connection) -> roles.Admin:
    """The psycopg connection under SQLAlchemy's, inside the same transaction.

    Raises:
        MigrationError: another driver is underneath.
    """
    driver = connection.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise MigrationError("migrations need psycopg")
    return driver


if __name__ == "__main__":
    from persistence.migrate_command import main

    sys.exit(main(sys.argv[1:]))
