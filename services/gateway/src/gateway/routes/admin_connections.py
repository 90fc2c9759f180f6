"""Users' connections, for admins."""

from fastapi import APIRouter, Request, Response

from contracts.errors import ErrorCode
from gateway.auth.admins import Admin
from gateway.context import Parts
from gateway.decisions.decider import on_behalf
from gateway.reads.pages import known_id
from gateway.refreshing.configure import Wish, configure
from gateway.routes.answers import refusals
from gateway.routes.connections import CONNECTION, configured
from gateway.routes.consolidations import Nothing
from gateway.routes.deciding import PathUser, pending
from gateway.schemas.connections import Connection
from gateway.schemas.values import PathId
from service_kit.web import request_id_of

router = APIRouter(prefix="/v1/admin", tags=["admin"])


@router.post(
    "/users/{user_id}/connections/{connection_id}/resume",
    summary="End a pause of a user's connection.",
    response_model=Connection,
    responses=pending(Connection)
    | refusals(
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.CONFLICT,
        ErrorCode.PROVIDER_DISABLED,
        ErrorCode.CONNECTION_GONE,
    ),
)
async def resume_connection(
    admin: Admin,
    parts: Parts,
    *,
    request: Request,
    user_id: PathUser,
    connection_id: PathId,
    body: Nothing = None,  # noqa: ARG001 - taken so that an unknown field is refused
) -> Response:
    """Have a connection that was paused after failures read again by itself, beginning now."""
    identity = known_id(connection_id, CONNECTION)
    who = on_behalf(admin, user_id, request_id_of(request))
    applied = await configure(parts, who, identity, Wish(resume=True))
    return await configured(parts, user_id, identity, applied=applied)
