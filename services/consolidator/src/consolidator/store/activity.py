"""What accounts did lately: fingerprints of their stored transactions, by which accounts are recognised."""

from consolidator.domain.activity import fingerprint
from persistence.database import Connection as Session

NEWEST = 300
"""Transactions looked at per account."""
TRANSACTIONS = """SELECT a.account_id::text, t.day, t.amount, t.quantity
    FROM unnest(%s::text[], %s::uuid[]) AS a(user_id, account_id), LATERAL (
        SELECT coalesce((traded_at AT TIME ZONE 'UTC')::date, booked_on) AS day, amount, quantity, external_id
        FROM portfolio.transactions
        WHERE user_id = a.user_id AND account_id = a.account_id AND NOT removed AND booked_on IS NOT NULL
        ORDER BY booked_on DESC, external_id LIMIT %s) AS t
    ORDER BY a.account_id, t.day, t.external_id"""
# Every transaction whose day is known at all is booked on one.


async def load_fingerprints(conn: Session, accounts: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """The fingerprints of the newest transactions of these accounts (account → user)."""
    if not accounts:
        return {}
    values = (list(accounts.values()), list(accounts), NEWEST)
    found: dict[str, list[str]] = {}
    for account_id, day, amount, quantity in await (await conn.execute(TRANSACTIONS, values)).fetchall():
        if one := fingerprint(day, amount, quantity):
            found.setdefault(account_id, []).append(one)
    return {account_id: tuple(ones) for account_id, ones in found.items()}
