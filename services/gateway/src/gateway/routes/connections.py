"""Connections: read, repair, remove."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request, Response

from contracts.errors import ErrorCode
from contracts.messages import RemoveConnection
from gateway import commands
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.linking.ask import Ask
from gateway.linking.begin import begin
from gateway.manual.refused import only_by_hand
from gateway.reads import connections
from gateway.reads.pages import known_id, known_tags, respond
from gateway.refusals import refusal
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.linking import BEGIN_REFUSALS, started
from gateway.schemas.connections import Connection, ConnectionPage, RemovedConnection
from gateway.schemas.linking import ReconnectBody, StartedLink
from gateway.schemas.values import PageCursor, PageLimit, PathId
from service_kit.web import request_id_of

router = APIRouter(tags=["connections"])
CONNECTION = "connection"


@router.get(
    "/v1/connections",
    summary="List connections.",
    response_model=ConnectionPage,
    responses=NOT_MODIFIED | refusals(),
)
async def list_connections(
    caller: Caller,
    parts: Parts,
    *,
    include_removed: Annotated[bool, Query(description="Also those that were removed.")] = False,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Your connections, with how they stand and how fresh they are."""
    found = await connections.page(
        parts.database, caller.user_id, cursor=cursor, limit=limit, include_removed=include_removed
    )
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/connections/{connection_id}",
    summary="Read one connection.",
    response_model=Connection,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_connection(
    caller: Caller, parts: Parts, connection_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """One of your connections."""
    found = await connections.one(parts.database, caller.user_id, known_id(connection_id, CONNECTION))
    return respond(found, known_tags(if_none_match))


@router.post(
    "/v1/connections/{connection_id}/reconnect",
    summary="Repair a connection.",
    status_code=201,
    response_model=StartedLink,
    responses=BEGIN_REFUSALS,
)
async def reconnect(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    connection_id: PathId,
    body: Annotated[ReconnectBody | None, Body()] = None,
) -> Response:
    """Begin a link session that repairs the connection through its own provider."""
    ask = Ask(
        institution=None,
        redirect_uri=body.redirect_uri if body else None,
        reconnect_connection_id=known_id(connection_id, CONNECTION),
    )
    return started(await begin(parts, caller, ask, request_id_of(request)))


@router.delete(
    "/v1/connections/{connection_id}",
    summary="Remove a connection.",
    status_code=202,
    response_model=RemovedConnection,
    responses=refusals(ErrorCode.NOT_FOUND, ErrorCode.PROVIDER_DISABLED, ErrorCode.CONFLICT),
)
async def remove_connection(
    caller: Caller, parts: Parts, request: Request, connection_id: PathId
) -> Response:
    """Have it removed at the provider and its secret forgotten. Repeating it is harmless."""
    identity = known_id(connection_id, CONNECTION)
    now = parts.clock.now()
    async with parts.database.transaction(caller.user_id) as conn:
        known = await connections.known(conn, caller.user_id, identity)
        only_by_hand(known.provider)
        if not known.removed:
            if known.provider not in parts.settings.connectors:
                raise refusal(ErrorCode.PROVIDER_DISABLED, details={"provider": known.provider})
            command = RemoveConnection(user_id=caller.user_id, connection_id=str(identity), reason="user")
            await commands.send(conn, known.provider, command, now)
            await commands.note(
                conn,
                caller.user_id,
                "connection.removed",
                identity,
                details={"provider": known.provider, "institution": known.institution},
                request_id=request_id_of(request),
                now=now,
            )
    parts.wake()
    shown = RemovedConnection(id=identity, status="removed" if known.removed else "removing")
    return Response(shown.model_dump_json(), 202, media_type="application/json")
