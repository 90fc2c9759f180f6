"""The table ``gateway.budgets``: what admins set in place of the settings."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.guards.budget import Limits
from gateway.guards.prices import CURRENCY
from gateway.ledger.forecast import plain
from gateway.ledger.spend import EVERYBODY, GLOBAL
from persistence.database import Connection


async def put(conn: Connection, scope: str, limit: Decimal | None, by: str, now: datetime) -> None:
    """Set a daily budget; None is no limit."""
    await conn.execute(
        """INSERT INTO gateway.budgets (scope, daily_limit, currency, set_by, set_at) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (scope) DO UPDATE SET daily_limit = EXCLUDED.daily_limit, currency = EXCLUDED.currency,
            set_by = EXCLUDED.set_by, set_at = EXCLUDED.set_at""",
        (scope, limit, CURRENCY, by, now),
    )


async def drop(conn: Connection, scope: str) -> None:
    """Return to what would hold without it."""
    await conn.execute("DELETE FROM gateway.budgets WHERE scope = %s", (scope,))


async def shown(conn: Connection, defaults: Limits) -> dict[str, Any]:
    """Every budget that holds: the settings' where nothing was set, then one user's after another."""
    cursor = await conn.execute(
        "SELECT scope, daily_limit, set_by, set_at FROM gateway.budgets ORDER BY scope"
    )
    rows = {row[0]: row for row in await cursor.fetchall()}
    items = [_item(rows.pop(GLOBAL, None), GLOBAL, defaults.everybody)]
    items.append(_item(rows.pop(EVERYBODY, None), EVERYBODY, defaults.user))
    items += [_item(row, scope, None) for scope, row in rows.items()]
    return {"items": items}


def _item(row: Any, scope: str, default: Decimal | None) -> dict[str, Any]:
    _, limit, set_by, set_at = row or (scope, default, None, None)
    return {
        "scope": scope.partition(":")[0] if scope != EVERYBODY else "everybody",
        "user_id": scope.partition(":")[2] or None,
        "daily_limit": None if limit is None else plain(Decimal(limit)),
        "currency": CURRENCY,
        "set_by": set_by,
        "set_at": None if set_at is None else set_at.isoformat(),
    }
