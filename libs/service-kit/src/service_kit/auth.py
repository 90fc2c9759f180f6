"""Service-to-service tokens: short-lived, signed with the shared secret, for one audience."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import jwt
from pydantic import SecretStr
from starlette.requests import Request

from .api_errors import ApiError
from .clock import Clock, SystemClock

ALGORITHM = "HS256"
TOKEN_TYPE = "service+jwt"  # noqa: S105  the JWT's typ header, not a secret
MAX_TTL = 300
LEEWAY = 30
MAX_TOKEN_LENGTH = 4096
CLAIMS = ("iss", "aud", "exp", "iat", "jti")


@dataclass(frozen=True, slots=True)
class ServiceCaller:
    """The service that calls, as its token proved it."""

    name: str
    token_id: str


class TokenRefused(Exception):  # noqa: N818  named by what happened, as all our errors are
    """A service token that does not prove what it should; the reason is for our logs alone."""


def mint_service_token(secret: SecretStr, *, issuer: str, audience: str, now: datetime, ttl: int = 60) -> str:
    """Return a token that proves ``issuer`` to ``audience`` for ``ttl`` seconds (at most 300)."""
    if not 0 < ttl <= MAX_TTL:
        raise ValueError(f"a service token lives 1 to {MAX_TTL} seconds")
    issued = int(now.timestamp())
    claims = {"iss": issuer, "aud": audience, "iat": issued, "exp": issued + ttl, "jti": uuid.uuid4().hex}
    return jwt.encode(claims, secret.get_secret_value(), algorithm=ALGORITHM, headers={"typ": TOKEN_TYPE})


def verify_service_token(
    token: str, secret: SecretStr, *, audience: str, allowed_callers: Collection[str], now: datetime
) -> ServiceCaller:
    """Return who calls.

    Raises:
        TokenRefused: wrong algorithm, type, signature, audience, caller or time, or a claim is missing.
    """
    if len(token) > MAX_TOKEN_LENGTH:
        raise TokenRefused("too long")
    claims = _decoded(token, secret, audience)
    _check_times(claims, now.timestamp())
    if claims["iss"] not in allowed_callers:
        raise TokenRefused("caller is not allowed here")
    return ServiceCaller(name=claims["iss"], token_id=claims["jti"])


def require_service(
    secret: SecretStr, audience: str, allowed_callers: Collection[str], clock: Clock | None = None
) -> Callable[[Request], Awaitable[ServiceCaller]]:
    """Return a FastAPI dependency that lets only these services in (401 ``UNAUTHENTICATED`` otherwise)."""
    time = clock or SystemClock()

    async def service_caller(request: Request) -> ServiceCaller:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        bearer = token if scheme.lower() == "bearer" else ""
        try:
            return verify_service_token(
                bearer, secret, audience=audience, allowed_callers=allowed_callers, now=time.now()
            )
        except TokenRefused as refusal:
            headers = {"WWW-Authenticate": "Bearer"}
            message = "A valid service token is required."
            raise ApiError("UNAUTHENTICATED", 401, message, headers=headers) from refusal

    return service_caller


class ServiceAuth(httpx.Auth):
    """Signs outbound requests to one of our services, a new token each."""

    def __init__(self, secret: SecretStr, *, issuer: str, audience: str, clock: Clock | None = None) -> None:
        self._secret = secret
        self._issuer = issuer
        self._audience = audience
        self._clock = clock or SystemClock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign one request."""
        self._sign(request)
        yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Sign one request."""
        self._sign(request)
        yield request

    def _sign(self, request: httpx.Request) -> None:
        token = mint_service_token(
            self._secret, issuer=self._issuer, audience=self._audience, now=self._clock.now()
        )
        request.headers["Authorization"] = f"Bearer {token}"


def _decoded(token: str, secret: SecretStr, audience: str) -> dict[str, Any]:
    try:
        decoded = jwt.decode_complete(
            token,
            secret.get_secret_value(),
            algorithms=[ALGORITHM],
            audience=audience,
            # Times are checked below, against the injected clock and with a bound on the lifetime.
            options={"require": list(CLAIMS), "verify_exp": False, "verify_iat": False, "strict_aud": True},
        )
    except jwt.PyJWTError as error:
        raise TokenRefused(type(error).__name__) from error
    if decoded["header"].get("typ") != TOKEN_TYPE:
        raise TokenRefused("not a service token")
    claims: dict[str, Any] = decoded["payload"]
    if not all(isinstance(claims[name], str) and claims[name] for name in ("iss", "jti")):
        raise TokenRefused("a claim has the wrong type")
    return claims


def _check_times(claims: dict[str, Any], now: float) -> None:
    issued, expires = claims["iat"], claims["exp"]
    if not all(isinstance(t, int) and not isinstance(t, bool) for t in (issued, expires)):
        raise TokenRefused("a time has the wrong type")
    if issued > now + LEEWAY:
        raise TokenRefused("issued in the future")
    if expires <= now - LEEWAY:
        raise TokenRefused("expired")
    if not 0 < expires - issued <= MAX_TTL:
        raise TokenRefused("lives too long")
