"""Refreshes: one connection, or all of them."""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.decisions.decider import themselves
from gateway.decisions.once import REPLAYED
from gateway.reads.pages import known_id
from gateway.refreshing.refresh import refresh_all, refresh_one
from gateway.routes.answers import refusals
from gateway.routes.deciding import IdempotencyKey
from gateway.schemas.refreshing import RefreshAll, RefreshBody, RefreshItem
from gateway.schemas.values import PathId
from service_kit.web import request_id_of

router = APIRouter(tags=["connections"])
How = Annotated[RefreshBody | None, Body()]


@router.post(
    "/v1/connections/{connection_id}/refresh",
    summary="Refresh a connection.",
    status_code=202,
    response_model=RefreshItem,
    responses=refusals(
        ErrorCode.NOT_FOUND,
        ErrorCode.REFRESH_TOO_SOON,
        ErrorCode.BUDGET_EXHAUSTED,
        ErrorCode.CONNECTION_BROKEN,
        ErrorCode.CONNECTION_GONE,
        ErrorCode.PROVIDER_DISABLED,
        ErrorCode.CONFLICT,
    ),
)
async def refresh_connection(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    connection_id: PathId,
    body: How = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Have the provider fetch from the institution now, where it does not by itself; that can cost money.

    429 says why not, the price, when it is free again (`Retry-After`, `next_refresh_at`), and in `override` what
    would make it run now. Under one `Idempotency-Key` it is ordered, and charged, once.
    """
    who = themselves(caller, request_id_of(request), idempotency_key)
    identity = known_id(connection_id, "connection")
    text, replayed = await refresh_one(parts, who, identity, confirmed=body is not None and body.confirm_cost)
    return Response(text, 202, REPLAYED if replayed else None, "application/json")


@router.post(
    "/v1/refresh",
    summary="Refresh all connections.",
    response_model=RefreshAll,
    responses=refusals(),
)
async def refresh_connections(
    caller: Caller,
    parts: Parts,
    *,
    request: Request,
    body: How = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Refresh every connection that may be; the answer says of each whether it was queued, and why not.

    What `needs_confirmation` runs when you ask again with `confirm_cost`, for `price_to_confirm` together.
    """
    who = themselves(caller, request_id_of(request), idempotency_key)
    text, replayed = await refresh_all(parts, who, confirmed=body is not None and body.confirm_cost)
    return Response(text, 200, REPLAYED if replayed else None, "application/json")
