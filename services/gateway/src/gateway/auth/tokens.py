"""User tokens: what a valid one must say. Pure but for the key it is given."""

from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

import jwt

LEEWAY = 30
MAX_TOKEN_LENGTH = 8192
MAX_SUBJECT_LENGTH = 200
REQUIRED = ("sub", "exp", "iat", "aud", "iss")
DEVELOPMENT_ISSUER = "onefolio-development"
ACCESS_TOKENS = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""Types of user tokens; an ID token has none of its own, but issuers that mark access tokens mark them so."""
OTHER_TOKENS = frozenset({"id", "refresh", "logout"})
"""What some issuers call tokens that are not for APIs, in a claim ``typ``."""


class TokenRefusedError(Exception):
    """A token that does not prove who calls; the reason is for our logs alone."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The user a token proved; ``roles`` are ``user`` and perhaps ``admin``."""

    user_id: str
    roles: frozenset[str]

    @property
    def is_admin(self) -> bool:
        """Whether the admin role was granted."""
        return "admin" in self.roles


def read_header(token: str) -> dict[str, Any]:
    """The unverified header, to find the key by.

    Raises:
        TokenRefusedError: not a JWT, too long, or a token of another kind.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise TokenRefusedError("too long")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise TokenRefusedError("not a token") from error
    if str(header.get("typ", "JWT")).lower() not in ACCESS_TOKENS:
        raise TokenRefusedError("not the type of a user's access token")
    if "crit" in header:
        raise TokenRefusedError("demands an extension nobody here knows")
    return header


def verify(
    token: str, key: Any, *, algorithms: list[str], issuer: str, audience: str, now: datetime
) -> Principal:
    """Who a token proves.

    Raises:
        TokenRefusedError: wrong algorithm, signature, issuer or audience, a missing claim, or out of time.
    """
    read_header(token)
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=audience,
            issuer=issuer,
            # Times are checked below against the injected clock.
            options={
                "require": list(REQUIRED),
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
            },
        )
    except jwt.PyJWTError as error:
        raise TokenRefusedError(type(error).__name__) from error
    _check_times(claims, now.timestamp())
    subject = claims["sub"]
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= MAX_SUBJECT_LENGTH
        or not subject.isprintable()
    ):
        raise TokenRefusedError("the subject is not an id")
    if str(claims.get("typ", "")).lower() in OTHER_TOKENS:
        raise TokenRefusedError("not an access token")
    return Principal(user_id=subject, roles=_roles(claims))


def _check_times(claims: dict[str, Any], now: float) -> None:
    times = {name: claims.get(name) for name in ("exp", "iat", "nbf")}
    if any(isinstance(value, bool) or not isinstance(value, int | float | None) for value in times.values()):
        raise TokenRefusedError("a time has the wrong type")
    # NaN is neither past nor future: a token with it would hold for ever.
    if any(isinstance(value, float) and not isfinite(value) for value in times.values()):
        raise TokenRefusedError("a time is not a number")
    if (times["exp"] or 0) <= now - LEEWAY:
        raise TokenRefusedError("expired")
    if max(times["iat"] or 0, times["nbf"] or 0) > now + LEEWAY:
        raise TokenRefusedError("not valid yet")


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    given = claims.get("roles", [])
    named = {role for role in given if isinstance(role, str)} if isinstance(given, list) else set()
    return frozenset({"user"} | (named & {"admin"}))
