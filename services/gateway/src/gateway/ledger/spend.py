"""The tables ``gateway.daily_spend`` (refreshes of all users) and ``gateway.budgets``."""

from datetime import date, datetime
from decimal import Decimal

from gateway.guards.budget import Limits, day_of
from gateway.guards.prices import CURRENCY
from gateway.guards.settle import FINAL, ChargeState
from gateway.ledger.charges import Open
from persistence.database import Connection

GLOBAL, EVERYBODY = "global", "user"


def scope_of(user_id: str) -> str:
    """The scope of one user's own budget."""
    return f"user:{user_id}"


async def users_turn(conn: Connection, user_id: str) -> None:
    """Wait until nobody else decides about this user's refreshes; ends with the transaction."""
    await _lock(conn, f"gateway.refreshing:{user_id}")


async def everybodys_turn(conn: Connection, now: datetime) -> None:
    """Wait until nobody else decides what is left of the day's budget; ends with the transaction.

    Taken after ``users_turn``, always, and only for what the intervals allow: clicks that are refused wait for
    nobody.
    """
    await _lock(conn, f"gateway.daily_spend:{day_of(now)}")


async def spent_today(conn: Connection, now: datetime) -> Decimal:
    """What all refreshes have cost, or may still cost, on the day of a moment."""
    cursor = await conn.execute(
        "SELECT coalesce(sum(reserved + charged), 0) FROM gateway.daily_spend WHERE day = %s AND currency = %s",
        (day_of(now), CURRENCY),
    )
    row = await cursor.fetchone()
    return Decimal(row[0]) if row else Decimal(0)


async def reserve(conn: Connection, day: date, provider: str, amount: Decimal) -> None:
    """Add a reservation to its day."""
    await conn.execute(
        """INSERT INTO gateway.daily_spend AS d (day, provider, currency, reserved) VALUES (%s, %s, %s, %s)
        ON CONFLICT (day, provider, currency) DO UPDATE SET reserved = d.reserved + EXCLUDED.reserved""",
        (day, provider, CURRENCY, amount),
    )


async def settle(conn: Connection, charge: Open, to: ChargeState) -> None:
    """Move a charge's amount out of the reservations of its day, once it is settled for good."""
    if to not in FINAL:
        return
    charged = charge.amount if to is ChargeState.CHARGED else Decimal(0)
    await conn.execute(
        """UPDATE gateway.daily_spend SET reserved = reserved - %s, charged = charged + %s
        WHERE day = %s AND provider = %s AND currency = %s""",
        (charge.amount, charged, charge.day, charge.provider, charge.currency),
    )


async def limits(conn: Connection, user_id: str, defaults: Limits) -> Limits:
    """The budgets that hold for a user: their own, else everybody's, else the settings'."""
    cursor = await conn.execute(
        "SELECT scope, daily_limit FROM gateway.budgets WHERE scope = ANY(%s)",
        ([GLOBAL, EVERYBODY, scope_of(user_id)],),
    )
    rows = dict(await cursor.fetchall())
    return Limits(
        user=rows.get(scope_of(user_id), rows.get(EVERYBODY, defaults.user)),
        everybody=rows.get(GLOBAL, defaults.everybody),
    )


async def _lock(conn: Connection, name: str) -> None:
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
