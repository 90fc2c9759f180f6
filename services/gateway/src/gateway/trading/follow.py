"""Orders that their brokers have: looked at, less and less often, until nothing can happen to them any more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import structlog

from contracts.orders import Order, OrderStatus
from gateway.trading import baseline, intents, settle
from gateway.trading.intents import Intent, stem, stems
from gateway.trading.settle import Change, Desk, Why
from gateway.trading.states import Event
from persistence.database import Connection
from service_kit.api_errors import ApiError

log = structlog.get_logger(__name__)

BY = "follower"
LATER = (
    timedelta(seconds=10),
    timedelta(seconds=15),
    timedelta(seconds=30),
    timedelta(seconds=60),
    timedelta(seconds=120),
    timedelta(seconds=300),
)
"""After the first look at 5 s: every order is looked at often while it is young, for most are filled at once."""
LIVE = timedelta(hours=24)
"""Brokers list the orders of a day; older ones are read from what synchronisations have brought."""
SELDOM = timedelta(minutes=15)
YOUNG = timedelta(hours=1)
NONE = Decimal(0)
_ENDS = {
    OrderStatus.CANCELED: Event.CANCEL,
    OrderStatus.EXPIRED: Event.EXPIRE,
    OrderStatus.REPLACED: Event.REPLACE,
}


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of an order, as the broker tells of it."""

    broker_order_id: str
    status: OrderStatus
    filled_quantity: Decimal | None
    average_price: Decimal | None


@dataclass(frozen=True, slots=True)
class News:
    """What has happened to an order."""

    event: Event
    filled_quantity: Decimal | None
    average_price: Decimal | None


def leg(order: Order) -> Leg:
    """A leg out of the broker's list."""
    return Leg(order.broker_order_id, order.status, order.filled_quantity, order.average_price)


def news(intent: Intent, legs: Sequence[Leg]) -> News | None:
    """What the broker's record says that we do not know yet; None where nothing has happened. Pure.

    ``filled_quantity`` is that of the leg filled least: of several legs, of so many combinations.
    """
    if not legs:
        return None
    filled = min(one.filled_quantity or NONE for one in legs)
    prices = [one.average_price for one in legs if one.average_price is not None]
    price = prices[0] if len(legs) == 1 and prices else None
    any_fill = any(one.filled_quantity for one in legs)
    told = filled if any_fill else None
    event = _event({one.status for one in legs}, any_fill=any_fill)
    if event is Event.FILL_PARTLY and (told or NONE) <= (intent.filled_quantity or NONE):
        return None
    return None if event is None else News(event, told, price)


def _event(statuses: set[OrderStatus], *, any_fill: bool) -> Event | None:
    if statuses == {OrderStatus.FILLED}:
        return Event.FILL
    if statuses == {OrderStatus.REJECTED}:
        return Event.CANCEL if any_fill else Event.TURN_DOWN
    over = statuses <= {*_ENDS, OrderStatus.REJECTED, OrderStatus.FILLED}
    if over:
        # Legs that ended differently: what was not filled will not be.
        ends = [_ENDS[status] for status in _ENDS if status in statuses]
        return ends[0] if len(statuses) == 1 and ends else Event.CANCEL
    return Event.FILL_PARTLY if any_fill else None


async def look(desk: Desk, intent: Intent) -> Intent | None:
    """Ask what has become of an order; how it stands where that moved it."""
    try:
        legs = await _legs(desk, intent)
    except ApiError as error:
        log.info("order.look_failed", order_id=str(intent.intent_id), code=str(error.code))
        legs = []
    found = news(intent, legs)
    if found is not None:
        change = Change(filled_quantity=found.filled_quantity, average_price=found.average_price)
        if found.event is Event.TURN_DOWN:
            change = Change(error_code="ORDER_REJECTED", error="The broker turned the order down.")
        return await settle.settle(desk, intent, found.event, Why(BY, "by the broker's record"), change)
    async with desk.gateway.database.transaction(intent.user_id) as conn:
        await intents.look_again(conn, intent, desk.now() + pause(intent, desk.now()), intent.looks + 1)
    return None


def pause(intent: Intent, now: datetime) -> timedelta:
    """How long to leave an order alone. Pure."""
    since = max(intent.updated_at, intent.cancel_requested_at or intent.updated_at)
    return SELDOM if now - since > YOUNG else LATER[min(intent.looks, len(LATER) - 1)]


async def _legs(desk: Desk, intent: Intent) -> list[Leg]:
    """The order's legs: from the broker's own list while that has it, else from what was last read."""
    if desk.now() - intent.created_at < LIVE:
        mine = of(intent, [leg(order) for order in await baseline.listed(desk.placing, intent)])
        if mine:
            return mine
    async with desk.gateway.database.transaction(intent.user_id) as conn:
        return of(intent, await _read_before(conn, intent))


def of(intent: Intent, legs: Iterable[Leg]) -> list[Leg]:
    """Those that are of this order. Pure."""
    ids = set(stems(intent.broker_order_ids))
    return [one for one in legs if stem(one.broker_order_id) in ids]


async def _read_before(conn: Connection, intent: Intent) -> list[Leg]:
    cursor = await conn.execute(
        """SELECT broker_order_id, status, filled_quantity, average_price FROM portfolio.v_orders
        WHERE user_id = %s AND account_id = %s
            AND coalesce(updated_at, executed_at, placed_at, first_seen_at) >= %s""",
        (intent.user_id, intent.account_id, intent.submitted_at or intent.created_at),
    )
    return [
        Leg(order_id, OrderStatus(status), filled, price)
        for order_id, status, filled, price in await cursor.fetchall()
    ]
