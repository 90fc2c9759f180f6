"""The command `python -m persistence.migrate`: what an operator or a deployment runs before the services."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg

from persistence import migrate, passwords, roles
from service_kit.redaction import redact

EX_CONFIG = 78
EPILOG = """\
DATABASE_URL names the database as an administrator (a superuser, or a role with CREATEROLE that may create
schemas there). The login roles' passwords come from --roles-file (missing ones are generated into it), else from
variables such as ONEFOLIO_GATEWAY_PASSWORD; without either, passwords stay as they are.
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status. Never prints a password or a URL."""
    given = _parser().parse_args(arguments)
    url = os.environ.get("DATABASE_URL")
    if not url:
        return _fail("DATABASE_URL is not set", EX_CONFIG)
    try:
        return _up(url, given.roles_file) if given.action == "up" else _status(url)
    except (passwords.RolesFileError, roles.RoleError, migrate.MigrationError) as error:
        return _fail(str(error), 1)
    except psycopg.OperationalError as error:
        return _fail(f"the database cannot be reached: {redact(str(error))}", 1)


def _up(url: str, roles_file: Path | None) -> int:
    given = passwords.from_file(roles_file) if roles_file else passwords.from_environment(os.environ)
    migrate.prepare(url, given)
    for state in migrate.upgrade(url):
        _say(f"{state.owner}: {state.current or 'no migrations'}")
    if missing := [role for role in roles.LOGINS if role not in given]:
        _say(f"passwords left as they are: {', '.join(missing)}")
    return 0


def _status(url: str) -> int:
    states = migrate.status(url)
    for state in states:
        word = "up to date" if state.up_to_date else f"behind {state.head}"
        _say(f"{state.owner}: {state.current or 'nothing applied'} ({word})")
    return 0 if all(state.up_to_date for state in states) else 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m persistence.migrate",
        description="Bring the database's roles and schemas up to date.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "action", choices=["up", "status"], help="status exits with 3 where something is to do"
    )
    parser.add_argument(
        "--roles-file",
        type=Path,
        metavar="PATH",
        help="JSON file of role → password, mode 0600; completed with generated ones",
    )
    return parser


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _fail(text: str, code: int) -> int:
    sys.stderr.write(f"migrate: {text}\n")
    return code
