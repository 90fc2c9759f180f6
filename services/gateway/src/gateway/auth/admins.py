"""The FastAPI dependency that lets admins in, and nobody else."""

from typing import Annotated

import structlog
from fastapi import Depends

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.auth.tokens import Principal
from gateway.refusals import refusal

log = structlog.get_logger(__name__)


async def prove_admin(caller: Caller) -> Principal:
    """Who calls, if they are an admin.

    Raises:
        ApiError: 401 ``UNAUTHENTICATED``; 403 ``FORBIDDEN``, the role was not granted.
    """
    if not caller.is_admin:
        log.warning("auth.not_an_admin")
        raise refusal(ErrorCode.FORBIDDEN)
    return caller


Admin = Annotated[Principal, Depends(prove_admin)]
"""The admin who calls; a route that takes it answers 403 to every user who is not one."""
