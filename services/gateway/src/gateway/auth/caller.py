"""The FastAPI dependencies that say who calls."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import structlog
from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from contracts.errors import ErrorCode
from gateway.auth.keys import IssuerUnreachableError, KeySource
from gateway.auth.tokens import Principal, TokenRefusedError, read_header, verify
from gateway.refusals import refusal
from service_kit.clock import Clock

log = structlog.get_logger(__name__)

BEARER = HTTPBearer(auto_error=False, bearerFormat="JWT", description="A user's token.")


class Authenticator:
    """Checks the bearer token of a request."""

    def __init__(self, keys: KeySource, *, issuer: str, audience: str, clock: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._clock = clock

    async def principal(self, token: str) -> Principal:
        """Who the token proves.

        Raises:
            ApiError: 401 ``UNAUTHENTICATED``; why is logged, not told. 503 ``UNAVAILABLE`` while the issuer's
                keys cannot be had.
        """
        try:
            key = await self._keys.find(read_header(token))
            return verify(
                token,
                key.value,
                algorithms=key.algorithms,
                issuer=self._issuer,
                audience=self._audience,
                now=self._clock.now(),
            )
        except TokenRefusedError as error:
            log.info("auth.refused", reason=str(error))
            raise refusal(ErrorCode.UNAUTHENTICATED, headers={"WWW-Authenticate": "Bearer"}) from error
        except IssuerUnreachableError as error:
            # Not 401: apps would sign their users out for an outage of ours.
            message = "The issuer of tokens is out of reach."
            raise refusal(ErrorCode.UNAVAILABLE, message, headers={"Retry-After": "5"}) from error


async def prove(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)]
) -> Principal:
    """Who calls, by their bearer token.

    Raises:
        ApiError: 401 ``UNAUTHENTICATED``; 503 ``UNAVAILABLE`` while the issuer's keys cannot be had.
    """
    authenticate: Callable[[str], Awaitable[Principal]] = request.app.state.authenticator.principal
    return await authenticate(bearer.credentials if bearer else "")


Caller = Annotated[Principal, Depends(prove)]
"""The user who calls; a route that takes it answers 401 to everyone else."""
