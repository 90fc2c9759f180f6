"""What orders are held to: the deployment's limits, and the table ``gateway.trading_limits`` that only tightens them.

A limit is an amount in the currency of the order: nothing is converted, and the day's orders are added up by currency.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.ledger.forecast import plain
from gateway.trading.values import Limits
from persistence.database import Connection

GLOBAL = "global"
Row = tuple[Decimal | None, Decimal | None]
"""``max_order_notional`` and ``max_day_notional``; None leaves what holds without it."""


def of_user(user_id: str) -> str:
    """The scope of one user."""
    return f"user:{user_id}"


def tightened(limits: Limits, *rows: Row | None) -> Limits:
    """The limits under further ones: the least of each holds. Pure."""
    for row in rows:
        order, day = row or (None, None)
        limits = replace(
            limits,
            max_order_notional=_least(limits.max_order_notional, order),
            max_day_notional=_least(limits.max_day_notional, day),
        )
    return limits


def looser(limits: Limits, row: Row) -> list[str]:
    """The members of a row that would be looser than what holds anyway. Pure."""
    order, day = row
    return [
        name
        for name, value, most in (
            ("max_order_notional", order, limits.max_order_notional),
            ("max_day_notional", day, limits.max_day_notional),
        )
        if value is not None and value > most
    ]


async def load(conn: Connection, user_id: str, defaults: Limits) -> Limits:
    """The limits that hold for a user now."""
    found = await rows(conn, [GLOBAL, of_user(user_id)])
    return tightened(defaults, found.get(GLOBAL), found.get(of_user(user_id)))


async def rows(conn: Connection, scopes: list[str]) -> Mapping[str, Row]:
    """What was set for these scopes."""
    cursor = await conn.execute(
        "SELECT scope, max_order_notional, max_day_notional FROM gateway.trading_limits WHERE scope = ANY(%s)",
        (scopes,),
    )
    return {scope: (order, day) for scope, order, day in await cursor.fetchall()}


async def put(conn: Connection, scope: str, row: Row, by: str, now: datetime) -> None:
    """Set limits for everybody or for one user; nothing at all returns to what holds without."""
    if row == (None, None):
        await conn.execute("DELETE FROM gateway.trading_limits WHERE scope = %s", (scope,))
        return
    await conn.execute(
        """INSERT INTO gateway.trading_limits (scope, max_order_notional, max_day_notional, set_by, set_at)
        VALUES (%s, %s, %s, %s, %s) ON CONFLICT (scope) DO UPDATE SET set_by = EXCLUDED.set_by,
            max_order_notional = EXCLUDED.max_order_notional, max_day_notional = EXCLUDED.max_day_notional,
            set_at = EXCLUDED.set_at""",
        (scope, *row, by, now),
    )


async def shown(conn: Connection, defaults: Limits) -> dict[str, Any]:
    """The deployment's limits, and every one that was set."""
    cursor = await conn.execute(
        """SELECT scope, max_order_notional, max_day_notional, set_by, set_at FROM gateway.trading_limits
        ORDER BY scope"""
    )
    own = ("settings", defaults.max_order_notional, defaults.max_day_notional, None, None)
    return {"items": [_item(row) for row in (own, *await cursor.fetchall())]}


def _item(row: tuple[Any, ...]) -> dict[str, Any]:
    scope, order, day, by, at = row
    kind, _, name = str(scope).partition(":")
    return {
        "scope": kind,
        "user_id": name or None,
        "max_order_notional": None if order is None else plain(Decimal(order)),
        "max_day_notional": None if day is None else plain(Decimal(day)),
        "set_by": by,
        "set_at": None if at is None else at.isoformat(),
    }


def _least(one: Decimal, other: Decimal | None) -> Decimal:
    return one if other is None else min(one, other)
