"""The rows orders wait for each other at: a user's day, and an account's last order.

Always taken in this order, so that no two transactions wait for one another.
"""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from persistence.database import Connection


async def lock(conn: Connection, user_id: str, account_id: UUID, day: date, currency: str) -> None:
    """Wait until no other order of the user's day, or of the account, is being let through; until the commit."""
    await conn.execute(
        """INSERT INTO gateway.trading_days (user_id, day, currency) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING""",
        (user_id, day, currency),
    )
    await conn.execute(
        "SELECT 1 FROM gateway.trading_days WHERE user_id = %s AND day = %s AND currency = %s FOR UPDATE",
        (user_id, day, currency),
    )
    await conn.execute(
        "INSERT INTO gateway.trading_accounts (user_id, account_id) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (user_id, account_id),
    )
    await conn.execute(
        "SELECT 1 FROM gateway.trading_accounts WHERE user_id = %s AND account_id = %s FOR UPDATE",
        (user_id, account_id),
    )


async def take(
    conn: Connection,
    user_id: str,
    account_id: UUID,
    *,
    day: date,
    currency: str,
    notional: Decimal,
    now: datetime,
) -> None:
    """Count an order that was let through; the caller holds the lock and has asked the guards under it."""
    await conn.execute(
        """UPDATE gateway.trading_days SET notional = notional + %s
        WHERE user_id = %s AND day = %s AND currency = %s""",
        (notional, user_id, day, currency),
    )
    await conn.execute(
        "UPDATE gateway.trading_accounts SET last_order_at = %s WHERE user_id = %s AND account_id = %s",
        (now, user_id, account_id),
    )


async def give_back(conn: Connection, user_id: str, day: date, currency: str, notional: Decimal) -> None:
    """Take an order that surely never reached the broker out of its day; once an order, the caller sees to that."""
    await conn.execute(
        """UPDATE gateway.trading_days SET notional = GREATEST(notional - %s, 0)
        WHERE user_id = %s AND day = %s AND currency = %s""",
        (notional, user_id, day, currency),
    )
