"""Everything that guards need to know of one account, read inside the caller's transaction."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row, dict_row

from contracts.trading import OrderRequest, Quote
from gateway.context import Gateway
from gateway.guards.budget import day_of
from gateway.refusals import not_found
from gateway.trading import capability, days, orders, switches
from gateway.trading.outstanding import Recorded, together
from gateway.trading.values import Account, Facts, KnownIntent, KnownOrder, Priced, Spendable
from persistence.database import Connection

FINAL_AT_BROKER = frozenset({"filled", "canceled", "rejected", "expired", "replaced"})
FINAL = frozenset({"REJECTED", "FILLED", "CANCELLED", "REPLACED", "EXPIRED"})
"""States from which an order of ours never comes back."""
LOOK_BACK = timedelta(days=7)
"""How long final orders are looked at: none moves holdings that were read later than that."""
DAY_ORDERS_END = timedelta(days=5)
"""From this age on an order of a day is over, whatever was last heard of it."""
NONE = Decimal(0)
_ACCOUNT = """
SELECT account_id, connection_id, provider, institution, external_id, currency, status, trading,
    connection_status, connection_type, name, type, coalesce(holds_securities, true) AS holds_securities,
    realtime, as_of
FROM portfolio.v_accounts WHERE user_id = %s AND account_id = %s
"""
_HOLDINGS = """
SELECT instrument_key, sum(quantity) FROM portfolio.v_holdings
WHERE user_id = %s AND account_id = %s GROUP BY instrument_key
"""
_BALANCES = """
SELECT currency, cash, buying_power, as_of FROM portfolio.v_balances WHERE user_id = %s AND account_id = %s
"""
_AT_BROKER = """
SELECT broker_order_id, instrument_key, side, status, quantity, filled_quantity, time_in_force,
    coalesce(limit_price, stop_price) * coalesce((instrument->>'multiplier')::numeric, 1) AS price, currency,
    placed_at, GREATEST(placed_at, updated_at, executed_at) AS moved_at
FROM portfolio.v_orders
WHERE user_id = %(user)s AND account_id = %(account)s
    AND (status <> ALL(%(final)s) OR coalesce(GREATEST(placed_at, updated_at, executed_at), first_seen_at) > %(since)s)
"""
_OWN = """
SELECT intent_id, state, request, broker_order_ids, filled_quantity, notional, currency, created_at,
    GREATEST(created_at, submitted_at, updated_at, settled_at) AS moved_at
FROM gateway.order_intents
WHERE user_id = %(user)s AND account_id = %(account)s
    AND (state <> ALL(%(final)s) OR (state <> 'REJECTED' AND updated_at > %(since)s))
ORDER BY created_at DESC
"""


@dataclass(frozen=True, slots=True)
class At:
    """Whose account, when, and for an order in which currency."""

    user_id: str
    account_id: UUID
    now: datetime
    currency: str = "USD"


async def account(conn: Connection, user_id: str, account_id: UUID) -> Account:
    """One account of the user's.

    Raises:
        ApiError: 404, none of theirs.
    """
    async with conn.cursor(row_factory=class_row(Account)) as cursor:
        await cursor.execute(_ACCOUNT, (user_id, account_id))
        found = await cursor.fetchone()
    if found is None:
        raise not_found("account")
    return found


async def load(
    gateway: Gateway,
    conn: Connection,
    at: At,
    *,
    priced: Priced | None = None,
    quote: Quote | None = None,
    lock: bool = False,
) -> Facts:
    """The facts of one account, as this transaction sees them.

    Args:
        gateway: for coverage and settings.
        conn: of a transaction of the user.
        at: whose, and when.
        priced: what the order at hand is worth.
        quote: the last quote, where there is one.
        lock: wait for other orders of the user's day and the account first, and keep them waiting until the commit.

    Raises:
        ApiError: 404, no such account of the user's.
    """
    day, user_id = day_of(at.now), at.user_id
    known = await account(conn, user_id, at.account_id)
    if lock:
        await days.lock(conn, user_id, at.account_id, day, at.currency)
        known = await account(conn, user_id, at.account_id)
    own = await _own(conn, at)
    enabled = gateway.settings.trading_enabled
    return Facts(
        account=known,
        day=day,
        obstacles=capability.obstacles(known, gateway.coverage, gateway.settings.enabled_providers),
        switch=await switches.off(conn, user_id, known.provider, enabled=enabled),
        holdings=await _pairs(conn, _HOLDINGS, (user_id, at.account_id)),
        balances=await _balances(conn, at),
        orders=together(await _at_broker(conn, at), [recorded(row) for row in own]),
        intents=tuple(_intent(row) for row in own),
        ordered_today=await _pairs(
            conn,
            "SELECT currency, notional FROM gateway.trading_days WHERE user_id = %s AND day = %s",
            (user_id, day),
        ),
        last_order_at=await _last_order(conn, at),
        priced=priced,
        quote=quote,
    )


def valued(facts: Facts, priced: Priced, quote: Quote | None) -> Facts:
    """The same facts of an order that is now valued."""
    return replace(facts, priced=priced, quote=quote)


async def _pairs(conn: Connection, query: str, values: tuple[Any, ...]) -> dict[str, Decimal]:
    cursor = await conn.execute(query, values)
    return dict(await cursor.fetchall())


async def _balances(conn: Connection, at: At) -> dict[str, Spendable]:
    cursor = await conn.execute(_BALANCES, (at.user_id, at.account_id))
    return {currency: Spendable(*money) for currency, *money in await cursor.fetchall()}


async def _last_order(conn: Connection, at: At) -> datetime | None:
    cursor = await conn.execute(
        "SELECT last_order_at FROM gateway.trading_accounts WHERE user_id = %s AND account_id = %s",
        (at.user_id, at.account_id),
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def _at_broker(conn: Connection, at: At) -> list[Recorded]:
    found = await _dicts(conn, _AT_BROKER, at, FINAL_AT_BROKER)
    return [
        Recorded(frozenset({row["broker_order_id"].partition("#")[0]}), (_leg_at_broker(row, at.now),))
        for row in found
    ]


async def _own(conn: Connection, at: At) -> list[dict[str, Any]]:
    return await _dicts(conn, _OWN, at, FINAL)


async def _dicts(conn: Connection, query: str, at: At, final: frozenset[str]) -> list[dict[str, Any]]:
    values = {
        "user": at.user_id,
        "account": at.account_id,
        "final": sorted(final),
        "since": at.now - LOOK_BACK,
    }
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(query, values)
        return await cursor.fetchall()


def _leg_at_broker(row: dict[str, Any], now: datetime) -> KnownOrder:
    quantity, price, placed_at = row["quantity"], row["price"], row["placed_at"]
    over = (
        (row["time_in_force"] or "").upper() == "DAY"
        and placed_at is not None
        and now - placed_at > DAY_ORDERS_END
    )
    return KnownOrder(
        symbol=row["instrument_key"],
        side=row["side"].upper(),
        quantity=quantity,
        filled=row["filled_quantity"] or NONE,
        is_open=row["status"] not in FINAL_AT_BROKER and not over,
        moved_at=row["moved_at"],
        notional=None if quantity is None or price is None else quantity * price,
        currency=row["currency"],
    )


def recorded(row: dict[str, Any]) -> Recorded:
    """One of our intents as an order with its legs; what was filled is told of all legs together."""
    order = _request(row)
    is_open, filled = row["state"] not in FINAL, row["filled_quantity"] or NONE
    legs = tuple(
        KnownOrder(
            symbol=leg.symbol,
            side=leg.side.value,
            quantity=None if order.notional is not None else leg.quantity,
            filled=min(filled, leg.quantity) if leg.quantity else filled,
            is_open=is_open,
            moved_at=row["moved_at"],
            # Of several legs the first carries what they cost together.
            notional=row["notional"] if place == 0 else None,
            currency=row["currency"],
        )
        for place, leg in enumerate(orders.legs_of(order))
    )
    return Recorded(frozenset(row["broker_order_ids"]), legs)


def _intent(row: dict[str, Any]) -> KnownIntent:
    return KnownIntent(row["intent_id"], row["state"], _request(row), row["created_at"])


def _request(row: dict[str, Any]) -> OrderRequest:
    return msgspec.convert(row["request"], OrderRequest)
