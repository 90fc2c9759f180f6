"""Orders whose fate nobody could find out, for operators. What they decide is in the user's own audit trail."""

import json

from fastapi import APIRouter, Request, Response

from contracts.errors import ErrorCode
from gateway import commands
from gateway.auth.admins import Admin
from gateway.context import Parts
from gateway.decisions.decider import on_behalf
from gateway.ledger.operator import as_operator
from gateway.reads.pages import known_id
from gateway.routes.answers import refusals
from gateway.routes.orders_placing import ORDER, Orders
from gateway.schemas.placing import OwnOrder, ResolveBody, UnknownOrderPage
from gateway.schemas.values import PageCursor, PageLimit, PathId
from gateway.trading import intents, listing, story, verdicts
from service_kit.web import request_id_of

router = APIRouter(prefix="/v1/admin/orders", tags=["admin"])


@router.get(
    "/unknown",
    summary="List orders of unknown fate.",
    response_model=UnknownOrderPage,
    responses=refusals(ErrorCode.FORBIDDEN),
)
async def list_unknown(
    admin: Admin, parts: Parts, *, request: Request, cursor: PageCursor = None, limit: PageLimit = 100
) -> Response:
    """Orders of all users that are `UNKNOWN` or wait for you (`NEEDS_USER`), the oldest first."""
    after = listing.place_after(cursor)
    async with parts.database.transaction(admin.user_id) as conn:
        await as_operator(conn)
        found = await intents.unverified(conn, after=after, limit=limit + 1)
        await commands.note(
            conn,
            admin.user_id,
            "admin.orders_unknown",
            None,
            details={"shown": len(found[:limit])},
            request_id=request_id_of(request),
            now=parts.clock.now(),
        )
    items = [
        story.shown(one)
        | {
            "user_id": one.user_id,
            "baseline": None if one.baseline is None else list(one.baseline),
            "looks": one.looks,
            "next_look_at": None if one.next_look_at is None else one.next_look_at.isoformat(),
        }
        for one in found[:limit]
    ]
    body = {"items": items, "next_cursor": listing.cursor_after(found, limit)}
    return Response(json.dumps(body), media_type="application/json")


@router.post(
    "/unknown/{order_id}/resolve",
    summary="Say what became of an order of unknown fate.",
    response_model=OwnOrder,
    responses=refusals(ErrorCode.FORBIDDEN, ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def resolve_order(
    admin: Admin, orders: Orders, *, request: Request, order_id: PathId, body: ResolveBody
) -> Response:
    """`accepted` with the broker's id: it is followed from there. `rejected`: the broker surely does not have it."""
    intent_id = known_id(order_id, ORDER)
    user_id = await verdicts.owner_of(orders.desk, intent_id)
    who = on_behalf(admin, user_id, request_id_of(request))
    resolved = await verdicts.resolve(orders.desk, who, intent_id, body.broker_order_id, body.reason)
    return Response(story.text(story.shown(resolved)), media_type="application/json")
