"""Connections: read, configure, repair, remove."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request, Response

from contracts.errors import ErrorCode
from contracts.messages import RemoveConnection
from gateway import commands
from gateway.auth.caller import Caller
from gateway.context import Gateway, Parts
from gateway.decisions.decider import themselves
from gateway.linking.ask import Ask
from gateway.linking.begin import begin
from gateway.manual.refused import only_by_hand
from gateway.reads import connections
from gateway.reads.connections import Readings
from gateway.reads.pages import known_id, known_tags, respond
from gateway.refreshing.configure import Wish, configure
from gateway.refusals import refusal
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.deciding import decided, pending
from gateway.routes.linking import BEGIN_REFUSALS, started
from gateway.schemas.connections import ConfigureBody, Connection, ConnectionPage, RemovedConnection
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
        readings(parts), caller.user_id, cursor=cursor, limit=limit, include_removed=include_removed
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
    found = await connections.one(readings(parts), caller.user_id, known_id(connection_id, CONNECTION))
    return respond(found, known_tags(if_none_match))


@router.patch(
    "/v1/connections/{connection_id}",
    summary="Say how a connection is kept up to date.",
    response_model=Connection,
    responses=pending(Connection)
    | refusals(
        ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.PROVIDER_DISABLED, ErrorCode.CONNECTION_GONE
    ),
)
async def configure_connection(
    caller: Caller, parts: Parts, request: Request, connection_id: PathId, body: ConfigureBody
) -> Response:
    """Switch automatic reading on or off, or say how often. A refresh on demand works either way."""
    if body.auto_sync is None and body.frequency_seconds is None:
        wrong = {"location": ["body"], "type": "missing", "message": "auto_sync or frequency_seconds"}
        raise refusal(ErrorCode.VALIDATION_FAILED, details={"errors": [wrong]})
    who = themselves(caller, request_id_of(request))
    wish = Wish(auto_sync=body.auto_sync, frequency_seconds=body.frequency_seconds)
    identity = known_id(connection_id, CONNECTION)
    applied = await configure(parts, who, identity, wish)
    return await configured(parts, caller.user_id, identity, applied=applied)


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


async def configured(parts: Gateway, user_id: str, identity: UUID, *, applied: bool) -> Response:
    """The connection as it stands after a wish about it: 200 where that shows already, else 202."""
    found = await connections.one(readings(parts), user_id, identity)
    return decided(found.body or "", status=200, applied=applied, replayed=False)


def readings(parts: Gateway) -> Readings:
    """What showing connections needs."""
    return Readings(parts.database, parts.settings, parts.clock)
