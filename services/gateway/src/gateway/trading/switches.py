"""The table ``gateway.trading_switches``: who may not trade now. Read in the transaction that claims an order."""

from datetime import datetime
from typing import Any

from gateway.trading.values import Switch
from persistence.database import Connection

GLOBAL, SETTINGS = "global", "settings"


def of_provider(provider: str) -> str:
    """The scope of one provider."""
    return f"provider:{provider}"


def of_user(user_id: str) -> str:
    """The scope of one user."""
    return f"user:{user_id}"


async def off(conn: Connection, user_id: str, provider: str, *, enabled: bool = True) -> Switch | None:
    """The widest switch that keeps this user from trading through this provider; None where all are on.

    ``enabled`` is the deployment's own setting.
    """
    if not enabled:
        return Switch(SETTINGS, "Trading is not enabled in this installation.")
    scopes = [GLOBAL, of_provider(provider), of_user(user_id)]
    cursor = await conn.execute(
        """SELECT scope, reason FROM gateway.trading_switches WHERE scope = ANY(%(scopes)s) AND NOT enabled
        ORDER BY array_position(%(scopes)s, scope) LIMIT 1""",
        {"scopes": scopes},
    )
    row = await cursor.fetchone()
    return None if row is None else Switch(row[0], row[1])


async def turn(
    conn: Connection, scope: str, *, enabled: bool, reason: str | None, by: str, now: datetime
) -> None:
    """Throw a switch; it holds from the commit on."""
    await conn.execute(
        """INSERT INTO gateway.trading_switches (scope, enabled, reason, set_by, set_at) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (scope) DO UPDATE SET enabled = EXCLUDED.enabled, reason = EXCLUDED.reason,
            set_by = EXCLUDED.set_by, set_at = EXCLUDED.set_at""",
        (scope, enabled, reason, by, now),
    )


async def shown(conn: Connection, *, enabled: bool) -> dict[str, Any]:
    """Every switch, and the deployment's own setting."""
    cursor = await conn.execute(
        "SELECT scope, enabled, reason, set_by, set_at FROM gateway.trading_switches ORDER BY scope"
    )
    return {"enabled_in_settings": enabled, "items": [_item(row) for row in await cursor.fetchall()]}


def _item(row: tuple[Any, ...]) -> dict[str, Any]:
    scope, enabled, reason, by, at = row
    kind, _, name = str(scope).partition(":")
    return {
        "scope": kind,
        "provider": name if kind == "provider" else None,
        "user_id": name if kind == "user" else None,
        "enabled": enabled,
        "reason": reason,
        "set_by": by,
        "set_at": at.isoformat(),
    }
