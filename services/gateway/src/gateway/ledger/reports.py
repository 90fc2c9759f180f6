"""Reports over all users, for operators. Each works inside a transaction that says it is an operator's."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from gateway.guards.prices import CURRENCY
from gateway.ledger.charges import REFRESH
from gateway.ledger.forecast import Refreshes, plain
from gateway.ledger.subscriptions import month_of
from gateway.reads.pages import offset_cursor
from persistence.database import Connection

GROUPS = {
    "provider": "provider",
    "user": "user_id",
    "day": "to_char(day, 'YYYY-MM-DD')",
    "kind": "kind",
}
"""What charges can be summed by → the expression that names the group."""
_SUMS = """coalesce(sum(amount) FILTER (WHERE state = 'charged'), 0) AS charged,
    coalesce(sum(amount) FILTER (WHERE state = 'reserved'), 0) AS reserved,
    coalesce(sum(amount) FILTER (WHERE state = 'unknown'), 0) AS unknown,
    count(*) FILTER (WHERE state = 'charged') AS charges,
    count(*) FILTER (WHERE state IN ('reserved', 'unknown')) AS open,
    count(*) FILTER (WHERE state = 'released') AS released,
    coalesce(bool_or(estimated), false) AS estimated"""
_OPEN = """
SELECT json_build_object('charge_id', charge_id, 'user_id', user_id, 'provider', provider, 'institution', institution,
    'connection_id', connection_id, 'state', state, 'amount', trim_scale(amount)::text, 'currency', currency,
    'estimated', estimated, 'confirmed', confirmed, 'requested_by', requested_by, 'requested_at', requested_at,
    'error_code', error_code, 'error', error)
FROM gateway.provider_charges WHERE state IN ('reserved', 'unknown')
ORDER BY requested_at, charge_id OFFSET %s LIMIT %s
"""


async def costs(
    conn: Connection, first: date, last: date, group_by: str, *, offset: int, limit: int
) -> dict[str, Any]:
    """What was spent from one day to another (both included), summed by ``group_by``, dearest first."""
    key = GROUPS[group_by]
    between = "FROM gateway.provider_charges WHERE day BETWEEN %s AND %s"
    order = "key" if group_by == "day" else "charged DESC, key"
    grouped = f"SELECT {key} AS key, {_SUMS} {between} GROUP BY 1 ORDER BY {order} OFFSET %s LIMIT %s"
    rows = await (await conn.execute(grouped, (first, last, offset, limit + 1))).fetchall()
    total = await (await conn.execute(f"SELECT {_SUMS} {between}", (first, last))).fetchone()
    return {
        "from": first.isoformat(),
        "to": last.isoformat(),
        "group_by": group_by,
        "currency": CURRENCY,
        "items": [{"key": row[0]} | _sums(row[1:]) for row in rows[:limit]],
        "total": _sums(total or ()),
        "next_cursor": offset_cursor(offset + limit) if len(rows) > limit else None,
    }


async def unsettled(conn: Connection, *, offset: int, limit: int) -> dict[str, Any]:
    """Refreshes of which nobody has said what became of them, oldest first."""
    rows = await (await conn.execute(_OPEN, (offset, limit + 1))).fetchall()
    return {
        "items": [row[0] for row in rows[:limit]],
        "next_cursor": offset_cursor(offset + limit) if len(rows) > limit else None,
    }


async def open_by_state(conn: Connection) -> Mapping[str, int]:
    """How many charges are open, by state."""
    cursor = await conn.execute(
        """SELECT state, count(*) FROM gateway.provider_charges WHERE state IN ('reserved', 'unknown')
        GROUP BY state"""
    )
    return dict(await cursor.fetchall())


async def refreshes_of_month(conn: Connection, now: datetime) -> dict[str, Refreshes]:
    """Provider → what its refreshes have cost this month."""
    cursor = await conn.execute(
        """SELECT provider, coalesce(sum(amount) FILTER (WHERE state = 'charged'), 0),
            coalesce(sum(amount) FILTER (WHERE state IN ('reserved', 'unknown')), 0)
        FROM gateway.provider_charges WHERE kind = %s AND day >= %s GROUP BY provider""",
        (REFRESH, month_of(now)),
    )
    return {
        provider: Refreshes(charged, still_open) for provider, charged, still_open in await cursor.fetchall()
    }


def _sums(row: Any) -> dict[str, Any]:
    charged, reserved, unknown, charges, still_open, released, estimated = row
    return {
        "charged": plain(Decimal(charged)),
        "reserved": plain(Decimal(reserved)),
        "unknown": plain(Decimal(unknown)),
        "charges": charges,
        "open": still_open,
        "released": released,
        "estimated": estimated,
    }
