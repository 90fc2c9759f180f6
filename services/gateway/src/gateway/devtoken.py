"""A user's token for development: ``python -m gateway.devtoken --user alice [--admin] [--ttl 3600]``.

Signs with ``JWT_SECRET`` (or the file ``JWT_SECRET_FILE`` names), as the gateway checks it. Production has no such
secret, and this refuses there.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import jwt

from gateway.auth.tokens import DEVELOPMENT_ISSUER

TTL = 12 * 3600
LONGEST_TTL = 7 * 86_400
SHORTEST_SECRET = 32


class NoTokenError(Exception):
    """There can be no development token here; the text says why."""


def mint(
    secret: str,
    user: str,
    *,
    admin: bool = False,
    ttl: int = TTL,
    audience: str = "onefolio",
    now: datetime | None = None,
) -> str:
    """A token that proves ``user`` to a gateway with this ``JWT_SECRET`` for ``ttl`` seconds."""
    issued = int((now or datetime.now(UTC)).timestamp())
    claims = {
        "sub": user,
        "iss": DEVELOPMENT_ISSUER,
        "aud": audience,
        "iat": issued,
        "exp": issued + ttl,
        "roles": ["user", "admin"] if admin else ["user"],
    }
    return jwt.encode(claims, secret, algorithm="HS256")


def secret_of(environ: Mapping[str, str]) -> str:
    """The development secret of this environment.

    Raises:
        NoTokenError: production, or no usable secret.
    """
    if environ.get("ONEFOLIO_ENVIRONMENT") == "production":
        raise NoTokenError("this is production: users get their tokens from the issuer")
    secret = environ.get("JWT_SECRET", "")
    if not secret and (path := environ.get("JWT_SECRET_FILE")):
        secret = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    if len(secret) < SHORTEST_SECRET:
        raise NoTokenError(f"JWT_SECRET (or JWT_SECRET_FILE) must hold at least {SHORTEST_SECRET} characters")
    return secret


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Print a token; status 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.devtoken", description="Print a development token."
    )
    parser.add_argument("--user", required=True, help="the user's id")
    parser.add_argument("--admin", action="store_true", help="grant the admin role")
    parser.add_argument("--ttl", type=int, default=TTL, help=f"seconds it lives (default {TTL})")
    asked = parser.parse_args(arguments)
    if not 0 < asked.ttl <= LONGEST_TTL:
        parser.error(f"--ttl must be between 1 and {LONGEST_TTL}")
    try:
        secret = secret_of(environ)
    except (NoTokenError, OSError) as error:
        sys.stderr.write(f"devtoken: {error}\n")
        return 1
    audience = environ.get("JWT_AUDIENCE") or "onefolio"
    sys.stdout.write(mint(secret, asked.user, admin=asked.admin, ttl=asked.ttl, audience=audience) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
