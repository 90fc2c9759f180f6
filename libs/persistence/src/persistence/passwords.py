"""Passwords of the login roles: from a private file, or from the environment."""

import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from persistence.roles import LOGINS

PRIVATE = 0o600
BYTES = 24


class RolesFileError(Exception):
    """The file of role passwords cannot be used."""


def from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The passwords given as variables (`ONEFOLIO_GATEWAY_PASSWORD`)."""
    return {role: value for role in LOGINS if (value := environ.get(f"{role.upper()}_PASSWORD"))}


def from_file(path: Path) -> dict[str, str]:
    """The passwords of all login roles; those the file lacks are generated and written into it, mode 0600.

    Raises:
        RolesFileError: others may read the file, or it is not a JSON object of texts.
    """
    known = _read(path)
    missing = {role: secrets.token_urlsafe(BYTES) for role in LOGINS if role not in known}
    if missing:
        _write(path, known | missing)
    return known | missing


def _read(path: Path) -> dict[str, str]:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return {}
    if stat.S_IMODE(mode) & 0o077:
        raise RolesFileError(f"{path} can be read by others; chmod 600 it")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RolesFileError(f"{path} is not JSON") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) and value for value in found.values()):
        raise RolesFileError(f"{path} is not an object of role → password")
    if strange := sorted(set(found) - set(LOGINS)):
        raise RolesFileError(f"{path} names roles that do not exist here: {', '.join(strange)}")
    return found


def _write(path: Path, passwords: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w") as file:
        json.dump(passwords, file, indent=2)
        file.write("\n")
    beside.replace(path)
