"""Who may do what in the database: one owner of all objects, one login role per schema's writer.

The owner cannot log in; the login roles own nothing, bypass nothing and inherit nothing. In its own schema a
writer may select, insert, update and delete (not truncate, not create); everything else a migration grants.
"""

from collections.abc import Mapping
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from persistence.rls import UID_FUNCTION

OWNER = "onefolio_owner"
CONSOLIDATOR = "onefolio_consolidator"
CONNECTOR = "onefolio_connector"
GATEWAY = "onefolio_gateway"
WEBHOOKS = "onefolio_webhooks"
WRITER_OF = {"portfolio": CONSOLIDATOR, "sync": CONNECTOR, "gateway": GATEWAY, "webhooks": WEBHOOKS}
"""Schema → the one role that writes it."""
LOGINS = tuple(WRITER_OF.values())
READERS = {"portfolio": (GATEWAY,), "sync": (GATEWAY,)}
"""Schema → roles that may look inside it; what they see there, its migrations grant."""

_CREATE: LiteralString = """
DO $do$ BEGIN
    CREATE ROLE {role} {attributes};
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $do$
"""
_ROLE = "SELECT rolcanlogin, rolinherit, rolbypassrls, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = %s"
Admin = psycopg.Connection[Any]


class RoleError(Exception):
    """The roles cannot be what they must be."""


def ensure_roles(admin: Admin) -> None:
    """Create the roles that are missing and check the ones that exist; all in the caller's transaction.

    Raises:
        RoleError: a role of that name exists and may more than it should, or the administrator may not act as
            the owner.
    """
    _ensure(admin, OWNER, "NOLOGIN NOBYPASSRLS", login=False)
    for role in LOGINS:
        _ensure(admin, role, "LOGIN NOINHERIT NOBYPASSRLS", login=True)
    _become_possible(admin)


def ensure_schemas(admin: Admin) -> None:
    """Create the schemas and what roles may do in them; all in the caller's transaction, as the owner."""
    _grant_create(admin)
    admin.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
    admin.execute("CREATE SCHEMA IF NOT EXISTS app")
    admin.execute(UID_FUNCTION)
    for role in LOGINS:
        _run(admin, "GRANT USAGE ON SCHEMA app TO {role}", role=role)
        _run(admin, "GRANT EXECUTE ON FUNCTION app.uid() TO {role}", role=role)
    for schema, writer in WRITER_OF.items():
        _run(admin, "CREATE SCHEMA IF NOT EXISTS {schema}", schema=schema)
        for role in (writer, *READERS.get(schema, ())):
            _run(admin, "GRANT USAGE ON SCHEMA {schema} TO {role}", schema=schema, role=role)
        _grant_writing(admin, schema, writer)


def set_passwords(admin: Admin, passwords: Mapping[str, str]) -> None:
    """Give login roles their passwords.

    Raises:
        RoleError: a name is not one of our login roles.
    """
    for role, password in passwords.items():
        if role not in LOGINS:
            raise RoleError(f"not a login role of ours: {role[:63]!r}")
        # Hashed here, so that the server's statement log never holds the password itself.
        hashed = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        _run(admin, "ALTER ROLE {role} PASSWORD {password}", role=role, password=sql.Literal(hashed))


def _ensure(admin: Admin, role: str, attributes: LiteralString, *, login: bool) -> None:
    if admin.execute(_ROLE, (role,)).fetchone() is None:
        _run(admin, _CREATE, role=role, attributes=sql.SQL(attributes))
    found = admin.execute(_ROLE, (role,)).fetchone()
    if found is None:
        raise RoleError(f"role {role} could not be created")
    can_login, inherits, *powers = found
    if any(powers) or can_login != login or (login and inherits):
        raise RoleError(f"role {role} exists but is not {attributes}; drop or alter it")


def _become_possible(admin: Admin) -> None:
    """Make sure that the administrator can act as the owner; superusers always can."""
    row = admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    if row and row[0]:
        return
    try:
        with admin.transaction():
            _run(admin, "GRANT {role} TO CURRENT_USER", role=OWNER)
    except psycopg.Error as error:
        # Granted by somebody else is as good; what counts is whether it works.
        if not _may_become(admin):
            raise RoleError(f"the administrator may not act as {OWNER}") from error


def _may_become(admin: Admin) -> bool:
    try:
        with admin.transaction():
            _run(admin, "SET LOCAL ROLE {role}", role=OWNER)
            admin.execute("SET LOCAL ROLE NONE")
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _grant_create(admin: Admin) -> None:
    row = admin.execute(
        "SELECT has_database_privilege(%s, current_database(), 'CREATE'), current_database()", (OWNER,)
    ).fetchone()
    if row and not row[0]:
        _run(admin, "GRANT CREATE ON DATABASE {database} TO {role}", database=row[1], role=OWNER)


def _grant_writing(admin: Admin, schema: str, writer: str) -> None:
    default: LiteralString = "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT "
    for verbs in ("SELECT, INSERT, UPDATE, DELETE ON TABLES", "USAGE, SELECT ON SEQUENCES"):
        _run(admin, default + verbs + " TO {role}", schema=schema, role=writer)


def _run(admin: Admin, statement: LiteralString, **names: str | sql.Composable) -> None:
    parts = {
        name: value if isinstance(value, sql.Composable) else sql.Identifier(value)
        for name, value in names.items()
    }
    admin.execute(sql.SQL(statement).format(**parts))
