"""Snapshots as they are stored: what a provider account was seen to hold, one at a time or as a list."""

from uuid import UUID

from gateway.reads.pages import CURSOR_SQL, Answer, answer, read_cursor
from gateway.refusals import not_found
from persistence.database import Database

SNAPSHOT = "snapshot: superseded ones are kept for some hours only"
"""What is not found where there is none of that id."""
_ITEM = """'id', s.snapshot_id, 'account_id', s.account_id, 'version', s.version,
    'content_hash', s.content_hash, 'state', s.state, 'as_of', s.as_of, 'synced_at', s.synced_at,
    'first_synced_at', s.first_synced_at, 'holdings', s.holdings,
    'value', CASE WHEN s.value IS NULL THEN NULL
        ELSE json_build_object('amount', trim_scale(s.value)::text, 'currency', s.value_currency) END,
    'unpriced', coalesce(s.unpriced, 0)"""
_ONE = f"""
SELECT json_build_object({_ITEM}, 'provider', a.provider, 'institution', a.institution,
    'content', coalesce(s.content, '[]'))::text
FROM portfolio.v_snapshots s JOIN portfolio.v_accounts a ON a.user_id = s.user_id AND a.account_id = s.account_id
WHERE s.user_id = %s AND s.snapshot_id = %s
ORDER BY s.version DESC LIMIT 1
"""  # noqa: S608 - a constant of this module
_LIST = f"""
WITH page AS (
    SELECT s.version, row_number() OVER (ORDER BY s.version DESC) AS n, json_build_object({_ITEM}) AS item
    FROM portfolio.v_snapshots s
    WHERE s.user_id = %(user)s AND s.account_id = %(account)s
        AND (%(before)s::numeric IS NULL OR s.version < %(before)s::numeric)
    ORDER BY s.version DESC LIMIT %(limit)s + 1)
SELECT json_build_object('account_id', a.account_id,
    'items', (SELECT coalesce(json_agg(item ORDER BY n), '[]') FROM page WHERE n <= %(limit)s),
    'next_cursor', (SELECT {CURSOR_SQL.format(keys="version::text")} FROM page
        WHERE n = %(limit)s AND (SELECT count(*) FROM page) > %(limit)s))::text
FROM portfolio.v_accounts a WHERE a.user_id = %(user)s AND a.account_id = %(account)s
"""  # noqa: S608 - constants of this module


async def one(database: Database, user_id: str, snapshot_id: UUID) -> Answer:
    """One snapshot with its content.

    Raises:
        ApiError: 404, none of the user's, or no longer kept.
    """
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_ONE, (user_id, snapshot_id))).fetchone()
    if row is None:
        raise not_found(SNAPSHOT)
    return answer(row[0])


async def page(
    database: Database, user_id: str, account_id: UUID, *, cursor: str | None, limit: int
) -> Answer:
    """A page of an account's snapshots without their content, newest first.

    Raises:
        ApiError: 404, none of the user's accounts.
    """
    before = read_cursor(cursor, {"before": int}) or {"before": None}
    values = {"user": user_id, "account": account_id, "limit": limit} | before
    async with database.transaction(user_id) as conn:
        row = await (await conn.execute(_LIST, values)).fetchone()
    if row is None:
        raise not_found("account")
    return answer(row[0])
