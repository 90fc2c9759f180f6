"""Placing what was previewed, what became of it, cancelling and replacing."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from contracts.errors import ErrorCode
from gateway.auth.caller import Caller
from gateway.context import Parts
from gateway.decisions.decider import themselves
from gateway.decisions.once import REPLAYED
from gateway.reads.pages import known_id, known_tags, respond
from gateway.routes.answers import NOT_MODIFIED, IfNoneMatch, refusals
from gateway.routes.consolidations import Nothing
from gateway.routes.deciding import IdempotencyKey
from gateway.routes.filters import AccountFilter
from gateway.schemas.placing import OrderStory, OwnOrder, OwnOrderPage, PlaceBody, ReplaceBody
from gateway.schemas.values import PageCursor, PageLimit, PathId
from gateway.trading import claim, listing, replace, story
from gateway.trading.cancel import cancel
from gateway.trading.place import Answer, Counter
from gateway.trading.values import Confirmed
from service_kit.web import request_id_of

router = APIRouter(tags=["trading"])
ORDER, PREVIEW = "order", "preview"
VERIFYING: dict[int | str, dict[str, Any]] = {
    202: {"model": OwnOrder, "description": "Sent, without a certain answer; it is being verified."}
}
KEYED = (
    ErrorCode.IDEMPOTENCY_KEY_MISSING,
    ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ErrorCode.REQUEST_IN_PROGRESS,
)
GUARDED = (
    ErrorCode.TRADING_NOT_SUPPORTED,
    ErrorCode.ACCOUNT_NOT_TRADABLE,
    ErrorCode.TRADING_DISABLED,
    ErrorCode.CONNECTION_BROKEN,
    ErrorCode.CONNECTION_GONE,
    ErrorCode.PROVIDER_DISABLED,
    ErrorCode.INSUFFICIENT_BUYING_POWER,
    ErrorCode.INSUFFICIENT_QUANTITY,
    ErrorCode.ORDER_TOO_LARGE,
    ErrorCode.DAILY_LIMIT_EXCEEDED,
    ErrorCode.DUPLICATE_SUSPECTED,
    ErrorCode.ORDER_RATE_LIMITED,
    ErrorCode.ORDER_BEING_VERIFIED,
    ErrorCode.ORDER_REJECTED,
    ErrorCode.PROVIDER_UNAVAILABLE,
)


def _counter(request: Request) -> Counter:
    counter: Counter = request.app.state.orders
    return counter


Orders = Annotated[Counter, Depends(_counter)]


@router.post(
    "/v1/trading/place",
    summary="Place an order that was previewed.",
    status_code=201,
    response_model=OwnOrder,
    responses=VERIFYING
    | refusals(*KEYED, ErrorCode.NOT_FOUND, ErrorCode.PREVIEW_EXPIRED, ErrorCode.PREVIEW_MISMATCH, *GUARDED),
)
async def place_order(
    caller: Caller,
    orders: Orders,
    *,
    request: Request,
    body: PlaceBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Place it once: the same `Idempotency-Key` finds the same order, however often it is sent.

    202 means that the broker gave no certain answer. Do not place it again: read the order until it is known. A
    refusal whose details say `sent: false` placed nothing.
    """
    who = themselves(caller, request_id_of(request), idempotency_key)
    confirmed = Confirmed(duplicate=body.confirm_duplicate, unverified=body.confirm_unverified)
    claim.required(idempotency_key)
    wanted = claim.wish(known_id(body.preview_id, PREVIEW), confirmed, idempotency_key)
    return _answered(await orders.place(who, wanted))


@router.get(
    "/v1/trading/orders",
    summary="List the orders that were placed here.",
    response_model=OwnOrderPage,
    responses=NOT_MODIFIED | refusals(),
)
async def list_own_orders(
    caller: Caller,
    parts: Parts,
    *,
    account: AccountFilter = None,
    cursor: PageCursor = None,
    limit: PageLimit = 100,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Your orders from when they were confirmed, newest first, also those that no broker ever got."""
    found = await listing.page(parts.database, caller.user_id, account, cursor=cursor, limit=limit)
    return respond(found, known_tags(if_none_match))


@router.get(
    "/v1/orders/{order_id}",
    summary="Read an order that was placed here.",
    response_model=OrderStory,
    responses=NOT_MODIFIED | refusals(ErrorCode.NOT_FOUND),
)
async def read_order(
    caller: Caller, parts: Parts, *, order_id: PathId, if_none_match: IfNoneMatch = None
) -> Response:
    """How the order stands, and everything that happened to it."""
    found = await listing.one(parts.database, caller.user_id, known_id(order_id, ORDER))
    return respond(found, known_tags(if_none_match))


@router.post(
    "/v1/orders/{order_id}/cancel",
    summary="Ask to cancel an order.",
    status_code=202,
    response_model=OwnOrder,
    responses=refusals(
        ErrorCode.NOT_FOUND,
        ErrorCode.ORDER_NOT_OPEN,
        ErrorCode.ORDER_BEING_VERIFIED,
        ErrorCode.REQUEST_IN_PROGRESS,
        ErrorCode.ORDER_REJECTED,
        ErrorCode.PROVIDER_UNAVAILABLE,
    ),
)
async def cancel_order(
    caller: Caller,
    orders: Orders,
    *,
    request: Request,
    order_id: PathId,
    body: Nothing = None,  # noqa: ARG001 - taken so that an unknown field is refused
) -> Response:
    """The broker is asked once; whether it came before the order was filled shows in the order."""
    who = themselves(caller, request_id_of(request))
    shown = await orders.to_the_end(cancel(orders.desk, who, known_id(order_id, ORDER)))
    return Response(story.text(shown), 202, {"Location": f"/v1/orders/{order_id}"}, "application/json")


@router.post(
    "/v1/orders/{order_id}/replace",
    summary="Replace an open order.",
    status_code=201,
    response_model=OwnOrder,
    responses=VERIFYING
    | refusals(
        *KEYED,
        ErrorCode.NOT_FOUND,
        ErrorCode.ORDER_NOT_OPEN,
        ErrorCode.NOT_SUPPORTED,
        ErrorCode.PRICE_OUT_OF_RANGE,
        *GUARDED,
    ),
)
async def replace_open_order(
    caller: Caller,
    orders: Orders,
    *,
    request: Request,
    order_id: PathId,
    body: ReplaceBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """A new order takes the place of an open one; both know of each other.

    It counts for the day besides the old one until that is replaced. Keys work as when placing.
    """
    who = themselves(caller, request_id_of(request), idempotency_key)
    quantity, limit_price, stop_price = body.numbers
    amendment = replace.Amendment(
        order_id=known_id(order_id, ORDER),
        key=claim.required(idempotency_key),
        intent_id=replace.new_id(),
        confirmed=Confirmed(duplicate=body.confirm_duplicate, unverified=body.confirm_unverified),
        quantity=quantity,
        limit_price=limit_price,
        stop_price=stop_price,
    )
    return _answered(await orders.to_the_end(replace.replace_order(orders.desk, who, amendment)))


def _answered(answer: Answer) -> Response:
    headers = {"Location": f"/v1/orders/{answer.order_id}"} | (REPLAYED if answer.replayed else {})
    return Response(answer.body, answer.status, headers, "application/json")
